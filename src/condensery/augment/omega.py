"""`Omega`, the drawn parameters ω of augmentations, and what they do to rows."""

from dataclasses import dataclass
from itertools import permutations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "ORDERS", "Omega", "Shape", "applied"]

Shape = tuple[int, int, int]
"""(channels, height, width) of a row."""

ORDERS = torch.tensor(list(permutations(range(3))))
"""The orders of the three changes of `operations.Jitter`."""
IMAGENET_MEAN, IMAGENET_STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
_LUMA = torch.tensor([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Omega:
    """The drawn parameters ω of m augmentations, on the CPU.

    Arguments:
        shift: numbers added to each channel, shape (m, channels).
        factors: factors of saturation and of contrast, shape (m, 2).
        jitter: factors of brightness, contrast and saturation in `operations.Jitter`, shape (m, 3).
        order: the order of the three, an index into `ORDERS`, shape (m,).
        maps: affine maps, shape (m, 3, 3), from a position in the result to the position in the image whose value it
            gets. Coordinates along each side range from -1 to 1.
        fill: what pixels from outside the image get, as a share of the channel's mean over all rows, shape (m,): 0 for
            zero, 1 for the mean.
        box: the boxes to cut out, shape (m, 4): first row, row after the last, first column, column after the last.
    """

    shift: Tensor
    factors: Tensor
    jitter: Tensor
    order: Tensor
    maps: Tensor
    fill: Tensor
    box: Tensor

    @classmethod
    def neutral(cls, count: int, channels: int) -> "Omega":
        """Parameters of `count` augmentations that change nothing."""
        return cls(
            shift=torch.zeros(count, channels), factors=torch.ones(count, 2), jitter=torch.ones(count, 3),
            order=torch.zeros(count, dtype=torch.long), maps=torch.eye(3).expand(count, 3, 3),
            fill=torch.zeros(count), box=torch.zeros(count, 4),
        )  # fmt: skip

    def then(self, other: "Omega") -> "Omega":
        """The parameters of this augmentation followed by `other`."""
        cut, jittered = (other.box != 0).any(1, keepdim=True), (other.jitter != 1).any(1)
        return Omega(
            shift=self.shift + other.shift,
            factors=self.factors * other.factors,
            jitter=torch.where(jittered[:, None], other.jitter, self.jitter),
            order=torch.where(jittered, other.order, self.order),
            maps=self.maps @ other.maps,
            fill=torch.maximum(self.fill, other.fill),
            box=torch.where(cut, other.box, self.box),
        )

    def where(self, mask: Tensor, other: "Omega") -> "Omega":
        """These parameters where `mask` (m,) is true, and those of `other` elsewhere."""
        parts = {name: (mine, getattr(other, name)) for name, mine in vars(self).items()}
        return Omega(**{
            name: torch.where(mask.view(-1, *[1] * (mine.ndim - 1)), mine, theirs)
            for name, (mine, theirs) in parts.items()
        })  # fmt: skip


def applied(x: Tensor, omega: Omega) -> Tensor:
    """Apply drawn parameters to rows; differentiable to any order. See `Augmentation.__call__`."""
    rows = x[:, None] if x.ndim == 4 else x
    if (omega.shift != 0).any() or (omega.factors != 1).any():
        rows = _colored(rows, omega.shift.to(rows), omega.factors.to(rows))
    if (omega.jitter != 1).any():
        rows = _jittered(rows, omega.jitter.to(rows), omega.order.to(rows.device))
    if (omega.maps != torch.eye(3)).any():
        rows = _warped(rows, omega.maps.to(rows), omega.fill.to(rows))
    if (omega.box != 0).any():
        rows = rows.masked_fill(_inside(omega.box, *x.shape[-2:]).to(x.device)[:, None, None], 0.0)
    return rows.reshape(x.shape)


def _warped(rows: Tensor, maps: Tensor, fill: Tensor) -> Tensor:
    m, n, channels, height, width = rows.shape
    grid = F.affine_grid(maps[:, :2], [m, 1, height, width], align_corners=False)
    filled = bool(fill.any())
    base = fill[:, None, None, None, None] * rows.mean((0, 1, 3, 4), keepdim=True) if filled else rows.new_zeros(())
    flat = (rows - base if filled else rows).reshape(m, n * channels, height, width)
    moved = F.grid_sample(flat, grid, padding_mode="zeros", align_corners=False)
    return moved.reshape(rows.shape) + base


def _colored(rows: Tensor, shift: Tensor, factors: Tensor) -> Tensor:
    saturation, contrast = (f[:, None, None, None, None] for f in factors.unbind(1))
    rows = rows + shift[:, None, :, None, None]
    gray = rows.mean(2, keepdim=True)
    rows = gray + (rows - gray) * saturation
    mean = rows.mean((2, 3, 4), keepdim=True)
    return mean + (rows - mean) * contrast


def _jittered(rows: Tensor, factors: Tensor, order: Tensor) -> Tensor:
    """Rows (m, n, 3, height, width) with `Jitter`'s three changes, in the order that each of the m draws has."""
    mean, std, luma = (t.to(rows)[:, None, None] for t in (IMAGENET_MEAN, IMAGENET_STD, _LUMA))
    x, places = rows * std + mean, ORDERS.to(rows.device)[order]
    for place in places.unbind(1):
        gray = (x * luma).sum(2, keepdim=True)
        toward = torch.stack([torch.zeros_like(x), gray.mean((3, 4), keepdim=True).expand_as(x), gray.expand_as(x)])
        center = toward[place, torch.arange(len(x), device=x.device)]
        x = center + (x - center) * factors.gather(1, place[:, None])[:, :, None, None, None]
    return (x - mean) / std


def _inside(box: Tensor, height: int, width: int) -> Tensor:
    """Masks (m, height, width) that are true inside the boxes."""
    row, column = torch.arange(height), torch.arange(width)
    top, bottom, left, right = (end[:, None] for end in box.unbind(1))
    return ((row >= top) & (row < bottom))[:, :, None] & ((column >= left) & (column < right))[:, None, :]
