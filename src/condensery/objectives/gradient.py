"""Gradient matching: synthetic rows should give the weights the same gradient as real rows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from condensery.data import Batch
from condensery.errors import InputError
from condensery.kernels.compiling import mode
from condensery.kernels.passes import Passes, chunked, passes
from condensery.networks.network import Network, Point, outputs, rows_at_once
from condensery.objectives.distances import Distance, layerwise_cosine
from condensery.objectives.objective import Statistic

__all__ = ["GradientMatching", "by_autograd", "convolutions", "everything", "weights"]

Match = Callable[[str, Tensor], bool]
Names = tuple[str, ...]


def weights(name: str, parameter: Tensor) -> bool:
    """Match matrices and filters, but no vectors: neither biases nor scales of instance, group or batch norm.

    DC's eq. 10 is defined for 2-D and 4-D weights; the released program also matches the parameters of layer norm,
    which have more than one axis.
    """
    return parameter.ndim > 1


def convolutions(name: str, parameter: Tensor) -> bool:
    """Match the filters of convolutions only, as the program of IDC does."""
    return parameter.ndim == 4


def everything(name: str, parameter: Tensor) -> bool:
    """Match every parameter, vectors included, as the program of DC does for its Euclidean and cosine distances."""
    return True


class GradientMatching(Statistic):
    """D(∇θ L^S(θ), ∇θ L^T(θ)), with L the mean cross-entropy over the rows of one class.

    Arguments:
        distance: distance between two gradients; by default the layer-wise cosine of DC.
        match: called with the name and the value of a parameter, returns whether its gradient is matched.
        chunk: most rows that go through the network at once; None: by device. The gradient is a mean over rows, so
            chunks change it only by rounding.
        real_dtype: number format in which the gradients of real rows are computed; None: that of the weights. With
            `torch.bfloat16` they are accurate to two or three digits.

    References:
        DC eq. 9 and 10, algorithm 1 lines 6 to 8.
    """

    cost = (3, 9)  # forward and backward; for synthetic rows both along a direction too

    def __init__(
        self,
        distance: Distance = layerwise_cosine,
        match: Match = weights,
        chunk: int | None = None,
        real_dtype: torch.dtype | None = None,
    ):
        self.distance, self.match, self.chunk, self.real_dtype = distance, match, chunk, real_dtype

    def statistic(self, point: Point, batch: Batch, weight: Tensor | None = None) -> list[Tensor]:
        """The gradient of each class at the point: a tensor `(C, *parameter.shape)` for every matched parameter.

        Arguments:
            batch: C classes of n rows; if `batch.x` requires a gradient, so does the statistic.
            weight: (C, n), the part of each row in the mean, summing to 1 per class; 1 / n by default.

        Raises:
            InputError: the network has no parameter to match.
        """
        return self._gradients(point, batch, weight, batch.x.dtype)

    def target(self, point: Point, real: Batch) -> list[Tensor]:
        """The gradient of real rows, without a graph, in `real_dtype`."""
        return self._gradients(point, real.detach(), None, self.real_dtype or real.x.dtype)

    def check(self, network: Network) -> None:
        self._matched(dict(network.named_parameters()))

    def _matched(self, params: Mapping[str, Tensor]) -> list[str]:
        """The names of the parameters whose gradients are matched.

        Raises:
            InputError: there is none.
        """
        if found := [name for name, parameter in params.items() if self.match(name, parameter)]:
            return found
        raise InputError(
            f"the network has no parameter of the kind to match ({getattr(self.match, '__name__', self.match)}); "
            "use a convnet, or match other parameters (dc with `match=weights`)"
        )

    def _gradients(self, point: Point, batch: Batch, weight: Tensor | None, dtype: torch.dtype) -> list[Tensor]:
        matched = self._matched(point.params)
        classes, n = batch.y.shape
        weight = batch.x.new_full((classes, n), 1 / n) if weight is None else weight
        # the passes compute the gradient with respect to rows only, not to labels
        learned = batch.soft is not None and batch.soft.requires_grad
        if mode() == "plain" or learned:
            return by_autograd(point, matched, batch, weight, dtype, self.chunk)
        made = passes(point.network, dtype)
        if batch.soft is None:
            targets = F.one_hot(batch.y, outputs(point.network, batch.x.shape[2:]))
        else:
            targets = batch.soft.detach()
        sizes = self.chunks_of(n, made.rows)
        return list(_Gradients.apply(batch.x, targets.to(weight.dtype), weight, made, point, tuple(matched), sizes))


def by_autograd(
    point: Point, matched: Sequence[str], batch: Batch, weight: Tensor, dtype: torch.dtype, chunk: int | None
) -> list[Tensor]:
    """Gradients of gradients by autograd alone (`create_graph=True`).

    This is the readable version, against which the passes are tested.
    """
    point = point.to(dtype)
    params = {k: p.detach().requires_grad_(k in matched) for k, p in point.params.items()}
    leaves = [params[name] for name in matched]
    differentiable = batch.x.requires_grad or batch.labels.requires_grad
    chunk = chunk or rows_at_once(batch.x.device, batch.x.shape)
    by_class = []
    for x, y, w in zip(batch.x, batch.labels, weight, strict=True):
        total = [torch.zeros_like(p, dtype=weight.dtype) for p in leaves]
        for rows, labels, part in zip(x.split(chunk), y.split(chunk), w.split(chunk), strict=True):
            logits = point.logits(rows.to(dtype), params).to(weight.dtype)
            losses = F.cross_entropy(logits, labels, reduction="none")
            gradient = torch.autograd.grad(  # a user's network may have weights that it does not use
                (losses * part).sum(), leaves, create_graph=differentiable, materialize_grads=True
            )
            total = [t + g for t, g in zip(total, gradient, strict=True)]
        by_class.append(total)
    return [torch.stack(gradients) for gradients in zip(*by_class, strict=True)]


class _Gradients(torch.autograd.Function):
    """The same gradients by compiled passes, differentiable once with respect to the rows (forward over reverse)."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        targets: Tensor,
        weight: Tensor,
        made: Passes,
        point: Point,
        matched: Names,
        sizes: Sequence[int],
    ) -> tuple[Tensor, ...]:
        state, keep = point.params | point.buffers, ctx.needs_input_grad[0]
        totals = [x.new_zeros(len(x), *point.params[name].shape) for name in matched]
        order = [made.names.index(name) for name in matched]
        ctx.chunks = []
        for c, rows_of_class in enumerate(zip(x, targets, weight, strict=True)):
            for part in chunked(sizes, *rows_of_class):
                _, _, gradients, residuals = made.gradients(state, *part, keep=keep)
                for total, i in zip(totals, order, strict=True):
                    total[c] += gradients[i]
                if keep:
                    ctx.chunks.append((c, part, residuals))
        ctx.made, ctx.state, ctx.matched, ctx.shape = made, state, matched, x.shape
        return tuple(totals)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        classes: list[list[Tensor]] = [[] for _ in range(ctx.shape[0])]
        for c, part, residuals in ctx.chunks:
            direction = {name: gradient[c] for name, gradient in zip(ctx.matched, gradients, strict=True)}
            classes[c].append(ctx.made.along(ctx.state, direction, *part, residuals))
        x = torch.stack([torch.cat(parts)[: ctx.shape[1]] for parts in classes])
        return x, None, None, None, None, None, None
