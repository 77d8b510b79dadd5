"""Differentiable augmentation: parameters ω are drawn once and can then be applied to any rows.

An `Augmentation` holds the operations. Its method `draw` draws one ω per row, for training networks; `siamese` draws
one ω per class, which real and synthetic rows share (DSA). Operations act on normalized rows, in the order color,
geometry, cutout. Flips, crops, scalings and rotations are affine maps, which are multiplied and applied by one
`grid_sample`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from math import log, pi, sqrt
from typing import Literal
from typing import Protocol as Interface

import torch
from torch import Tensor
from torch.nn import functional as F

from condensery.randomness import PerClass

__all__ = [
    "Augmentation", "Color", "Crop", "Cut", "CutMix", "Cutout", "Flip", "Jitter", "Lighting", "Omega", "Operation",
    "ResizedCrop", "Rotate", "Scale", "dsa_strategy",
]  # fmt: skip

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Omega:
    """The drawn parameters ω of m augmentations, on the CPU.

    Arguments:
        shift: numbers added to each channel, shape (m, channels).
        factors: factors of saturation and of contrast, shape (m, 2).
        jitter: factors of brightness, contrast and saturation in `Jitter`, shape (m, 3).
        order: the order of the three, an index into `_ORDERS`, shape (m,).
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


class Operation(Interface):
    """One kind of augmentation, with its strength."""

    def drawn(self, u: Tensor, shape: Shape) -> Omega:
        """Turn random numbers `u` (m, 4), uniform in [0, 1), into parameters for images of `shape`."""
        ...


def _between(u: Tensor, low: float, high: float) -> Tensor:
    return low + (high - low) * u


@dataclass(frozen=True)
class Color:
    """Random changes of brightness, saturation and contrast.

    Arguments:
        brightness: the largest number that is added to or subtracted from all pixels (in normalized units).
        saturation: the difference between a pixel and its mean over channels is multiplied by 1 ± at most this number.
        contrast: the difference between a pixel and the mean of the image is multiplied by 1 ± at most this number.

    References:
        DSA section 4; the strengths are those of the released program.
    """

    brightness: float = 0.5
    saturation: float = 1.0
    contrast: float = 0.5

    def drawn(self, u: Tensor, shape: Shape) -> Omega:
        shift = _between(u[:, :1], -self.brightness, self.brightness).expand(-1, shape[0])
        width = torch.tensor([self.saturation, self.contrast])
        return replace(Omega.neutral(len(u), shape[0]), shift=shift, factors=1 + width * (2 * u[:, 1:3] - 1))


_ORDERS = torch.tensor(list(permutations(range(3))))
_LUMA = torch.tensor([0.299, 0.587, 0.114])
_IMAGENET_MEAN, _IMAGENET_STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


@dataclass(frozen=True)
class Jitter:
    """Random changes of brightness, contrast and saturation of photos, in random order.

    Each multiplies the difference between the pixels in [0, 1] and something by a factor of 1 ± at most `strength`:
    black (brightness), the image's mean gray (contrast), or the pixel's gray (saturation). Gray is the luma of the
    channels. Rows are taken to be normalized by the constants of ImageNet. Only images with 3 channels are changed.

    Arguments:
        strength: the largest change of each factor.

    References:
        IDC appendix C.1 and its program.
    Departs: factors are uniform in 1 ± strength, which is what the program's interpolation amounts to.
    """

    strength: float = 0.4

    def drawn(self, u: Tensor, shape: Shape) -> Omega:
        omega = Omega.neutral(len(u), shape[0])
        if shape[0] != 3:
            return omega
        jitter, order = 1 + self.strength * (2 * u[:, :3] - 1), (u[:, 3] * len(_ORDERS)).long()
        return replace(omega, jitter=jitter, order=order)


