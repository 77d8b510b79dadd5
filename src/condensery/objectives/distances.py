"""Distances between two statistics: one number per class.

A statistic is a sequence of tensors whose first axis is the class, `(C, ...)`. Every distance is differentiable in
its first argument, has shape (C,), and is 0 if both arguments are equal.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["Distance", "cosine", "l1", "layerwise_cosine", "mse", "squared_euclidean"]

Tensors = Sequence[Tensor]
Distance = Callable[[Tensors, Tensors], Tensor]


def layerwise_cosine(a: Tensors, b: Tensors) -> Tensor:
    """Sum over layers and output nodes of 1 - cos(a_i, b_i), with a_i the gradient that one output node receives.

    Tensors (C, out, ...) are compared node by node; vectors (C, out), such as biases, contribute nothing.

    References:
        DC eq. 10.
    Departs: the released program adds 1e-6 to the denominator only, so that real data are not at distance 0 from
        themselves; here it is added to the numerator too. A node with a vanishing gradient then contributes nothing.
    """
    total = a[0].new_zeros(len(a[0]))
    for x, y in zip(a, b, strict=True):
        if x.ndim > 2:
            x, y = x.flatten(2), y.flatten(2)
            norms = torch.linalg.vector_norm(x, dim=2) * torch.linalg.vector_norm(y, dim=2)
            total = total + (1 - ((x * y).sum(2) + 1e-6) / (norms + 1e-6)).sum(1)
    return total


def cosine(a: Tensors, b: Tensors) -> Tensor:
    """1 - cos(a, b), with all tensors of a class joined to one vector.

    References:
        DC table T11 ("Cosine").
    """
    x, y = _joined(a), _joined(b)
    norms = torch.linalg.vector_norm(x, dim=1) * torch.linalg.vector_norm(y, dim=1)
    return 1 - ((x * y).sum(1) + 1e-12) / (norms + 1e-12)


def squared_euclidean(a: Tensors, b: Tensors) -> Tensor:
    """Sum of squared differences over all entries.

    References:
        DC table T11 ("Euclidean"); what IDC's program calls MSE.
    """
    return (_joined(a) - _joined(b)).square().sum(1)


def mse(a: Tensors, b: Tensors) -> Tensor:
    """Mean of squared differences over all entries."""
    return (_joined(a) - _joined(b)).square().mean(1)


def l1(a: Tensors, b: Tensors) -> Tensor:
    """Sum of absolute differences over all entries.

    References:
        IDC section 5 (ImageNet and speech).
    """
    return (_joined(a) - _joined(b)).abs().sum(1)


def _joined(a: Tensors) -> Tensor:
    return torch.cat([x.flatten(1) for x in a], dim=1)
