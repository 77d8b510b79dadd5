"""What the command line calls things."""

import difflib
from collections.abc import Mapping
from dataclasses import asdict
from typing import TypeVar

from condensery import recipes
from condensery.errors import InputError
from condensery.net import Net
from condensery.recipes import Recipe, Wrapper

__all__ = ["ADDED", "NETWORKS", "PROTOCOLS", "RECIPES", "described", "named", "recipe"]

_KINDS = [getattr(recipes, name) for name in recipes.__all__ if name not in ("Recipe", "Wrapper")]
RECIPES: dict[str, Recipe] = {name: made for kind in _KINDS for name, made in kind.named().items()}
ADDED = {kind.name: kind for kind in _KINDS if issubclass(kind, Wrapper)}
"""What `+NAME` puts around a recipe."""
NETWORKS = {"convnet": Net(), "mlp": Net("mlp")}
PROTOCOLS = ("dc2021", "dsa2021", "idc2022", "imagenet2022", "kfs2022", "fixed-steps", "whole")

T = TypeVar("T")


def named(table: Mapping[str, T], name: str, what: str) -> T:
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
    found = named(RECIPES, base.removesuffix(":paper"), "recipe")
    quick = base.endswith((":quick", ":digits"))
    for part in added:
        kind = named(ADDED, part, "addition")
        found = kind.fitting(found)
        found = kind.quick(found) if quick else kind(found)
    return found


def described(net: Net) -> str:
    differing = [f"{k} {v}" for k, v in asdict(net).items() if k != "family" and v != getattr(Net(), k)]
    return " ".join([net.family, *differing])
