"""Pixel spaces, which define what the numbers in an image tensor mean.

Networks always see *normalized* rows: (x - mean) / std with x in [0, 1], then whitened (ZCA) if the space has a
whitening. A synthetic set stores its images either `normalized` (DC, DSA, DM) or in the `unit` range (IDC). Every
artifact records which one, because a network trained on a set read in the wrong space only reaches chance accuracy.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from condensery.data.facts import Facts
from condensery.errors import InputError

__all__ = ["PixelSpace", "Whitening"]


@dataclass(frozen=True, eq=False)
class Whitening:
    """ZCA whitening: a linear map that decorrelates the pixel values but keeps images recognizable.

    Arguments:
        center: the mean row, shape (d,), with d = channels · height · width.
        matrix: the symmetric matrix of the map, shape (d, d).

    References:
        Krizhevsky 2009, appendix A; IDC appendix E.6 (which follows KIP's program).
    """

    center: Tensor
    matrix: Tensor

    @classmethod
    def measured(cls, rows: Iterable[Tensor], strength: float = 0.1) -> "Whitening":
        """Compute the whitening of a set of rows.

        Arguments:
            rows: normalized rows in parts of shape (m, channels, height, width).
            strength: the number added to the eigenvalues of the covariance, as a fraction of their mean. It limits how
                much directions with almost no variance are amplified.

        Raises:
            InputError: all rows are the same, so that there is no variance to whiten.

        Departs: KIP's program first normalizes the contrast of every image.
        """
        count, total, products = 0, torch.zeros(()), torch.zeros(())
        for part in rows:
            flat = part.flatten(1).double()
            count, total, products = count + len(flat), total + flat.sum(0), products + flat.T @ flat
        center = total / count
        values, vectors = torch.linalg.eigh(products / count - torch.outer(center, center))
        if not values.mean() > 1e-9:
            raise InputError("all images are the same and cannot be whitened; leave out `zca`")
        scale = (values.clamp(min=0) + strength * values.mean()).rsqrt()
        return cls(center.float(), (vectors * scale @ vectors.T).float())

    def __repr__(self) -> str:
        return f"Whitening({len(self.center)} values)"

    @cached_property
    def _inverse(self) -> Tensor:
        return torch.linalg.inv(self.matrix.double())

    def __call__(self, x: Tensor) -> Tensor:
        """Whiten normalized rows of shape `(..., channels, height, width)`; differentiable."""
        return ((x.flatten(-3) - self.center.to(x)) @ self.matrix.to(x)).reshape(x.shape)

    def undone(self, x: Tensor) -> Tensor:
        """The normalized rows of whitened rows: the inverse of the whitening."""
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
    """A pixel space: the statistics that normalize rows, and the range that stored images have.

    Arguments:
        mean: per-channel mean of the real training rows, for pixels in [0, 1].
        std: per-channel standard deviation of the real training rows, for pixels in [0, 1]; above 0.
        stored: the space of the stored images, `"normalized"` or `"unit"`.
        whitening: the whitening applied after normalization. None: no whitening.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    stored: Literal["normalized", "unit"] = "normalized"
    whitening: Whitening | None = None

    def __post_init__(self) -> None:
        if self.stored not in ("normalized", "unit"):
            raise ValueError(f"unknown pixel space {self.stored!r}")

    def with_constants(self, facts: Facts) -> "PixelSpace":
        """The space with the published constants of a data set, without whitening."""
        assert facts.mean
        assert facts.std
        return replace(self, mean=facts.mean, std=facts.std, whitening=None)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the statistics and the whitening; spaces with the same hash normalize rows in the same way."""
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
        """Normalize rows in [0, 1] of shape `(..., channels, height, width)`, and whiten them if `whitening` is set."""
        mean, std = self._statistics(unit)
        rows = (unit - mean) / std
        return self.whitening(rows) if self.whitening else rows

    def unit(self, normalized: Tensor) -> Tensor:
        """The inverse of `normalize`, for display and export. Values are not clamped to [0, 1]."""
        mean, std = self._statistics(normalized)
        rows = self.whitening.undone(normalized) if self.whitening else normalized
        return rows * std + mean

    def encode(self, normalized: Tensor) -> Tensor:
        """Convert normalized rows to the stored space."""
        return self.unit(normalized) if self.stored == "unit" else normalized

    def decode(self, stored: Tensor) -> Tensor:
        """Convert stored rows to normalized rows; differentiable."""
        return self.normalize(stored) if self.stored == "unit" else stored

    def clamp(self, stored: Tensor) -> Tensor:
        """Stored rows with their pixels clamped to [0, 1] (the projection of IDC)."""
        if self.stored == "unit":
            return stored.clamp(0, 1)
        if self.whitening:
            return self.normalize(self.unit(stored).clamp(0, 1))
        mean, std = self._statistics(stored)
        return torch.minimum(torch.maximum(stored, -mean / std), (1 - mean) / std)

    def uint8(self, normalized: Tensor) -> Tensor:
        """Convert normalized rows to colors from 0 to 255, clamped and rounded."""
        return (self.unit(normalized).clamp(0, 1) * 255).round().to(torch.uint8)
