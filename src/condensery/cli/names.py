"""The names that the command line knows: recipes, networks and protocols."""

import difflib
import re
from collections.abc import Mapping
from typing import TypeVar

from condensery import recipes
from condensery.errors import InputError
from condensery.networks.net import Net
from condensery.recipes import Recipe, Wrapper

__all__ = ["ADDED", "NETWORKS", "PROTOCOLS", "RECIPES", "flags", "look_up", "recipe"]

_KINDS = [getattr(recipes, name) for name in recipes.__all__ if name not in ("Recipe", "Wrapper")]
RECIPES: dict[str, Recipe] = {name: made for kind in _KINDS for name, made in kind.named().items()}
ADDED = {kind.name: kind for kind in _KINDS if issubclass(kind, Wrapper)}
"""Wrappers by the NAME in RECIPE+NAME."""
NETWORKS = {"convnet": Net(), "mlp": Net("mlp")}
PROTOCOLS = (
    "dc2021", "dsa2021", "idc2022", "idc2022-equal-steps", "imagenet2022", "kfs2022", "fixed-steps", "fixed-seconds",
    "whole",
)  # fmt: skip

T = TypeVar("T")


def look_up(table: Mapping[str, T], name: str, what: str) -> T:
    """The entry `name` of `table`.

    Arguments:
        what: the kind of entry, for the message.

    Raises:
        InputError: no such entry; the message suggests a similar name.
    """
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name.lower(), table, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise InputError(f"unknown {what} {name!r}: {hint}known: {', '.join(table)}")


def recipe(name: str) -> Recipe:
    """The recipe with a name such as dc, dc:paper (the same recipe), dc:quick or dc:quick+mdc.

    Raises:
        InputError: no such recipe or wrapper, or the wrapper does not fit the recipe.
    """
    base, *added = name.split("+")
    if "" in (base, *added):
        raise InputError(f"{name!r}: a name is missing before or after +; give, for example, dc:quick+mdc")
    found = look_up(RECIPES, base.removesuffix(":paper"), "recipe")
    quick = base.endswith((":quick", ":digits"))
    for part in added:
        kind = look_up(ADDED, part, "addition")
        found = kind.fitting(found)
        found = kind.quick(found) if quick else kind(found)
    return found


def flags(message: str) -> str:
    """Replace field names in backquotes, as messages of the library have them, by options of the command line.

    `real_rows` becomes --real-rows, `real_rows=8` --real-rows 8, `clamp=True` --clamp, `compare=False` --no-compare.
    """

    def flag(field: re.Match[str]) -> str:
        name, value = field[1].replace("_", "-"), field[2]
        if value == "False":
            return f"--no-{name}"
        if value in (None, "True"):
            return f"--{name}"
        return f"--{name} {value.strip('(),').replace(', ', ' ')}"

    return re.sub(r"`([a-z]\w*(?:\.[a-z]\w*)?)(?:=([^`]*))?`", flag, message)
