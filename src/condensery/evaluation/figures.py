"""The JSON files that `condensery evaluate` and `condensery compare` write, read again."""

import json
from pathlib import Path
from typing import Annotated, Any

import msgspec

from condensery.errors import InputError
from condensery.evaluation.evaluate import Accuracy
from condensery.evaluation.statistics import Difference
from condensery.networks.convnet import ConvNet
from condensery.runs import storage
from condensery.runs.condensed import Condensed

__all__ = ["Figure", "figures_in"]


Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Number = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Figure(msgspec.Struct):
    """An accuracy, and what was measured."""

    accuracy: Fraction
    std: Fraction
    runs: list[Fraction]
    protocol: str
    floats: Number
    bytes: Number
    network: dict[str, Any]
    method: str
    half_width: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = msgspec.field(default=None, name="half width")
    sets: Number = 1
    images: Number | None = None
    ipc: Number | None = None
    codes: Number | None = None
    confusion: list[list[Number]] | None = None
    recipes: list[dict[str, Any]] = []
    """The recipes of the sets that were measured; none: no set that a recipe made."""
    fingerprint: str = ""
    """The fingerprint of the data's training part."""
    date: str = ""

    def __post_init__(self) -> None:
        if not self.runs or self.sets < 1 or len(self.runs) % self.sets:
            raise ValueError(f"{len(self.runs)} runs of {self.sets} sets")
        if self.confusion is not None and {len(row) for row in self.confusion} != {len(self.confusion)}:
            raise ValueError("a confusion matrix that is not square")

    @property
    def n(self) -> int:
        """The number of networks."""
        return len(self.runs)

    @property
    def size(self) -> int | None:
        """Stored images or codes per class; None: the whole real set."""
        return next((n for n in (self.images, self.ipc, self.codes) if n is not None), None)

    def shows(self, condensed: Condensed) -> bool:
        """Whether a condensed set was measured, or a set of which it is a subset, or a subset of it."""
        return condensed.recipe in self.recipes and condensed.data["fingerprint"] == self.fingerprint

    def minus(self, other: "Figure") -> Difference:
        """By how much this accuracy is higher; see `Accuracy.minus`."""
        # any network will do, since the difference depends on the runs alone
        ours, theirs = (Accuracy(tuple(f.runs), f.protocol, ConvNet(), 0.0, f.sets) for f in (self, other))
        return ours.minus(theirs)


class _Origin(msgspec.Struct):
    """The data on which networks were tested."""

    fingerprint: str


class _Table(msgspec.Struct):
    """Schema of a file: `evaluate` writes one recipe, that of the first row, `compare` those of all its rows."""

    results: list[Figure]
    data: _Origin
    recipe: dict[str, Any] | None = None
    recipes: list[dict[str, Any]] = []
    date: str = ""


def figures_in(path: str | Path) -> list[Figure]:
    """The accuracies in a JSON file of `evaluate` or `compare`.

    Raises:
        InputError: the file does not exist or is not such a file.
    """
    try:
        table = msgspec.convert(json.loads(storage.read(Path(path))), _Table)  # msgspec reads UTF-8 only
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: not a file of evaluate --json or compare --json ({error}); write it again"
        ) from error
    made = [(recipe.get("row"), {k: v for k, v in recipe.items() if k != "row"}) for recipe in table.recipes]
    made += [(figure.method, table.recipe) for figure in table.results[:1] if table.recipe]
    for figure in table.results:
        figure.recipes = [recipe for method, recipe in made if method == figure.method]
        figure.fingerprint, figure.date = table.data.fingerprint, table.date
    return table.results
