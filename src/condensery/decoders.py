"""Decoders: what turns a stored base into training rows. Parameterizations differ only here.

A decoder is a module with `base_shape`, `encode` and `forward`; a set of m bases, each of shape b, becomes (m, k, ...)
rows: every base gives k of them.

Rows of one base depend on that base alone, so the first n bases decode to the same rows whatever follows them.
"""

from abc import ABC, abstractmethod

from torch import Tensor, nn

__all__ = ["Decoder", "Pixels"]


class Decoder(nn.Module, ABC):
    """The base of all decoders; `floats` counts what a decoder itself stores."""

    @property
    def floats(self) -> int:
        """Stored floats of the decoder, shared by all classes."""
        return sum(p.numel() for p in self.parameters())

    @abstractmethod
    def base_shape(self, shape: tuple[int, int, int]) -> tuple[int, ...]:
        """The shape b of one stored base, for rows of `shape` (channels, height, width)."""

    @abstractmethod
    def encode(self, rows: Tensor) -> Tensor:
        """Initial bases `(m, *b)` for rows `(m, channels, height, width)` in the stored pixel space."""

    @abstractmethod
    def forward(self, bases: Tensor) -> Tensor:
        """Rows `(m, k, channels, height, width)` of bases `(m, *b)`, in the stored pixel space; differentiable."""


class Pixels(Decoder):
    """A base is an image: k = 1 (DC, DSA, DM)."""

    def base_shape(self, shape: tuple[int, int, int]) -> tuple[int, ...]:
        return shape

    def encode(self, rows: Tensor) -> Tensor:
        return rows.clone()

    def forward(self, bases: Tensor) -> Tensor:
        return bases[:, None]
