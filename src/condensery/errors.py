"""The two ways in which a command can go wrong, safe words for them, and how much memory input may ask for."""

import os
import unicodedata

__all__ = ["InputError", "RunError", "bounded", "plain", "unprintable"]

LIMIT = "CONDENSERY_LIMIT_GB"
LIMIT_GB = 4.0

_LONGEST = 1000  # characters of a message
_TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}  # make text read in another order


def unprintable(character: str) -> bool:
    """Whether a character controls a terminal, breaks a line, reorders text or is half of one that is no text."""
    return not character.isprintable() and (
        unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(character) in _TURNING
    )


def plain(text: object) -> str:
    """Words of a file or a user on one line, safe for a terminal: what is `unprintable` is written as an escape."""
    words = str(text)
    if words.isprintable():
        return words
    return "".join(c.encode("unicode_escape").decode() if unprintable(c) else c for c in words)


class _OneLine(Exception):
    def __init__(self, message: object):
        words = plain(message)
        if len(words) > _LONGEST:
            words = f"{words[: 2 * _LONGEST // 3]} ... {words[-_LONGEST // 3 :]}"
        super().__init__(words)


class InputError(_OneLine):
    """The command or its input is wrong: one line that says what, where and what to do (exit status 2)."""


class RunError(_OneLine):
    """A run that was asked for correctly failed on its way (exit status 1)."""


def bounded(size: int, what: str) -> None:
    """Refuse what would take too much memory, before it is taken.

    The limit is 4 GB for what one file, folder or command asks for; CONDENSERY_LIMIT_GB sets another.

    Arguments:
        size: bytes.
        what: takes them, in words.

    Raises:
        InputError: more than the limit, or a limit that is no number.
    """
    told = os.environ.get(LIMIT)
    try:
        limit = float(told) if told else LIMIT_GB
    except ValueError:
        raise InputError(f"{LIMIT} is {told!r}; give a number of GB") from None
    if size > limit * 2**30:
        raise InputError(
            f"{what} would take {size / 2**30:,.1f} GB of memory, more than the limit of {limit:g} GB; "
            f"where that is meant, set {LIMIT}={max(1, -(-size // 2**30))}"
        )
