"""Compact: a set that is stored in fewer bits; a wrapper of ours."""

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
"""Bytes for the grids of a set, which has at most 16 tensors (the weights and biases of a decoder's layers)."""


@dataclass(frozen=True)
class Compact(Wrapper[R]):
    """Compact: store a number in one or two bytes instead of four, and learn the set so that this does no harm.

    It wraps any recipe that matches: `Compact(KFS(ipc=4, strict=True))` stores four times as many numbers in the same
    bytes. In the last part of the run, rows are decoded from the numbers that will be stored, while the gradient is
    that of the numbers themselves (the straight-through estimator). Images that another wrapper freezes are rounded
    together with all others at the end of the run.

    References:
        Jacob et al., Quantization and Training of Neural Networks (2018), https://arxiv.org/abs/1712.05877, section 3,
        for networks; here one grid serves a whole tensor.
    """

    name: ClassVar[str] = "compact"

    format: Format = "uint8"
    """Number format in which the set is stored: two bytes per number (float16), or one byte, whose 256 values are
    equally spaced between the smallest and the largest number of its tensor (uint8)."""
    share: Annotated[float, Meta(ge=0, le=1)] = 0.3
    """The last part of the run in which rows are decoded from rounded numbers; 0: numbers are rounded at the end."""

    @classmethod
    def quick(cls, base: R) -> "Compact[R]":
        """Settings for minutes on a CPU: those of the wrapped recipe, with a byte per number."""
        return cls(base)

    @classmethod
    def named(cls) -> "dict[str, Recipe]":
        """Compact around KFS: four images per class in the bytes of one that is stored in float32."""
        from condensery.recipes.kfs import KFS

        paper, quick = KFS(ipc=4, strict=True), replace(KFS.quick(), ipc=4)
        return {"compact": cls(paper), "compact:quick": cls.quick(quick)}  # type: ignore[arg-type]

    def within(self, bytes: int | str, real: "RealSet", each: int | None = None, apart: int = 0) -> Self:
        """A copy whose base has the largest `ipc` that fits when it is stored in `format`."""
        each, apart = (2, 0) if self.format == "float16" else (1, _GRIDS)
        return replace(self, base=self.base.within(bytes, real, each, apart))

    def algorithm(self, real: "RealSet") -> "Matching":
        """The algorithm of `base`, whose set is stored in another number format."""
        made = self.matching(real)
        made.synthetic.format = self.format
        return replace(made, rounds_from=1 - self.share)
