"""Warm: condense data that have grown, starting from the set of the earlier data. This wrapper is not from a paper."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from condensery.errors import InputError
from condensery.recipes.recipe import R, Recipe, Wrapper

if TYPE_CHECKING:
    from condensery.algorithms.matching import Matching
    from condensery.data import RealSet
    from condensery.runs.condensed import Condensed
    from condensery.synthetic import SyntheticSet

__all__ = ["Warm"]


@dataclass(frozen=True)
class Warm(Wrapper[R]):
    """Warm: start from a set that was condensed from earlier data, when rows or classes have been added.

    It wraps any recipe that matches: `Warm(DM(ipc=10, steps=100), start="runs/last")`. The classes of the earlier set
    start from its images (or codes), and decoders from its decoders; new classes, and images beyond the earlier `ipc`,
    start as the wrapped recipe says. So fewer steps are needed than in the first run; their number is that of the
    wrapped recipe. Around `Unrolled`, the earlier set replaces the one from which the rounds would start, and only the
    rounds are performed. If something is new, the recipe in `Unrolled` runs first, and what is new starts from its
    result.
    """

    name: ClassVar[str] = "warm"

    start: str = ""
    """The earlier set: its file (.safetensors), or the folder of the run that wrote it. It must have been
    condensed by the same recipe; only `ipc` may have been smaller, and the number of steps different."""
    start_hash: str = ""
    """Hash of the earlier set's file; no other set is accepted then. Empty: any set. The record of a run has it."""

    @classmethod
    def quick(cls, base: R) -> "Warm[R]":
        """The settings of the wrapped recipe; `start` must still be set."""
        return cls(base)

    @classmethod
    def named(cls) -> "dict[str, Recipe]":
        """An empty dictionary: without an earlier set, there is nothing to start from."""
        return {}

    def record(self) -> dict[str, Any]:
        """The name and all fields, from which the recipe can be made in any folder.

        The path is absolute. The hash is that of the earlier set as it is now, if the recipe has none.

        Raises:
            InputError: the earlier set cannot be read.
        """
        if not self.start:
            return super().record()
        return super().record() | {"start": os.path.abspath(self.start), "start_hash": self.start_hash or self._hash()}

    def _hash(self) -> str:
        """The hash of the earlier set's file.

        Raises:
            InputError: it cannot be read.
        """
        from condensery.runs.artifact import NAME

        path = Path(self.start)
        try:
            content = (path / NAME if path.is_dir() else path).read_bytes()
        except OSError as error:
            raise InputError(
                f"{self.start}, from which warm starts, cannot be read ({error.strerror or error}); say where the "
                "earlier set is now (`start`)"
            ) from error
        return hashlib.blake2b(content, digest_size=16).hexdigest()

    def algorithm(self, real: "RealSet") -> "Matching":
        """The algorithm of `base`, which begins with the earlier set."""
        from condensery.algorithms.algorithm import FromSet
        from condensery.runs.artifact import load

        made = self.matching(real)
        if not self.start:
            raise InputError("warm starts from an earlier set, and none is given; give `start`, a file or a folder")
        earlier = load(self.start)
        if self.start_hash not in ("", found := self._hash()):
            raise InputError(
                f"{self.start} is another set than before (its hash is {found}, not {self.start_hash}); give the "
                "earlier one, or begin a new run"
            )
        names = earlier.class_names
        places = [names.index(name) if name in names else None for name in real.class_names]
        self._check(earlier, made.finish(made.synthetic), places)
        start = FromSet(earlier.synthetic, places)
        return replace(made, beginnings=(*(() if start.covers(made.synthetic) else made.beginnings), start))

    def _check(self, earlier: "Condensed", synthetic: "SyntheticSet", places: Sequence[int | None]) -> None:
        """Check that a set can start from an earlier one.

        Raises:
            InputError: they have no class in common, differ in what is stored, or have images of several cells that
                are whitened in different ways; or there are new classes, which learned labels and decoders do not know.
        """
        from condensery.decoders import Factorized, Pixels

        theirs, new = earlier.synthetic, None in places
        if not any(place is not None for place in places):
            raise InputError(f"{self.start} has none of the classes of these data; give a set of the same classes")
        decoders = [(type(each.decoder), each.decoder.arguments) for each in (theirs, synthetic)]
        shapes = [(each.bases.shape[2:], each.space.stored, each.labels is None) for each in (theirs, synthetic)]
        if decoders[0] != decoders[1] or shapes[0] != shapes[1]:
            raise InputError(
                f"{self.start} stores something else than {self.base.name} with these fields does; give the fields "
                "with which it was condensed"
            )
        if theirs.bases_per_class > synthetic.bases_per_class:
            raise InputError(
                f"{self.start} stores {theirs.bases_per_class} images or codes per class, and this recipe stores "
                f"{synthetic.bases_per_class}; give a larger `ipc`, or cut a subset of it first"
            )
        if new and synthetic.labels is not None:
            raise InputError("learned labels know the earlier classes only; start anew when classes are added")
        spaces = theirs.space, synthetic.space
        whitened = any(space.whitening for space in spaces) and spaces[0].fingerprint != spaces[1].fingerprint
        if whitened and synthetic.space.stored == "normalized" and not isinstance(synthetic.decoder, Pixels):
            raise InputError(  # whitening is of whole rows, and an image of cells is none
                f"{self.start} stores images of several cells, and these data are whitened in another way, which would "
                "mix the cells; condense both without `zca`, or with `factor=1`"
            )
        more = theirs.bases_per_class < synthetic.bases_per_class
        if (new or more) and isinstance(synthetic.decoder, Factorized):
            raise InputError(
                "the earlier decoders have no encoder, which new codes would need for their start; start anew when "
                "classes are added or `ipc` is raised"
            )
