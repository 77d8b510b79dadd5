"""What the fields of recipes and networks may be: it stands in their annotations, and `check` reads it there."""

import ast
import inspect
from dataclasses import fields
from functools import cache
from itertools import pairwise
from math import isfinite
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from msgspec import Meta

from condensery.errors import InputError

__all__ = ["Amount", "Count", "Factor", "Precision", "Rate", "Seed", "check", "with_fields_in_help"]

Count = Annotated[int, Meta(ge=1, lt=2**31)]
"""How many of something there must be at least one of; no size of a tensor is larger."""
Amount = Annotated[int, Meta(ge=0, lt=2**31)]
"""How many of something; 0 leaves it out."""
Factor = Annotated[int, Meta(ge=1, le=32)]
"""Cells along each side of a stored image."""
Rate = Annotated[float, Meta(ge=0, lt=3e38)]
"""A learning rate or another factor, of float32's range."""
Seed = Annotated[int, Meta(ge=0, lt=2**63)]
"""A seed of random numbers."""
Precision = Literal["bfloat16"] | None
"""The number format to compute in; None: that of the rows, float32."""


def check(of: Any) -> None:
    """Refuse values of a dataclass's fields that their annotations do not allow.

    Annotations are types, literals, unions and tuples of them, with ranges as `Annotated[int, msgspec.Meta(ge=1)]`.

    Raises:
        InputError: which field, what it must be, what it is.
    """
    hints = get_type_hints(type(of), include_extras=True)
    for field in fields(of):
        value, hint = getattr(of, field.name), hints[field.name]
        if not _fits(value, hint):
            where = f"{of.in_messages}{field.name}" if hasattr(of, "in_messages") else field.name
            raise InputError(f"`{where}` must be {_words(hint)}, got {value!r}")


def with_fields_in_help(kind: type) -> None:
    """Add to a dataclass's docstring what its fields mean, which Python's `help` would not show.

    The meaning of a field is the string below it in the source. Sphinx and the command line read it there too.
    """
    meanings = {name: text for part in reversed(kind.__mro__[:-1]) for name, text in _meanings(part).items()}
    if meanings:
        lines = [f"    {name}: {text}" for name, text in meanings.items()]
        kind.__doc__ = "\n".join([inspect.cleandoc(kind.__doc__ or ""), "", "Fields:", *lines])


def _meanings(kind: type) -> dict[str, str]:
    """The strings below the annotated names in the body of a class."""
    try:
        tree = _parsed(inspect.getsourcefile(kind) or "")
    except (OSError, TypeError, SyntaxError):  # a class that was typed in at a prompt, say
        return {}
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == kind.__name__]
    found = {}
    for field, meaning in pairwise(classes[0].body if classes else []):
        match field, meaning:
            case ast.AnnAssign(ast.Name(name), annotation), ast.Expr(ast.Constant(str(text))):
                if "ClassVar" not in ast.unparse(annotation):
                    found[name] = " ".join(text.split())
    return found


@cache
def _parsed(path: str) -> ast.Module:
    with open(path, encoding="utf-8") as file:
        return ast.parse(file.read())


def _fits(value: Any, hint: Any) -> bool:
    kind, parts = get_origin(hint), get_args(hint)
    if kind is Annotated:
        return _fits(value, parts[0]) and all(_within(value, meta) for meta in parts[1:])
    if kind in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if kind is Literal:
        return any(value == known and type(value) is type(known) for known in parts)
    if kind is tuple:
        return isinstance(value, tuple) and all(_fits(item, parts[0]) for item in value)
    if isinstance(hint, TypeVar):
        return _fits(value, hint.__bound__)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    return isinstance(value, hint) and not (hint is int and isinstance(value, bool))


def _within(value: Any, meta: Meta) -> bool:
    """Whether a number is in the range of `meta`, or a tuple as long as it says."""
    return (
        (meta.ge is None or value >= meta.ge)
        and (meta.gt is None or value > meta.gt)
        and (meta.le is None or value <= meta.le)
        and (meta.lt is None or value < meta.lt)
        and (meta.min_length is None or len(value) >= meta.min_length)
        and (meta.max_length is None or len(value) <= meta.max_length)
    )


_WORDS = {int: "a whole number", float: "a number", bool: "True or False", str: "text", NoneType: "None"}


def _words(hint: Any) -> str:
    """What an annotation allows, in words."""
    kind, parts = get_origin(hint), get_args(hint)
    if kind is Annotated:
        return " ".join([_words(parts[0]), *(_range(meta) for meta in parts[1:])])
    if kind in (Union, UnionType):
        return " or ".join(_words(part) for part in parts)
    if kind is Literal:
        return " or ".join(map(repr, parts))
    if kind is tuple:
        return f"a tuple ({_words(parts[0])} each)"
    if isinstance(hint, TypeVar):
        return _words(hint.__bound__)
    return _WORDS.get(hint) or f"a {hint.__name__}"


def _range(meta: Meta) -> str:
    if meta.max_length is not None:
        return f"of {meta.min_length or 0} to {meta.max_length} items"
    if meta.ge is not None and meta.le is not None:
        return f"from {meta.ge:,} to {meta.le:,}"
    bounds = {"of at least": meta.ge, "above": meta.gt, "at most": meta.le, "below": meta.lt}
    return " and ".join(f"{words} {bound:,}" for words, bound in bounds.items() if bound is not None)
