"""What the command line calls things."""

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
"""What `+NAME` puts around a recipe."""
NETWORKS = {"convnet": Net(), "mlp": Net("mlp")}
PROTOCOLS = ("dc2021", "dsa2021", "idc2022", "imagenet2022", "kfs2022", "fixed-steps", "whole")

T = TypeVar("T")


def look_up(table: Mapping[str, T], name: str, what: str) -> T:
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name.lower(), table, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise InputError(f"unknown {what} {name!r}: {hint}known: {', '.join(table)}")


def recipe(name: str) -> Recipe:
    """The recipe of a name such as dc, dc:paper (the same), dc:quick or dc:quick+mdc.

    Raises:
        InputError: no such recipe, or one that cannot be wrapped so.
    """
    base, *added = name.split("+")
    if "" in (base, *added):
        raise InputError(f"{name!r}: a name is missing beside the +; dc:quick+mdc, for example")
    found = look_up(RECIPES, base.removesuffix(":paper"), "recipe")
    quick = base.endswith((":quick", ":digits"))
    for part in added:
        kind = look_up(ADDED, part, "addition")
        found = kind.fitting(found)
        found = kind.quick(found) if quick else kind(found)
    return found


def flags(message: str) -> str:
    """A message of the library, which names fields in backquotes (`real_rows`), in the words of the command line.

    `real_rows=8` becomes --real-rows 8, `clamp=True` --clamp, and `compare=False` --no-compare.
    """

    def flag(field: re.Match[str]) -> str:
        name, value = field[1].replace("_", "-"), field[2]
        if value == "False":
            return f"--no-{name}"
        if value in (None, "True"):
            return f"--{name}"
        return f"--{name} {value.strip('(),').replace(', ', ' ')}"

    return re.sub(r"`([a-z]\w*(?:\.[a-z]\w*)?)(?:=([^`]*))?`", flag, message)
