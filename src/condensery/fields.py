"""Checks that recipes and network descriptions make of their fields, in the words of the command line."""

from dataclasses import fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from condensery.errors import InputError

__all__ = ["at_least", "well_typed"]


_MOST = {int: 2**31, float: 3e38}  # beyond, neither a size of a tensor nor a float32


def at_least(minimum: float, prefix: str = "", **values: float | None) -> None:
    """Refuse a value below `minimum`, not finite or beyond what tensors hold; None means "by the rule" and passes.

    Arguments:
        prefix: of the fields' options, "multisize." say.

    Raises:
        InputError: which field, what it must be, what it is.
    """
    for name, value in values.items():
        option = f"--{prefix}{name.replace('_', '-')}"
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"{option} must be a number, got {value!r}")
        most = _MOST[int if isinstance(value, int) else float]
        if not minimum <= value <= most:
            raise InputError(f"{option} must be at least {minimum:g} and at most {most:g}, got {value}")


def well_typed(of: Any) -> None:
    """Refuse a value outside its field's `Literal`, a fraction where a whole number is meant, another kind of part.

    Raises:
        InputError: which field of the dataclass `of`, what it may be, what it is.
    """
    hints = get_type_hints(type(of))
    for field in fields(of):
        value, hint = getattr(of, field.name), hints[field.name]
        known = [a for part in (hint, *get_args(hint)) if get_origin(part) is Literal for a in get_args(part)]
        if known and value not in known and not (value is None and type(None) in get_args(hint)):
            raise InputError(f"{field.name} is {value!r}; known: {', '.join(map(repr, known))}")
        nested = [part for part in (hint, *get_args(hint)) if isinstance(part, type) and is_dataclass(part)]
        if nested and value is not None and not isinstance(value, tuple(nested)):
            raise InputError(f"{field.name} is {value!r}; it must be of {nested[0].__name__}")
        whole = isinstance(value, int) and not isinstance(value, bool)
        if hint in (int, int | None) and value is not None and not whole:
            raise InputError(f"{field.name} is {value!r}; it must be a whole number")
