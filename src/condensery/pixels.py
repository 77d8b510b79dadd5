"""Pixel spaces: what the numbers in an image tensor mean.

Networks always see *normalised* rows, (x - mean) / std with x in [0, 1]. A synthetic set may store its images
`normalised` (DC, DSA, DM) or in the `unit` range (IDC); which one is part of every artifact, because a condensed
set read in the wrong space trains a network to chance.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

__all__ = ["PixelSpace"]


@dataclass(frozen=True)
class PixelSpace:
    """A pixel space over per-channel statistics of the real training rows.

    Arguments:
        mean: per-channel mean of the rows in [0, 1].
        std: per-channel standard deviation of the rows in [0, 1], each above 0.
        stored: the space that stored images live in, `"normalised"` or `"unit"`.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    stored: Literal["normalised", "unit"] = "normalised"

    def __post_init__(self) -> None:
        if self.stored not in ("normalised", "unit"):
            raise ValueError(f"unknown pixel space {self.stored!r}")

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        # (channels, 1, 1): broadcasts over any leading axes
        mean = torch.tensor(self.mean, dtype=x.dtype, device=x.device)[:, None, None]
        std = torch.tensor(self.std, dtype=x.dtype, device=x.device)[:, None, None]
        return mean, std

    def normalise(self, unit: Tensor) -> Tensor:
        """Rows in [0, 1], shape `(..., channels, height, width)`, to what networks see."""
        mean, std = self._statistics(unit)
        return (unit - mean) / std

    def unit(self, normalised: Tensor) -> Tensor:
        """The inverse of `normalise` (for display and export; not clamped)."""
        mean, std = self._statistics(normalised)
        return normalised * std + mean

    def encode(self, normalised: Tensor) -> Tensor:
        """Normalised rows to the stored space."""
        return self.unit(normalised) if self.stored == "unit" else normalised

    def decode(self, stored: Tensor) -> Tensor:
        """Stored rows to normalised ones; differentiable."""
        return self.normalise(stored) if self.stored == "unit" else stored

    def clamp(self, stored: Tensor) -> Tensor:
        """Stored rows whose pixels outside [0, 1] are moved to its ends (the projection of IDC)."""
        mean, std = self._statistics(stored)
        low, high = (-mean / std, (1 - mean) / std) if self.stored == "normalised" else (0.0 * mean, 0.0 * mean + 1)
        return torch.minimum(torch.maximum(stored, low), high)

    def uint8(self, normalised: Tensor) -> Tensor:
        """Normalised rows to true colours, 0 to 255, rounded."""
        return (self.unit(normalised).clamp(0, 1) * 255).round().to(torch.uint8)
