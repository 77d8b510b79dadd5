"""Gradient matching: synthetic rows should pull the weights where real rows pull them."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from condensery.data import Batch
from condensery.distances import Distance, layerwise_cosine
from condensery.errors import InputError
from condensery.networks import Point, rows_at_once
from condensery.objectives.objective import Objective

__all__ = ["GradientMatching", "convolutions", "everything", "weights"]

Match = Callable[[str, Tensor], bool]


def weights(name: str, parameter: Tensor) -> bool:
    """Matrices and filters, no vectors: no biases, no scales of instance, group or batch norm (DC: eq. 10 is defined
    on 2-D and 4-D weights; the program also compares layer norm's, which have more than one axis)."""
    return parameter.ndim > 1


def convolutions(name: str, parameter: Tensor) -> bool:
    """Filters only: neither the classifier nor any vector (IDC's program)."""
    return parameter.ndim == 4


def everything(name: str, parameter: Tensor) -> bool:
    """Every parameter, vectors included (DC's program with its Euclidean and cosine distances)."""
    return True


class GradientMatching(Objective):
    """D(∇θ L^S(θ), ∇θ L^T(θ)), with L the mean cross-entropy over the rows of one class.

    Written to be read: gradients of gradients by autograd alone (`create_graph=True`).

    Arguments:
        distance: of two gradients; DC's layer-wise cosine by default.
        match: which parameters' gradients are compared, by name and value.
        chunk: rows that go through the network at once; by device where None. The gradient is a mean over rows, so
            that it is the sum of its chunks' (up to rounding).

    References:
        DC eq. 9 and 10, algorithm 1 lines 6 to 8.
    """

    def __init__(self, distance: Distance = layerwise_cosine, match: Match = weights, chunk: int | None = None):
        self.distance, self.match, self.chunk = distance, match, chunk

    def statistic(self, point: Point, batch: Batch, weight: Tensor | None = None) -> list[Tensor]:
        """Each class's gradient at the point: a tensor `(C, *parameter.shape)` for every matched parameter.

        Arguments:
            batch: C classes of n rows; where `batch.x` requires a gradient, so does the statistic.
            weight: (C, n), each row's part in the mean, summing to 1 a class; 1 / n by default.

        Raises:
            InputError: the network has no parameter to match.
        """
        params = {k: p.detach().requires_grad_(self.match(k, p)) for k, p in point.params.items()}
        matched = [p for p in params.values() if p.requires_grad]
        if not matched:
            raise InputError(
                f"the network has no such parameter to match ({self.match.__name__}); "
                "take a convnet, or match others (dc --match weights)"
            )
        classes, n = batch.y.shape
        weight = batch.x.new_full((classes, n), 1 / n) if weight is None else weight
        differentiable, chunk = batch.x.requires_grad, self.chunk or rows_at_once(batch.x.device)
        by_class = []
        for x, y, w in zip(batch.x, batch.y, weight, strict=True):
            total = [torch.zeros_like(p) for p in matched]
            for rows, labels, part in zip(x.split(chunk), y.split(chunk), w.split(chunk), strict=True):
                losses = F.cross_entropy(point.logits(rows, params), labels, reduction="none")
                gradient = torch.autograd.grad((losses * part).sum(), matched, create_graph=differentiable)
                total = [t + g for t, g in zip(total, gradient, strict=True)]
            by_class.append(total)
        return [torch.stack(gradients) for gradients in zip(*by_class, strict=True)]
