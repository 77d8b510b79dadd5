"""Augmentation: parameters are drawn once, then applied to any rows."""

from dataclasses import dataclass
from math import cos, pi, sin

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["OneOfCropScaleRotate"]


@dataclass(frozen=True)
class OneOfCropScaleRotate:
    """One operation a row: a crop, a scaling or a rotation, all of them one affine map and one `grid_sample`.

    Arguments:
        crop: pixels; the row is shifted by up to this many whole pixels each way.
        scale: each side is scaled by a factor from [1 - scale, 1 + scale].
        rotate: degrees; the row is turned by up to this angle each way.

    What comes in from outside the image has the mean of that row and channel.

    References:
        DC appendix A ("crop, scale and rotate", MNIST only); the strengths are the released program's.
    """

    crop: int = 4
    scale: float = 0.2
    rotate: float = 45.0

    def draw(self, rows: int, height: int, width: int, generator: torch.Generator) -> Tensor:
        """Affine maps (rows, 2, 3) for images of `height` x `width` pixels."""
        u = torch.rand(rows, 3, generator=generator)
        maps = torch.zeros(rows, 2, 3)
        for row, (which, a, b) in enumerate(u.tolist()):
            maps[row] = torch.tensor(self._map(int(which * 3), a, b, height, width))
        return maps

    def _map(self, which: int, a: float, b: float, height: int, width: int) -> list[list[float]]:
        if which == 0:  # whole pixels keep the image sharp, every shift as likely; a pixel is 2 / side on the grid
            right, down = (int(u * (2 * self.crop + 1)) - self.crop for u in (a, b))
            return [[1, 0, 2 * right / width], [0, 1, 2 * down / height]]
        a, b = 2 * a - 1, 2 * b - 1
        if which == 1:
            return [[1 / (1 + a * self.scale), 0, 0], [0, 1 / (1 + b * self.scale), 0]]
        angle = a * self.rotate * pi / 180
        return [[cos(angle), -sin(angle), 0], [sin(angle), cos(angle), 0]]

    def __call__(self, x: Tensor, maps: Tensor) -> Tensor:
        """Rows (n, channels, height, width) moved by their maps (n, 2, 3); differentiable."""
        grid = F.affine_grid(maps.to(x), list(x.shape), align_corners=False)
        fill = x.mean((2, 3), keepdim=True)
        return F.grid_sample(x - fill, grid, padding_mode="zeros", align_corners=False) + fill
