"""Checks of the fields of recipes and networks: annotations define the allowed values, and `check` enforces them."""

import ast
import inspect
import re
import sys
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from itertools import pairwise
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from msgspec import Meta

from condensery.errors import InputError

__all__ = [
    "Amount", "Count", "Diversity", "Factor", "Format", "GradientDistance", "Precision", "Rate", "Seed", "as_options",
    "byte_count", "check", "shallow", "whole_number", "with_fields_in_help",
]  # fmt: skip

Count = Annotated[int, Meta(ge=1, lt=2**31)]
"""A number of things, at least 1. It is below 2**31, so that it can be the size of a tensor."""
Amount = Annotated[int, Meta(ge=0, lt=2**31)]
"""A number of things; 0 turns the feature off."""
Factor = Annotated[int, Meta(ge=1, le=32)]
"""Cells along each side of a stored image."""
Rate = Annotated[float, Meta(ge=0, lt=3e38)]
"""A learning rate or another nonnegative factor, in the range of float32."""
Seed = Annotated[int, Meta(ge=0, lt=2**63)]
"""A seed of the random draws."""
Precision = Literal["bfloat16"] | None
"""The number format of computations. None: the format of the rows, which is float32."""
GradientDistance = Literal["layerwise_cosine", "squared_euclidean", "cosine", "mse", "l1"]
"""A distance between two gradients; see `objectives.distances`."""
Diversity = Literal["noise", "seeds", "styles", "none"]
"""What makes decoders differ at the start: noise on copies of one pre-trained decoder, separate weights from the start
of pre-training, copies with a style vector each, or nothing."""
Format = Literal["float16", "uint8"]
"""A number format in which sets are stored: two bytes per number, or one; see `formats`."""


def check(of: Any) -> None:
    """Check that the fields of a dataclass have values that their annotations allow.

    Annotations are types, literals, and unions and tuples of them. Ranges are written as
    `Annotated[int, msgspec.Meta(ge=1)]`.

    Raises:
        InputError: a value is not allowed. The message names the field, the allowed values and the value.
    """
    hints = get_type_hints(type(of), include_extras=True)
    for field in fields(of):
        value, hint = getattr(of, field.name), hints[field.name]
        if not _fits(value, hint):
            where = f"{of.in_messages}{field.name}" if hasattr(of, "in_messages") else field.name
            raise InputError(f"`{where}` must be {_words(hint)}, got {value!r}")


def whole_number(name: str, value: Any, least: int) -> None:
    """Check an argument that must be a whole number.

    Raises:
        InputError: `value` is below `least`, above 2**63 or something else than a whole number. The message calls it
            `name`.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**63:
        most = " and below 2**63" if isinstance(value, int) and value > least else ""
        raise InputError(f"`{name}` must be a whole number of at least {least}{most}, got {value!r}")


def byte_count(bytes: int | str) -> int:
    """The number of bytes that a number or a text such as 40KB stands for (KB: thousands, KiB: 1024).

    Raises:
        InputError: `bytes` is neither.
    """
    words = re.fullmatch(r"(\d+(?:\.\d+)?) *([kKmMgG]?)(i?)[bB]?", bytes.strip()) if isinstance(bytes, str) else None
    if words:
        bytes = float(words[1]) * (1024 if words[3] else 1000) ** ("", "k", "m", "g").index(words[2].lower())
    if isinstance(bytes, bool) or not isinstance(bytes, int | float) or not (bytes >= 0 and _finite(bytes)):
        raise InputError(
            f"{bytes!r} is no number of bytes; give a number of at least 0, or text such as '40 KB' or '1.5 MB'"
        )
    return int(bytes)


def shallow(value: Any, most: int = 50) -> bool:
    """Whether lists and dictionaries are nested at most `most` levels deep, which recursive functions can follow."""
    layer = [value]
    for _ in range(most):
        layer = [
            inner for each in layer if isinstance(each, list | tuple | dict)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]  # fmt: skip
        if not layer:
            return True
    return False


def as_options(values: Mapping[str, Any]) -> list[str]:
    """Fields and their values as words of a command line, without those that are None."""
    words = []
    for name, value in values.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        elif isinstance(value, list | tuple):
            words += [f"--{option}", *map(str, value)]
        elif value is not None:
            words += [f"--{option}", str(value)]
    return words


def with_fields_in_help(kind: type) -> None:
    """Add the descriptions of a dataclass's fields to its docstring, so that Python's `help` shows them.

    The description of a field is the string below it in the source. Sphinx and the command line read it there too.
    """
    meanings = {name: text for part in reversed(kind.__mro__[:-1]) for name, text in _meanings(part).items()}
    if meanings:
        lines = [f"    {name}: {text}" for name, text in meanings.items()]
        kind.__doc__ = "\n".join([inspect.cleandoc(kind.__doc__ or ""), "", "Fields:", *lines])


def _meanings(kind: type) -> dict[str, str]:
    """The strings that follow annotated names in the body of a class, by name."""
    try:
        tree = _parsed(inspect.getsourcefile(kind) or "")
    except (OSError, TypeError, SyntaxError):  # for example, an interactive session has no source file
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
        return isinstance(value, int | float) and not isinstance(value, bool) and _finite(value)
    return isinstance(value, hint) and not (hint is int and isinstance(value, bool))


def _finite(value: float) -> bool:
    """Whether a number is a finite float, or a whole number that can be one."""
    return abs(value) <= sys.float_info.max


def _within(value: Any, meta: Meta) -> bool:
    """Whether a number is in the range of `meta`, or a tuple has the length that `meta` allows."""
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
    """A description of the values that an annotation allows."""
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
    if hint.__name__ == "Factory":  # of networks.net
        return "a function (shape, classes) -> torch.nn.Module"
    return _WORDS.get(hint) or f"a {hint.__name__}"


def _range(meta: Meta) -> str:
    if meta.max_length is not None:
        return f"of {meta.min_length or 0} to {meta.max_length} items"
    if meta.ge is not None and meta.le is not None:
        return f"from {meta.ge:,} to {meta.le:,}"
    bounds = {"of at least": meta.ge, "above": meta.gt, "at most": meta.le, "below": meta.lt}
    return " and ".join(f"{words} {bound:,}" for words, bound in bounds.items() if bound is not None)
