"""`Decoder`, the interface of all parameterizations, and `Pixels`, the simplest of them."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

__all__ = ["Decoder", "Pixels"]


class Decoder(nn.Module, ABC):
    """Turns the n stored bases of each class into rows, in the order of the bases.

    The rows of a base depend only on the base and its position, so the first n bases decode to the same rows whether or
    not others follow.
    """

    @property
    def even(self) -> bool:
        """Whether every base decodes to the same number of rows."""
        return True

    @property
    def floats(self) -> int:
        """The number of floats that the decoder itself stores, shared by all classes."""
        return sum(p.numel() for p in self.parameters())

    @property
    def arguments(self) -> dict[str, Any]:
        """The constructor arguments as JSON values. The weights are stored separately."""
        return {}

    def extra_repr(self) -> str:
        """The text that `repr` shows between the parentheses."""
        return ", ".join(f"{k}={v}" for k, v in self.arguments.items())

    def base_shape(self, shape: tuple[int, int, int]) -> tuple[int, ...]:
        """The shape b of a stored base for rows of `shape` (channels, height, width). The default is an image.

        Raises:
            InputError: the decoder cannot make rows of this shape.
        """
        return shape

    def initial_rows(self, images: int) -> int:
        """The number of rows per class that `encode` needs for `images` bases."""
        return images

    @abstractmethod
    def encode(self, rows: Tensor) -> Tensor:
        """Initial bases `(C, n, *b)` from rows `(C, initial_rows(n), channels, height, width)`, in the stored space."""

    @abstractmethod
    def forward(self, bases: Tensor) -> Tensor:
        """Rows `(C, N, channels, height, width)` from bases `(C, n, *b)`, in the stored space; differentiable."""


class Pixels(Decoder):
    """Each base is an image and is used as the row itself (DC, DSA, DM)."""

    def encode(self, rows: Tensor) -> Tensor:
        return rows.clone()

    def forward(self, bases: Tensor) -> Tensor:
        return bases
