"""The names that the command line knows: recipes and protocols. Those of networks are in `networks.names`."""

import hashlib
import importlib
import inspect
import logging
import os
import re
import sys
import tomllib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from condensery import recipes
from condensery.errors import InputError, look_up
from condensery.networks.convnet import ConvNet
from condensery.networks.names import named
from condensery.networks.net import Factory, Net, described
from condensery.recipes import Recipe, Warm, Wrapper

__all__ = [
    "ADDED", "PROTOCOLS", "RECIPES", "chosen", "flags", "folder", "having", "meaning", "own", "presets", "recipe",
    "usual",
]  # fmt: skip

log = logging.getLogger("condensery")

_KINDS = [getattr(recipes, name) for name in recipes.__all__ if name not in ("Recipe", "Wrapper")]
RECIPES: dict[str, Recipe] = {name: made for kind in _KINDS for name, made in kind.named().items()}
ADDED = {kind.name: kind for kind in _KINDS if issubclass(kind, Wrapper)}
"""Wrappers by the NAME in RECIPE+NAME."""
PROTOCOLS = (
    "dc2021", "dsa2021", "idc2022", "idc2022-equal-steps", "imagenet2022", "kfs2022", "fixed-steps", "fixed-seconds",
    "whole",
)  # fmt: skip


def chosen(argv: Sequence[str]) -> Net | Factory | None:
    """The network that `--net NAME` names, if it is among the arguments. Its fields are options of the command.

    Raises:
        InputError: there is no such network.
    """
    names = [name for option, name in pairwise(argv) if option == "--net" and not name.startswith("-")]
    names += [word.removeprefix("--net=") for word in argv if word.startswith("--net=")]
    return named(names[-1]) if names else None


def recipe(name: str) -> Recipe:
    """The recipe with a name such as dc, dc:paper (the same recipe), dc:quick or dc:quick+mdc.

    Instead of dc, the name may be a file such as runs/first/recipe.toml, or MODULE:CLASS, or MODULE:CLASS.PRESET: a
    recipe of a module that Python can import, also from the current folder.

    Raises:
        InputError: no such recipe or wrapper, or the wrapper does not fit the recipe.
    """
    base, *added = _parts(name)
    if "" in (base, *added):
        raise InputError(f"{name!r}: a name is missing before or after +; give, for example, dc:quick+mdc")
    if base.endswith(".toml"):
        found = _of_file(Path(base))
    elif own(base):
        found = _of_module(*base.split(":", 1))
    else:
        also = ("a recipe.toml", "MODULE:CLASS")
        found = look_up(RECIPES, base.removesuffix(":paper"), "recipe", also)
    quick = base.endswith((":quick", ":digits", ".quick", ".digits"))
    for part in added:
        kind = look_up(ADDED, part, "addition")
        found = kind.fitting(found)
        found = kind.quick(found) if quick else kind(found)
    return found


def _parts(name: str) -> list[str]:
    """A recipe and its additions, of which the name consists; the path of a file may have a + in it."""
    path, suffix, rest = name.rpartition(".toml")
    first, *added = rest.split("+")
    return [f"{path}{suffix}{first}", *added]


def own(name: str) -> bool:
    """Whether a name is MODULE:CLASS, perhaps with additions."""
    module, _, path = _parts(name)[0].partition(":")
    return bool(path) and module not in RECIPES and all(word.isidentifier() for word in module.split("."))


def usual(name: str, data: str) -> str:
    """The name with the preset that `compare` takes: that for the embedded digits there, otherwise the quick one."""
    base, *added = _parts(name)
    for preset in ("digits", "quick") if data.lower() == "digits" else ("quick",):
        if own(base) and "." not in base.partition(":")[2] and preset in recipe(base).presets:
            return "+".join([f"{base}.{preset}", *added])
        if f"{base}:{preset}" in RECIPES:
            return "+".join([f"{base}:{preset}", *added])
    return name


def presets(names: Sequence[str], data: str, **fields: Any) -> dict[str, Recipe]:
    """The usual presets of recipes, each once, with values for some of their fields.

    Raises:
        InputError: a recipe is unknown, or needs an earlier set, which its name does not tell.
    """
    found = {name: having(name, **fields) for name in dict.fromkeys(usual(name, data) for name in names)}
    for name, made in found.items():
        while isinstance(made, Wrapper):
            if isinstance(made, Warm) and not made.start:
                raise InputError(f"{name}: warm needs an earlier set, which only run and plan can take (--start)")
            made = made.base
    return found


