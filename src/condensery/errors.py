"""The two errors that a command can end with, text that is safe to print, the memory limit for input, and names."""

import difflib
import os
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TypeVar

__all__ = ["InputError", "RunError", "bounded", "look_up", "memory_limit", "plain", "quoted", "unprintable"]

T = TypeVar("T")

LIMIT = "CONDENSERY_LIMIT_GB"
LIMIT_GB = 4.0

_LONGEST = 1000  # the most characters of a message
_TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}  # bidirectional controls that reorder text


def unprintable(character: str) -> bool:
    """Whether a character controls a terminal, breaks a line, reorders text or is an unpaired surrogate."""
    return not character.isprintable() and (
        unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(character) in _TURNING
    )


def plain(text: object) -> str:
    """Text from a file or user as one line that is safe for a terminal: `unprintable` characters become escapes."""
    words = str(text)
    if words.isprintable():
        return words
    return "".join(c.encode("unicode_escape").decode() if unprintable(c) else c for c in words)


def quoted(text: object) -> str:
    """Words of another program with ' for backquotes, which the command line takes for marks of its options."""
    return str(text).replace("`", "'")


class _OneLine(Exception):
    def __init__(self, message: object):
        words = plain(message)
        if len(words) > _LONGEST:
            words = f"{words[: 2 * _LONGEST // 3]} ... {words[-_LONGEST // 3 :]}"
        super().__init__(words)


class InputError(_OneLine):
    """The command or its input is wrong (exit status 2).

    The message is one line that says what is wrong, where, and what to do.
    """


class RunError(_OneLine):
    """A correct command failed while it ran (exit status 1)."""


def memory_limit() -> float:
    """The memory in bytes that `bounded` allows.

    Raises:
        InputError: CONDENSERY_LIMIT_GB is not a number above 0.
    """
    told = os.environ.get(LIMIT)
    try:
        limit = float(told) if told else LIMIT_GB
    except ValueError:
        limit = 0.0
    if not limit > 0:
        raise InputError(f"{LIMIT} is {told!r}; set it to a number of GB above 0")
    return limit * 2**30


def bounded(size: int, what: str) -> None:
    """Check that something fits the memory limit, before its memory is allocated.

    The limit is 4 GB for one file, folder or command. The environment variable CONDENSERY_LIMIT_GB sets another limit.

    Arguments:
        size: memory in bytes.
        what: what takes the memory; the subject of the error message.

    Raises:
        InputError: `size` is above the limit, or CONDENSERY_LIMIT_GB is not a number.
    """
    if size > (limit := memory_limit()):
        raise InputError(
            f"{what} would take {size / 2**30:,.1f} GB of memory, more than the limit of {limit / 2**30:g} GB; "
            f"to allow it, set {LIMIT}={max(1, -(-size // 2**30))}"
        )


def look_up(table: Mapping[str, T], name: str, what: str, also: Sequence[str] = ()) -> T:
    """The entry `name` of `table`.

    Arguments:
        what: the kind of entry, for the message.
        also: what else could have been given, for the message.

    Raises:
        InputError: no such entry; the message suggests a similar name.
    """
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name.lower(), table, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise InputError(f"unknown {what} {name!r}: {hint}known: {', '.join([*table, *also])}")
