"""Number formats with fewer bits, in which a condensed set can be stored: float16, or 8-bit integers on a grid."""

from dataclasses import dataclass

import torch
from torch import Tensor

from condensery.fields import Format

__all__ = ["PIXELS", "Grid", "itemsize", "rounded", "size"]


@dataclass(frozen=True)
class Grid:
    """The 256 equally spaced numbers from `low` to `low + width`.

    Arguments:
        low, width: numbers that float32 can hold.
    """

    low: float
    width: float

    @classmethod
    def of(cls, x: Tensor) -> "Grid":
        """The grid from the smallest to the largest number of a tensor."""
        low, high = torch.stack(torch.aminmax(x.detach())).float().tolist()
        return cls(low, float(torch.tensor(high) - torch.tensor(low)))

    def quantize(self, x: Tensor) -> Tensor:
        """The place of the nearest number on the grid, from 0 to 255, as uint8."""
        if not self.width:
            return torch.zeros_like(x, dtype=torch.uint8)
        return ((x - self.low) / self.width * 255).round().clamp(0, 255).to(torch.uint8)

    def dequantize(self, places: Tensor, dtype: torch.dtype) -> Tensor:
        """The numbers at these places. With the grid from 0 to 1, they are the exact values of 8-bit pixels."""
        return places.to(dtype) * self.width / 255 + self.low


PIXELS = Grid(0.0, 1.0)
"""The grid of 8-bit images in the unit range, which is not counted as stored."""


def rounded(x: Tensor, format: Format, grid: Grid | None = None) -> Tensor:
    """`x` rounded to the numbers that `format` can store, as a tensor of the same type as `x`.

    Arguments:
        grid: the grid of uint8. None: that of the tensor itself.
    """
    if format == "float16":
        return x.half().to(x.dtype)
    grid = grid or Grid.of(x)
    return grid.dequantize(grid.quantize(x), x.dtype)


def itemsize(dtype: torch.dtype, format: Format | None) -> int:
    """The bytes in which a number is stored, if it has the type `dtype` while it is learned."""
    return dtype.itemsize if format is None else {"float16": 2, "uint8": 1}[format]


def size(x: Tensor, format: Format | None, grid: Grid | None) -> int:
    """The bytes in which a tensor is stored. With uint8, that includes the two numbers of its grid, except `PIXELS`."""
    return x.numel() * itemsize(x.dtype, format) + (8 if format == "uint8" and grid != PIXELS else 0)
