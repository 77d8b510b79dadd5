"""Distribution matching: synthetic rows should have the same mean embedding as real rows."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from condensery.data import Batch
from condensery.kernels.compiling import mode
from condensery.kernels.passes import Passes, chunked, passes
from condensery.networks.network import Point, rows_at_once
from condensery.objectives.distances import Distance, squared_euclidean
from condensery.objectives.objective import Objective
from condensery.randomness import rng

__all__ = ["DistributionMatching", "means_by_autograd"]

Order = Tensor | slice


class DistributionMatching(Objective):
    """‖mean g(real) - mean g(synthetic)‖² per class, with g the embedding of a network: the features before its head.

    Arguments:
        distance: distance between two means.
        chunk: most rows that go through the network at once; None: by device.
        real_dtype, synthetic_dtype: number formats in which real and synthetic rows are embedded; None: that of the
            weights.
        part: rows per class through which the gradient is computed; the mean is over all rows. None: all of them. The
            mean is exact for every `part`, and the gradient equals that through all rows in expectation.

    References:
        DM eq. 5; KFS eq. 1 without its factor 1 / (2 C), which the learning rate absorbs. KFS section 3.2 for `part`.
    """

    operations = (1, 2)

    def __init__(
        self,
        distance: Distance = squared_euclidean,
        chunk: int | None = None,
        real_dtype: torch.dtype | None = None,
        synthetic_dtype: torch.dtype | None = None,
        part: int | None = None,
    ):
        self.distance, self.chunk, self.part = distance, chunk, part
        self.real_dtype, self.synthetic_dtype = real_dtype, synthetic_dtype

    @property
    def of_real(self) -> str:
        return f"{type(self).__name__} {self.chunk} {self.real_dtype}"  # the rest concerns synthetic rows

    def statistic(self, point: Point, batch: Batch, weight: Tensor | None = None) -> list[Tensor]:
        """The mean embedding of each class at the point, a tensor (C, d).

        Arguments:
            batch: C classes of n rows; if `batch.x` requires a gradient, so does the statistic.
            weight: (C, n), the part of each row in the mean, summing to 1 per class; 1 / n by default.
        """
        return self._means(point, batch, weight, self.synthetic_dtype or batch.x.dtype)

    def target(self, point: Point, real: Batch) -> list[Tensor]:
        """The mean embedding of real rows, without a graph, in `real_dtype`."""
        return self._means(point, real.detach(), None, self.real_dtype or real.x.dtype)

    def _means(self, point: Point, batch: Batch, weight: Tensor | None, dtype: torch.dtype) -> list[Tensor]:
        classes, n = batch.y.shape
        weight = batch.x.new_full((classes, n), 1 / n) if weight is None else weight
        part = min(self.part or n, n) if batch.x.requires_grad else 0
        order = [_order(point, int(c), n, part) for c in batch.y[:, 0]]
        if mode() == "plain":
            return [means_by_autograd(point, batch.x, weight, order, part, dtype, self.chunk)]
        made = passes(point.network, dtype)
        means: Tensor = _Means.apply(batch.x, weight, made, point, order, part, self.chunks_of(n, made.rows))
        return [means]


def _order(point: Point, c: int, n: int, part: int) -> Order:
    """The order in which rows are embedded: first the `part` rows through which the gradient is computed.

    The order is unchanged if these are all rows, or none.
    """
    if part in (0, n):
        return slice(None)
    return torch.randperm(n, generator=rng(0, "part", point.key, point.outer, point.inner, c))


def means_by_autograd(
    point: Point, x: Tensor, weight: Tensor, order: list[Order], part: int, dtype: torch.dtype, chunk: int | None
) -> Tensor:
    """Mean embeddings by autograd alone: the readable version, against which the passes are tested."""
    params, buffers = ({k: v.to(dtype) for k, v in state.items()} for state in (point.params, point.buffers))
    cast, size = Point(point.network, params, buffers), chunk or rows_at_once(x.device)
    by_class = []
    for rows, w, index in zip(x, weight, order, strict=True):
        rows, w = rows[index], w[index]
        sides = [(rows[:part], w[:part], True), (rows[part:].detach(), w[part:], False)]
        total = torch.zeros((), dtype=weight.dtype, device=x.device)
        for some, shares, carry in sides:
            if not len(some):
                continue
            for r, s in zip(some.split(size), shares.split(size), strict=True):
                mean = (cast.embeddings(r.to(dtype)).to(weight.dtype) * s[:, None]).sum(0)
                # the same value, and the gradient through all rows in expectation
                total = total + (mean.detach() + (mean - mean.detach()) * (len(w) / part) if carry else mean.detach())
        by_class.append(total)
    return torch.stack(by_class)


class _Means(torch.autograd.Function):
    """The same means by compiled passes, differentiable once with respect to the rows."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        made: Passes,
        point: Point,
        order: list[Order],
        part: int,
        sizes: Sequence[int],
    ) -> Tensor:
        state, means = point.params | point.buffers, []
        ctx.chunks = []
        for c, (rows, w, index) in enumerate(zip(x, weight, order, strict=True)):
            total: Tensor | None = None
            ordered, shares = rows[index], w[index]
            for carry, some in ((True, slice(0, part)), (False, slice(part, None))):
                for r, s in chunked(sizes, ordered[some], shares[some]):
                    mean, residuals = made.embedding(state, r, s, keep=carry)
                    total = mean if total is None else total + mean
                    if carry:
                        ctx.chunks.append((c, s, residuals))
            assert total is not None
            means.append(total)
        ctx.made, ctx.state, ctx.order, ctx.part, ctx.shape = made, state, order, part, x.shape
        return torch.stack(means)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        classes: list[list[Tensor]] = [[] for _ in range(ctx.shape[0])]
        for c, s, residuals in ctx.chunks:
            classes[c].append(ctx.made.embedding_back(ctx.state, gradient[c], s, residuals))
        x = gradient.new_zeros(ctx.shape)
        for c, (parts, index) in enumerate(zip(classes, ctx.order, strict=True)):
            mine = index if isinstance(index, slice) else index[: ctx.part]
            x[c, mine] = torch.cat(parts)[: ctx.part] * (ctx.shape[1] / ctx.part)
        return x, None, None, None, None, None, None
