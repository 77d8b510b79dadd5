"""Pixel spaces: what the numbers in an image tensor mean.

Networks always see *normalized* rows, (x - mean) / std with x in [0, 1], whitened after that where the space says so
(ZCA). A synthetic set may store its images `normalized` (DC, DSA, DM) or in the `unit` range (IDC); which one is part
of every artifact, because a condensed set read in the wrong space trains a network to chance.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from condensery.errors import InputError

__all__ = ["PixelSpace", "Whitening"]


@dataclass(frozen=True, eq=False)
class Whitening:
    """ZCA: a linear map after which the values of all pixels are uncorrelated, and images still look like images.

    Arguments:
        center: (d,), the mean row, with d = channels · height · width.
        matrix: (d, d), symmetric.

    References:
        Krizhevsky 2009, appendix A; IDC appendix E.6 (after KIP's program).
    """

    center: Tensor
    matrix: Tensor

    @classmethod
    def measured(cls, rows: Iterable[Tensor], strength: float = 0.1) -> "Whitening":
        """The whitening of `rows`, given in parts (m, channels, height, width).

        Arguments:
            strength: added to the covariance's eigenvalues, as a share of their mean; keeps the noise of directions
                in which nothing varies from being blown up.

        Raises:
            InputError: all rows are the same, so that nothing is there to whiten.

        Departs: KIP's program first normalizes the contrast of every image.
        """
        count, total, products = 0, torch.zeros(()), torch.zeros(())
        for part in rows:
            flat = part.flatten(1).double()
            count, total, products = count + len(flat), total + flat.sum(0), products + flat.T @ flat
        center = total / count
        values, vectors = torch.linalg.eigh(products / count - torch.outer(center, center))
        if not values.mean() > 1e-9:
            raise InputError("all images are the same and cannot be whitened; leave the whitening out (`zca`)")
        scale = (values.clamp(min=0) + strength * values.mean()).rsqrt()
        return cls(center.float(), (vectors * scale @ vectors.T).float())

    def __repr__(self) -> str:
        return f"Whitening({len(self.center)} values)"

    @cached_property
    def _inverse(self) -> Tensor:
        return torch.linalg.inv(self.matrix.double())

    def __call__(self, x: Tensor) -> Tensor:
        """Normalized rows `(..., channels, height, width)`, whitened; differentiable."""
        return ((x.flatten(-3) - self.center.to(x)) @ self.matrix.to(x)).reshape(x.shape)

    def undone(self, x: Tensor) -> Tensor:
        """Whitened rows as they were."""
        return (x.flatten(-3) @ self._inverse.to(x) + self.center.to(x)).reshape(x.shape)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Whitening)
            and torch.equal(self.center, other.center)
            and torch.equal(self.matrix, other.matrix)
        )

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class PixelSpace:
    """A pixel space over per-channel statistics of the real training rows.

    Arguments:
        mean: per-channel mean of the rows in [0, 1].
        std: per-channel standard deviation of the rows in [0, 1], each above 0.
        stored: the space that stored images live in, `"normalized"` or `"unit"`.
        whitening: applied last; None for none.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    stored: Literal["normalized", "unit"] = "normalized"
    whitening: Whitening | None = None

    def __post_init__(self) -> None:
        if self.stored not in ("normalized", "unit"):
            raise ValueError(f"unknown pixel space {self.stored!r}")

    @property
    def fingerprint(self) -> str:
        """A hash of what rows are read by: spaces with the same one read alike."""
        digest = hashlib.blake2b(repr((self.mean, self.std)).encode(), digest_size=16)
        if self.whitening:
            for tensor in (self.whitening.center, self.whitening.matrix):
                digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        # (channels, 1, 1): broadcasts over any leading axes
        mean = torch.tensor(self.mean, dtype=x.dtype, device=x.device)[:, None, None]
        std = torch.tensor(self.std, dtype=x.dtype, device=x.device)[:, None, None]
        return mean, std

    def normalize(self, unit: Tensor) -> Tensor:
        """Rows in [0, 1], shape `(..., channels, height, width)`, to what networks see."""
        mean, std = self._statistics(unit)
        rows = (unit - mean) / std
        return self.whitening(rows) if self.whitening else rows

    def unit(self, normalized: Tensor) -> Tensor:
        """The inverse of `normalize` (for display and export; not clamped)."""
        mean, std = self._statistics(normalized)
        rows = self.whitening.undone(normalized) if self.whitening else normalized
        return rows * std + mean

    def encode(self, normalized: Tensor) -> Tensor:
        """Normalized rows to the stored space."""
        return self.unit(normalized) if self.stored == "unit" else normalized

    def decode(self, stored: Tensor) -> Tensor:
        """Stored rows to normalized ones; differentiable."""
        return self.normalize(stored) if self.stored == "unit" else stored

    def clamp(self, stored: Tensor) -> Tensor:
        """Stored rows whose pixels outside [0, 1] are moved to its ends (the projection of IDC)."""
        if self.stored == "unit":
            return stored.clamp(0, 1)
        if self.whitening:
            return self.normalize(self.unit(stored).clamp(0, 1))
        mean, std = self._statistics(stored)
        return torch.minimum(torch.maximum(stored, -mean / std), (1 - mean) / std)

    def uint8(self, normalized: Tensor) -> Tensor:
        """Normalized rows to true colors, 0 to 255, rounded."""
        return (self.unit(normalized).clamp(0, 1) * 255).round().to(torch.uint8)