def having(name: str, **fields: Any) -> Recipe:
    """The recipe with a name, and with other values of some fields; logs which settings of the recipe they replace."""
    found = recipe(name)
    made, replaced = found.having(**fields), []
    if found.net not in (ConvNet(), made.net):
        replaced.append(f"--net {described(made.net)} in place of {described(found.net)}")
    if ".toml" in name and made.ipc != found.ipc:
        replaced.append(f"--ipc {made.ipc} in place of {found.ipc}")
    if replaced:
        log.info(f"{name}: {', '.join(replaced)}")
    return made


def folder(name: str, made: Recipe) -> str:
    """The name of a folder for the run of a recipe; if `name` is a path, it ends with a hash of the path."""
    plain = name.replace(":", "-")
    if Path(plain).name == plain and not plain.startswith("."):
        return plain
    return f"{made.name}-{hashlib.blake2b(os.fsencode(name), digest_size=4).hexdigest()}"


_VARIANTS = {
    "ld": "Label distillation: learn soft labels of fixed real images, by the algorithm of DC",
    "unrolled:3min": "KFS, Anchor and Unrolled, meant for 3 minutes of two cores and small gray images",
    "unrolled:quick": "KFS, Anchor and Unrolled, meant for 10 minutes of two cores and small gray images",
    "unrolled:30min": "KFS, Anchor and Unrolled, meant for 30 minutes of two cores and small gray images",
    "idc-i": "IDC-I: IDC without multi-formation, so that a stored image is one row",
}


def meaning(name: str) -> str:
    """The first sentence of what a recipe or a preset is."""
    base, _, preset = name.partition(":")
    if name in _VARIANTS:
        return _VARIANTS[name]
    made: Any = getattr(type(RECIPES[name]), preset or "__class__", None)
    if preset == "digits" and made is None:
        return f"Settings for the embedded digits, about a minute: {base} around another recipe's settings for them"
    if preset and made is None:
        return f"The settings of the released program for {preset}"
    about = inspect.cleandoc((made if preset else type(RECIPES[name])).__doc__ or "").split("\n\n")[0]
    sentence = re.split(r"(?<!\.)\.(?: |$)", " ".join(about.split()))[0]
    return re.sub(r" \((?:algorithm|section) \d\)", "", sentence)


def _of_file(path: Path) -> Recipe:
    """The recipe in a TOML file, as the folder of a run holds one.

    Raises:
        InputError: there is no such file, or it describes no recipe.
    """
    try:
        record = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a TOML file ({error}); give the recipe.toml of a run") from error
    try:
        return Recipe.of_record(record)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _of_module(module: str, path: str) -> Recipe:
    """The recipe, or the preset of one, that stands in a module of the user.

    Raises:
        InputError: the module cannot be imported or has no such recipe, or that cannot be made without arguments or
            lacks one of the fields `ipc`, `seed` and `net`.
    """
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module)
    except ImportError as error:
        known = ", ".join(RECIPES)
        raise InputError(f"{module}:{path} is no recipe ({error}); give a module, or one of {known}") from error
    except SyntaxError as error:
        raise InputError(f"{module} cannot be imported ({error}); correct it") from error
    for name in path.split("."):
        if not hasattr(found, name):
            raise InputError(
                f"{module}:{path}: there is no {name} in it; give MODULE:CLASS, or MODULE:CLASS.PRESET for a preset"
            )
        found = getattr(found, name)
    try:
        found = found() if callable(found) else found
    except TypeError as error:
        raise InputError(
            f"{module}:{path} cannot be made without arguments ({error}); give a class whose fields have defaults"
        ) from error
    if not isinstance(found, Recipe):
        raise InputError(f"{module}:{path} is a {type(found).__name__}; give a class below condensery.recipes.Recipe")
    if lacking := [field for field in ("ipc", "seed", "net") if not hasattr(found, field)]:
        raise InputError(f"{module}:{path} has no field {lacking[0]}, for which commands have an option; add it")
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
