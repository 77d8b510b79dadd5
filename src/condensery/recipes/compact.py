"""Compact: sets that are stored in fewer bits per number. This wrapper is not from a paper."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from msgspec import Meta

from condensery.fields import Format
from condensery.recipes.recipe import R, Recipe, Wrapper

if TYPE_CHECKING:
    from condensery.algorithms.matching import Matching
    from condensery.data import RealSet

__all__ = ["Compact"]

_GRIDS = 16 * 8
"""The most bytes that grids take: a set has at most 16 tensors (bases, labels, weights and biases of a decoder)."""


@dataclass(frozen=True)
class Compact(Wrapper[R]):
    """Compact: store numbers in one or two bytes instead of four, and take the rounding into account while learning.

    It wraps any recipe that matches: `Compact(KFS(ipc=4, strict=True))` stores four times as many numbers in the same
    bytes. In the last part of the run, rows are decoded from rounded numbers, and gradients pass through the rounding
    unchanged (the straight-through estimator). Images that another wrapper freezes are rounded with all others at the
    end of the run.

    References:
        Jacob et al., Quantization and Training of Neural Networks (2018), https://arxiv.org/abs/1712.05877, section 3,
        for networks; here one grid serves a whole tensor.
    """

    name: ClassVar[str] = "compact"

    format: Format = "uint8"
    """Number format in which the set is stored: two bytes per number (float16), or one (uint8), whose 256 values are
    equally spaced between the smallest and the largest number of a tensor."""
    share: Annotated[float, Meta(ge=0, le=1)] = 0.3
    """Fraction of the steps, at the end, in which rows are decoded from rounded numbers; 0: numbers are only rounded
    when the run is finished. Around `Unrolled`, it is a fraction of the rounds that come last."""

    @classmethod
    def quick(cls, base: R) -> "Compact[R]":
        """The settings of the wrapped recipe, with one byte per number."""
        return cls(base)

    @classmethod
    def named(cls) -> "dict[str, Recipe]":
        """Compact around KFS, with four times as many numbers as one float32 image per class, in the same bytes."""
        from condensery.recipes.kfs import KFS

        whole, quick = KFS(ipc=4, strict=True), replace(KFS.quick(), ipc=4)
        return {"compact": cls(whole), "compact:quick": cls.quick(quick)}  # type: ignore[arg-type]

    def within(self, bytes: int | str, real: "RealSet", per_number: int | None = None, extra: int = 0) -> Self:
        """A copy whose base has the largest `ipc` that fits when it is stored in `format`."""
        from condensery.formats import itemsize

        grids = _GRIDS if self.format == "uint8" else 0
        return replace(self, base=self.base.within(bytes, real, itemsize(real.dtype, self.format), grids))

    def algorithm(self, real: "RealSet") -> "Matching":
        """The algorithm of `base`, whose set is stored in another number format."""
        made = self.matching(real)
        made.synthetic.format = self.format
        return replace(made, quantize_from=1 - self.share)
