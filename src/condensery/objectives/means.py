"""What distribution matching takes the mean of, over the rows of a class."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from condensery.networks.network import Point

__all__ = ["LastLayer", "Mean", "MeanEmbedding"]

Mean = Callable[[Point, Tensor, Tensor, Tensor], Tensor]
"""A mean (e,) over rows at a point, from their embeddings (n, d), labels (n,) and weights (n,).

Its `repr` must say all that it depends on, because means of real rows are kept under a name that contains it.
"""


@dataclass(frozen=True)
class MeanEmbedding:
    """The mean embedding (d,)."""

    def __call__(self, point: Point, embeddings: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        return weights @ embeddings


@dataclass(frozen=True)
class LastLayer:
    """The mean embedding, and the mean gradient of the cross-entropy in the weights of the last layer.

    A row gives the gradient (p - y) f, with f its embedding, p the probabilities that the network gives to the classes
    and y the one-hot label. The mean gives most weight to the rows about which the network is wrong, and unlike the
    mean of f, it depends on the borders between classes. It is computed from f and p alone, without a backward pass
    through the network.

    Arguments:
        weight: factor of the gradient.

    References:
        DC eq. 5 for matching gradients, here those of one layer.
    """

    weight: float = 1.0

    def __call__(self, point: Point, embeddings: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """The mean embedding (d,) followed by the gradient (classes, d), in one tensor (d + classes * d,)."""
        logits = point.classified(embeddings)
        errors = F.softmax(logits, 1) - F.one_hot(labels, logits.shape[1])
        gradient = (weights[:, None] * errors).T @ embeddings
        return torch.cat([weights @ embeddings, self.weight * gradient.flatten()])
