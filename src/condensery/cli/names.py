"""What the command line calls things."""

import difflib
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, TypeVar

from condensery.errors import InputError
from condensery.net import Net
from condensery.recipes import DC, DM, DREAM, DSA, IDC, KFS, MDC, Forgetting, Herding, KCenter, Random
from condensery.recipes.idc import PUBLISHED

__all__ = ["NETWORKS", "PAPERS", "PROTOCOLS", "RECIPES", "described", "named"]

RECIPES: dict[str, Any] = {
    "dc": DC(),
    "dc:quick": DC.quick(),
    "dc:digits": DC.digits(),
    "dm": DM(),
    "dm:quick": DM.quick(),
    "dm:digits": DM.digits(),
    "dsa": DSA(),
    "dsa:quick": DSA.quick(),
    "dsa:digits": DSA.digits(),
    "idc": IDC(),
    "idc-i": IDC(factor=1),
    "idc:quick": IDC.quick(),
    "idc-i:quick": IDC.quick(factor=1),
    "idc:digits": IDC.digits(),
    "idc-i:digits": IDC.digits(factor=1),
    **{f"idc:{data}": IDC.published(data) for data in PUBLISHED},
    "kfs": KFS(),
    "kfs:quick": KFS.quick(),
    "kfs:digits": KFS.digits(),
    "kfs:imagenet10": KFS.imagenet(),
    "kfs:continual": KFS.continual(),
    "ld": DC(init="real", learn="labels"),
    "ld:quick": replace(DC.quick(), learn="labels"),
    "dream": IDC(real_rows=128, representative=DREAM()),
    "dream:quick": replace(IDC.quick(), representative=DREAM.quick()),
    "dream:digits": replace(IDC.digits(), representative=DREAM.quick()),
    "mdc": IDC(multisize=MDC()),
    "mdc:quick": replace(IDC.quick(), ipc=10, multisize=MDC.quick()),
    "mdc:digits": replace(IDC.digits(), ipc=3, multisize=MDC.quick()),
    "random": Random(),
    "herding": Herding(),
    "k-center": KCenter(),
    "forgetting": Forgetting(),
}
ADDED: dict[str, tuple[str, Any, Any]] = {
    "dream": ("representative", DREAM(), DREAM.quick()),
    "mdc": ("multisize", MDC(), MDC.quick()),
}
"""What `+NAME` adds to a recipe: the field, its value, and that of the presets for minutes."""
NETWORKS = {"convnet": Net(), "mlp": Net("mlp")}
PROTOCOLS = ("dc2021", "dsa2021", "idc2022", "imagenet2022", "kfs2022", "fixed-steps", "whole")

PAPERS = {
    "dm": "dsa2021",
    "dsa": "dsa2021",
    "idc": "idc2022",
    "kfs": "kfs2022",
}  # protocols of their papers, where it is not the default

T = TypeVar("T")


def named(table: Mapping[str, T], name: str, what: str) -> T:
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name.lower(), table, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise InputError(f"unknown {what} {name!r}: {hint}known: {', '.join(table)}")


def recipe(name: str) -> Any:
    """The recipe of a name such as dc, dc:paper (the same), dc:quick or dc:quick+mdc.

    Raises:
        InputError: no such recipe, or one that takes no such addition.
    """
    base, *added = name.split("+")
    found = named(RECIPES, base.removesuffix(":paper"), "recipe")
    for part in added:
        field, value, quick = named(ADDED, part, "addition")
        if not hasattr(found, field):
            fit = [key for key, known in RECIPES.items() if ":" not in key and hasattr(known, field)]
            raise InputError(f"{base} takes no +{part}; {', '.join(fit)} do")
        if getattr(found, field):
            raise InputError(f"{name}: +{part} is there already")
        least = {"ipc": 10} if part == "mdc" and found.ipc < 2 and found.name != "kfs" else {}
        value = quick if base.endswith((":quick", ":digits")) else value
        if part == "mdc" and getattr(found, "learn", "") == "labels":
            value = replace(value, metric="gradients")  # features say nothing of labels
        found = replace(found, **least, **{field: value})
    return found


def described(net: Net) -> str:
    differing = [f"{k} {v}" for k, v in asdict(net).items() if k != "family" and v != getattr(Net(), k)]
    return " ".join([net.family, *differing])
