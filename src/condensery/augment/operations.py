"""The operations of augmentation: colors, geometry and cutout, each with its strength."""

from dataclasses import dataclass, replace
from math import log, pi
from typing import Literal
from typing import Protocol as Interface

import torch
from torch import Tensor

from condensery.augment.omega import IMAGENET_STD, ORDERS, Omega, Shape

__all__ = [
    "Color", "Crop", "Cutout", "Flip", "Jitter", "Lighting", "Operation", "ResizedCrop", "Rotate", "Scale"
]  # fmt: skip


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


@dataclass(frozen=True)
class Jitter:
    """Random changes of brightness, contrast and saturation of photos, in random order.

    Each multiplies the difference between the pixels in [0, 1] and something by a factor of 1 ± at most `strength`:
    black (brightness), the image's mean gray (contrast), or the pixel's gray (saturation). Gray is the luma of the
    channels. Rows are taken to be normalized by the constants of ImageNet. Only images with 3 channels are changed.

    Arguments:
        strength: the largest change of each factor.

    References:
        IDC appendix C.1 and its program, whose interpolation amounts to factors that are uniform in 1 ± strength.
    """

    strength: float = 0.4

    def drawn(self, u: Tensor, shape: Shape) -> Omega:
        omega = Omega.neutral(len(u), shape[0])
        if shape[0] != 3:
            return omega
        jitter, order = 1 + self.strength * (2 * u[:, :3] - 1), (u[:, 3] * len(ORDERS)).long()
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
        return replace(omega, shift=(noise * values) @ vectors.T / IMAGENET_STD)  # of normalized rows


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
        pixels: the largest shift in pixels. Shifts of the crop are then from -pixels to pixels - 1, as in DC's program.
            None: `share` applies.
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
        ratio = ratio * shape[1] / shape[2]  # of shares of the sides
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
