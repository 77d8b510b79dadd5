"""Embeddings of rows, differentiable with respect to the rows."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from condensery.kernels.compiling import mode
from condensery.kernels.passes import Passes, chunked, passes
from condensery.networks.network import Point, rows_at_once

__all__ = ["embeddings"]


def embeddings(
    point: Point,
    x: Tensor,
    dtype: torch.dtype | None = None,
    chunk: int | None = None,
    sizes: Sequence[int] | None = None,
) -> Tensor:
    """The embeddings (n, d) of normalized rows `x` (n, channels, height, width) at a point, in the format of `x`.

    They are differentiable once, with respect to the rows, if `x` requires a gradient.

    Arguments:
        dtype: number format in which the rows are embedded. None: that of `x`.
        chunk: most rows that go through the network at once; None: as many as are fast on the device.
        sizes: sizes of chunks in the compiled passes; see `chunked`. None: by `chunk`.
    """
    dtype = dtype or x.dtype
    if mode() == "plain":  # by autograd alone: the readable version, against which the passes are tested
        cast = point.to(dtype)
        parts = x.to(dtype).split(chunk or rows_at_once(x.device, x.shape))
        return torch.cat([cast.embeddings(part) for part in parts]).to(x.dtype)
    made = passes(point.network, dtype)
    found: Tensor = _Embeddings.apply(x, made, point, sizes or [min(chunk or made.rows, len(x))])
    return found


class _Embeddings(torch.autograd.Function):
    """The embeddings by compiled passes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, made: Passes, point: Point, sizes: Sequence[int]) -> Tensor:
        state = point.params | point.buffers
        ctx.made, ctx.state, ctx.sizes, ctx.residuals, found = made, state, sizes, [], []
        for (rows,) in chunked(sizes, x):
            if ctx.needs_input_grad[0]:
                features, residuals = made.embeddings_kept(state, rows)
                ctx.residuals.append(residuals)
            else:
                features = made.embeddings(state, rows)
            found.append(features)
        return torch.cat(found)[: len(x)]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        parts = zip(chunked(ctx.sizes, gradient), ctx.residuals, strict=True)
        found = [ctx.made.embeddings_back(ctx.state, part, residuals) for (part,), residuals in parts]
        return torch.cat(found)[: len(gradient)], None, None, None
