"""Results of trials, kept in a file from which a search goes on."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from condensery.errors import InputError
from condensery.runs import storage

__all__ = ["Trials", "trials_in"]


class Trials:
    """A table of results. The key of a result is everything that determines it.

    Arguments:
        path: a file with one JSON object per line, in a folder that exists. None: results are kept in memory only.

    Raises:
        InputError: the file has a line that is not a trial, or cannot be read.
    """

    def __init__(self, path: Path | None = None):
        self.path, self.found = path, {}  # type: Path | None, dict[str, dict[str, float]]
        if path is not None and path.exists():
            self._read(path)

    def _read(self, path: Path) -> None:
        try:
            words = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read ({error}); choose another folder") from error
        *lines, cut = words.split("\n")
        for number, line in enumerate(lines, 1):
            try:
                trial = json.loads(line)
                result = {name: float(trial["result"][name]) for name in ("accuracy", "seconds")}
                self.found[_words(trial["key"])] = result
            except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
                raise InputError(
                    f"{path}, line {number}: not a trial; remove the line, or choose another folder"
                ) from error
        if cut:  # a kill has cut the last line
            storage.write(path, "".join(f"{line}\n" for line in lines).encode())

    def add(self, key: dict[str, Any], result: dict[str, float], lasting: bool = True) -> None:
        """Keep a result; in the file too if it is `lasting`, that is, if its key tells all that determines it."""
        self.found[_words(key)] = result
        if self.path is not None and lasting:
            storage.append(self.path, json.dumps({"key": key, "result": result}))

    def __contains__(self, key: dict[str, Any]) -> bool:
        return _words(key) in self.found

    def __getitem__(self, key: dict[str, Any]) -> dict[str, float]:
        return self.found[_words(key)]


@contextmanager
def trials_in(folder: Path) -> Iterator[Trials]:
    """The trials that a folder keeps; inside the block, no other search can add to them.

    Raises:
        InputError: the folder cannot be written or is in use by another process, or its trials cannot be read.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error.strerror or error}); choose another folder") from error
    with storage.locked(folder):
        yield Trials(folder / "trials.jsonl")


def _words(key: dict[str, Any]) -> str:
    return json.dumps(key, sort_keys=True)
