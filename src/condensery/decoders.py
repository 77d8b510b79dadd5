"""Decoders: what turns a stored base into training rows. Parameterizations differ only here.

A decoder is a module with

    base_shape(shape) -> shape of one stored base for rows of `shape`
    encode(rows) -> bases, the initial bases for given rows: (m, *shape) to (m, *base_shape)
    forward(bases) -> rows, (m, *base_shape) to (m, k, *shape): every base gives k rows

Rows of one base depend on that base alone, so the first n bases decode to the same rows whatever follows them.
"""

from torch import Tensor, nn

__all__ = ["Decoder", "Pixels"]


class Decoder(nn.Module):
    """The base of all decoders; `floats` counts what a decoder itself stores."""

    @property
    def floats(self) -> int:
        """Stored floats of the decoder, shared by all classes."""
        return sum(p.numel() for p in self.parameters())

    def base_shape(self, shape: tuple[int, int, int]) -> tuple[int, ...]:
        raise NotImplementedError

    def encode(self, rows: Tensor) -> Tensor:
        raise NotImplementedError


class Pixels(Decoder):
    """A base is an image: k = 1 (DC, DSA, DM)."""

    def base_shape(self, shape: tuple[int, int, int]) -> tuple[int, ...]:
        return shape

    def encode(self, rows: Tensor) -> Tensor:
        return rows.clone()

    def forward(self, bases: Tensor) -> Tensor:
        return bases[:, None]
