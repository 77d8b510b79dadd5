"""CutMix, which mixes the rows of a minibatch and their labels."""

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Cut", "CutMix"]


@dataclass(frozen=True)
class Cut:
    """A drawn CutMix: a box of each row is replaced by the same box of another row.

    Arguments:
        order: index of the row whose box each row gets, shape (m,).
        box: first row, row after the last, first column, column after the last.
        share: fraction of the image that each row keeps, which is also the weight of its own label.
    """

    order: Tensor
    box: tuple[int, int, int, int]
    share: float

    def __call__(self, x: Tensor) -> Tensor:
        """The mixed rows (m, channels, height, width)."""
        top, bottom, left, right = self.box
        mixed = x.clone()
        mixed[:, :, top:bottom, left:right] = x[self.order.to(x.device), :, top:bottom, left:right]
        return mixed

    def labels(self, targets: Tensor) -> Tensor:
        """The label probabilities (m, K) of the mixed rows, from those of the rows."""
        return self.share * targets + (1 - self.share) * targets[self.order.to(targets.device)]

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """The mean cross-entropy with both labels, weighted by their shares of the image."""
        own, other = F.cross_entropy(logits, y), F.cross_entropy(logits, y[self.order.to(y.device)])
        return self.share * own + (1 - self.share) * other


@dataclass(frozen=True)
class CutMix:
    """CutMix: the rows of a minibatch exchange boxes, and their labels are mixed accordingly.

    The area of the box is uniform (a beta distribution with parameter 1).

    Arguments:
        probability: probability that a minibatch is mixed.

    References:
        Yun et al. 2019; IDC section 4.2: 0.5 for small images, 1 for ImageNet.
    """

    probability: float = 0.5

    def draw(self, rows: int, height: int, width: int, generator: torch.Generator) -> Cut | None:
        """Draw the mixing of a minibatch of `rows` rows. None: the minibatch is not mixed."""
        happens, area, down, across = torch.rand(4, generator=generator).tolist()
        if happens >= self.probability:
            return None
        box = []
        for side, at in ((height, down), (width, across)):
            center, half = int(side * at), int(side * sqrt(area)) // 2
            box += [max(center - half, 0), min(center + half, side)]
        top, bottom, left, right = box
        share = 1 - (bottom - top) * (right - left) / (height * width)
        return Cut(torch.randperm(rows, generator=generator), (top, bottom, left, right), share)