@dataclass(frozen=True)
class Lighting:
    """Noise along the principal components of the colors of ImageNet. Only images with 3 channels are changed.

    Arguments:
        strength: standard deviation of the noise.

    References:
        Krizhevsky et al. 2012, section 4.1, for the eigenvalues and eigenvectors. IDC's ImageNet evaluation uses 0.1.
    """

    strength: float = 0.1

    def drawn(self, u: Tensor, shape: Shape) -> Omega:
        omega = Omega.neutral(len(u), shape[0])
        if shape[0] != 3:
            return omega
        values = torch.tensor([0.2175, 0.0188, 0.0045])
        vectors = torch.tensor(
            [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
        )  # fmt: skip
        noise = torch.special.ndtri(u[:, :3].clamp(1e-6, 1 - 1e-6)) * self.strength
        return replace(omega, shift=(noise * values) @ vectors.T / _IMAGENET_STD)  # of normalized rows


Fill = Literal["zero", "mean"]
"""What pixels from outside the image get: 0, or the mean of the channel over all rows of the minibatch."""


def _moved(maps: Tensor, shape: Shape, fill: Fill = "zero") -> Omega:
    neutral = Omega.neutral(len(maps), shape[0])
    return replace(neutral, maps=maps, fill=neutral.fill + (fill == "mean"))


def _identities(count: int) -> Tensor:
    return torch.eye(3).repeat(count, 1, 1)


@dataclass(frozen=True)
class Flip:
    """A horizontal flip.

    Arguments:
        probability: probability of a flip.
    """

    probability: float = 0.5

    def drawn(self, u: Tensor, shape: Shape) -> Omega:
        maps = _identities(len(u))
        maps[:, 0, 0] = torch.where(u[:, 0] < self.probability, -1.0, 1.0)
        return _moved(maps, shape)


@dataclass(frozen=True)
class Crop:
    """A shift by whole pixels, so that the image stays sharp. All shifts are equally likely.

    Arguments:
        share: the largest shift in each direction as a fraction of the side, rounded to pixels.
        pixels: the largest shift in pixels, which then is reached up and to the left only: shifts of the crop are from
            -pixels to pixels - 1, as in DC's program. None: `share` applies.
        fill: see `Fill`.
    """

    share: float = 0.125
    pixels: int | None = None
    fill: Fill = "zero"

    def drawn(self, u: Tensor, shape: Shape) -> Omega:
        maps = _identities(len(u))
        for axis, side in ((0, shape[2]), (1, shape[1])):
            most = int(side * self.share + 0.5) if self.pixels is None else self.pixels
            places = 2 * most + (self.pixels is None)
            maps[:, axis, 2] = 2 * ((u[:, axis] * places).floor() - most) / side
        return _moved(maps, shape, self.fill)


@dataclass(frozen=True)
class Scale:
    """Each side is scaled by its own factor.

    Arguments:
        least, most: the range of the factors.
        of: what is scaled: the `"image"`, or the `"window"` through which it is seen (as in DSA's program), so that a
            factor above 1 makes the image smaller.
    """

    least: float = 1 / 1.2
    most: float = 1.2
    of: Literal["image", "window"] = "window"

    def drawn(self, u: Tensor, shape: Shape) -> Omega:
        maps, factors = _identities(len(u)), _between(u[:, :2], self.least, self.most)
        maps[:, [0, 1], [0, 1]] = factors if self.of == "window" else 1 / factors
        return _moved(maps, shape)


@dataclass(frozen=True)
class Rotate:
    """A rotation about the center.

    Arguments:
        degrees: the largest angle in each direction, in degrees.
        fill: see `Fill`.
    """

    degrees: float = 15.0
    fill: Fill = "zero"

    def drawn(self, u: Tensor, shape: Shape) -> Omega:
        maps, ratio = _identities(len(u)), shape[1] / shape[2]  # coordinates range from -1 to 1 on both sides
        angle = _between(u[:, 0], -self.degrees, self.degrees) * pi / 180
        maps[:, 0, 0] = maps[:, 1, 1] = angle.cos()
        maps[:, 0, 1], maps[:, 1, 0] = -angle.sin() * ratio, angle.sin() / ratio
        return _moved(maps, shape, self.fill)


@dataclass(frozen=True)
class ResizedCrop:
    """A random part of the image, enlarged to the full size.

    Arguments:
        least: the smallest area of the part, as a fraction of the image. Its aspect ratio is between 3/4 and 4/3.
    """

    least: float = 0.5

    def drawn(self, u: Tensor, shape: Shape) -> Omega:
        maps = _identities(len(u))
        area, ratio = _between(u[:, 0], self.least, 1), _between(u[:, 1], log(3 / 4), log(4 / 3)).exp()
        for axis, share in ((0, (area * ratio).sqrt()), (1, (area / ratio).sqrt())):
            share = share.clamp(max=1)
            maps[:, axis, axis] = share
            maps[:, axis, 2] = (1 - share) * (2 * u[:, 2 + axis] - 1)
        return _moved(maps, shape)


@dataclass(frozen=True)
class Cutout:
    """A box is set to 0. Its center can be any pixel, so part of the box may lie outside the image.

    Arguments:
        share: sides of the box as a fraction of the sides of the image.
    """

    share: float = 0.5

    def drawn(self, u: Tensor, shape: Shape) -> Omega:
        omega, ends = Omega.neutral(len(u), shape[0]), []
        for axis, side in ((0, shape[1]), (1, shape[2])):
            length = int(side * self.share + 0.5)
            first = (u[:, axis] * (side + 1 - length % 2)).floor() - length // 2
            ends += [first.clamp(min=0), (first + length).clamp(max=side)]
        return replace(omega, box=torch.stack(ends, 1))


@dataclass(frozen=True)
class Augmentation:
    """Operations that are always applied, followed by one operation chosen at random.

    Arguments:
        always: operations that are all applied, in this order.
        one_of: operations of which one is chosen; all are equally likely.
        choice: whether `draw` chooses from `one_of` for every row, or once for a whole minibatch, whose rows then
            differ only in the parameters of the operation.

    References:
        DSA section 3 (siamese augmentation: one ω for the real and synthetic rows of a class) and section 4 (one of
        several operations); IDC appendix C.1 (a sequence of operations).
    """

    always: tuple[Operation, ...] = ()
    one_of: tuple[Operation, ...] = ()
    choice: Literal["row", "minibatch"] = "row"

    def draw(self, rows: int, shape: Shape, generator: torch.Generator) -> Omega:
        """Draw one ω per row of a minibatch, for images of `shape` (channels, height, width)."""
        u = torch.rand(rows, self._numbers, generator=generator)
        if self.choice == "minibatch":
            u[:, 0] = u[0, 0]
        return self._drawn(u, shape)

    def siamese(self, classes: Sequence[int], shape: Shape, draw: PerClass) -> Omega:
        """Draw one ω per class. The ω of a class depends only on its own generator."""
        return self._drawn(torch.cat([torch.rand(1, self._numbers, generator=draw(c)) for c in classes]), shape)

    @property
    def _numbers(self) -> int:
        return 4 * len(self.always) + 5  # 4 per operation (one of `one_of` is used), and 1 for the choice

    def _drawn(self, u: Tensor, shape: Shape) -> Omega:
        omega = Omega.neutral(len(u), shape[0])
        *each, last = u[:, 1:].split(4, dim=1)
        for operation, numbers in zip(self.always, each, strict=True):
            omega = omega.then(operation.drawn(numbers, shape))
        if self.one_of:
            chosen, before = (u[:, 0] * len(self.one_of)).long(), omega
            for i, operation in enumerate(self.one_of):
                omega = before.then(operation.drawn(last, shape)).where(chosen == i, omega)
        return omega

    def __call__(self, x: Tensor, omega: Omega) -> Tensor:
        """Apply drawn parameters to rows; differentiable to any order.

        Arguments:
            x: normalized rows, `(m, channels, height, width)` with one ω per row, or `(m, n, channels, height, width)`
                if n rows share one ω.
            omega: parameters of m augmentations.
        """
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


def dsa_strategy(flip: bool) -> Augmentation:
    """DSA's strategy: one of color, crop, cutout, flip, scaling and rotation, chosen at random (DSA section 4).

    Arguments:
        flip: whether flips are among the operations (see `data.facts.Facts`).

    References:
        DSA section 4. As in its program, a minibatch in a network's training draws one operation.
    """
    flips = (Flip(),) if flip else ()
    return Augmentation(one_of=(Color(), Crop(), Cutout(), *flips, Scale(), Rotate()), choice="minibatch")


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
    mean, std, luma = (t.to(rows)[:, None, None] for t in (_IMAGENET_MEAN, _IMAGENET_STD, _LUMA))
    x, places = rows * std + mean, _ORDERS.to(rows.device)[order]
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
