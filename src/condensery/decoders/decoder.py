"""The seam of parameterizations, and the plainest of them."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

__all__ = ["Decoder", "Pixels"]


class Decoder(nn.Module, ABC):
    """Turns the n stored bases of every class into its rows, base after base.

    Rows of a base depend on it and its place alone: the first n bases decode to the same rows whatever follows them.
    """

    @property
    def even(self) -> bool:
        """Whether every base decodes to as many rows."""
        return True

    @property
    def floats(self) -> int:
        """Stored floats of the decoder itself, shared by all classes."""
        return sum(p.numel() for p in self.parameters())

    @property
    def arguments(self) -> dict[str, Any]:
        """What makes this decoder again, as JSON; its weights are stored beside."""
        return {}

    def extra_repr(self) -> str:
        """What `repr` shows."""
        return ", ".join(f"{k}={v}" for k, v in self.arguments.items())

    def base_shape(self, shape: tuple[int, int, int]) -> tuple[int, ...]:
        """The shape b of a stored base, for rows of `shape` (channels, height, width): an image, by default.

        Raises:
            InputError: rows of this shape cannot be made.
        """
        return shape

    def initial_rows(self, images: int) -> int:
        """How many rows of a class `encode` needs for `images` bases."""
        return images

    @abstractmethod
    def encode(self, rows: Tensor) -> Tensor:
        """Initial bases `(C, n, *b)` from rows `(C, initial_rows(n), channels, height, width)`, in the stored space."""

    @abstractmethod
    def forward(self, bases: Tensor) -> Tensor:
        """Rows `(C, N, channels, height, width)` of bases `(C, n, *b)`, in the stored pixel space; differentiable."""


class Pixels(Decoder):
    """A base is an image, and the row (DC, DSA, DM)."""

    def encode(self, rows: Tensor) -> Tensor:
        return rows.clone()

    def forward(self, bases: Tensor) -> Tensor:
        return bases
