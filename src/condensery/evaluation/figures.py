"""The JSON files that `condensery evaluate` and `condensery compare` write, read again."""

from pathlib import Path
from typing import Any

import msgspec

from condensery.errors import InputError

__all__ = ["Figure", "figures_in"]


class Figure(msgspec.Struct):
    """An accuracy, and what was measured."""

    accuracy: float
    std: float
    n: int
    protocol: str
    floats: int
    bytes: int
    network: dict[str, Any]
    method: str
    half_width: float | None = msgspec.field(default=None, name="half width")
    images: int | None = None
    ipc: int | None = None
    codes: int | None = None
    confusion: list[list[int]] | None = None
    recipe: dict[str, Any] | None = None
    """The recipe of the set, if the file is of one method."""
    date: str = ""

    @property
    def size(self) -> int | None:
        """Stored images or codes per class; None: the whole real set."""
        return next((n for n in (self.images, self.ipc, self.codes) if n is not None), None)


class _Table(msgspec.Struct):
    """Schema of a file."""

    results: list[Figure]
    recipe: dict[str, Any] | None = None
    date: str = ""


def figures_in(path: str | Path) -> list[Figure]:
    """The accuracies in a JSON file of `evaluate` or `compare`.

    Raises:
        InputError: the file does not exist or is not such a file.
    """
    try:
        table = msgspec.json.decode(Path(path).read_bytes(), type=_Table)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: not a file of evaluate --json or compare --json ({error}); write it again"
        ) from error
    for figure in table.results:
        figure.recipe, figure.date = table.recipe, table.date
    return table.results
