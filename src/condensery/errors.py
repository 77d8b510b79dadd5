"""The two ways in which a command can go wrong, and words that may come from anywhere."""

import unicodedata

__all__ = ["InputError", "RunError", "plain", "unprintable"]

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
