"""Checks that recipes make of their fields, in the words of the command line."""

from math import inf

from condensery.errors import InputError

__all__ = ["at_least", "option"]


def option(name: str) -> str:
    """A field's name as it is typed."""
    return "--" + name.replace("_", "-")


def at_least(minimum: float, **fields: float | None) -> None:
    """Refuse a field below `minimum`; None means "by the rule" and passes.

    Raises:
        InputError: which field, what it must be, what it is.
    """
    for name, value in fields.items():
        if value is not None and not minimum <= value < inf:
            raise InputError(f"{option(name)} must be at least {minimum:g} and finite, got {value:g}")
