"""The commands' options, and how they are read."""

import contextlib
import inspect
import io
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import tyro

from condensery.cli.sources import Source
from condensery.errors import InputError
from condensery.networks.net import Net
from condensery.recipes import Recipe, Wrapper

__all__ = [
    "CompareOptions",
    "EvaluateOptions",
    "Measuring",
    "PlanOptions",
    "RunOptions",
    "ShowOptions",
    "fielded",
    "parse",
    "writable",
]

R = TypeVar("R")

# tyro takes the indentation of a docstring's second line for a paragraph of its own
_joined = tyro._strings.remove_single_line_breaks
tyro._strings.remove_single_line_breaks = lambda helptext: _joined(inspect.cleandoc(helptext))


@dataclass(frozen=True)
class RunOptions(Generic[R]):
    """Condense a data set. The same command again resumes, or says that it is done."""

    source: Annotated[Source, tyro.conf.arg(name="")]
    out: str
    """Folder for the condensed set and the run's records."""
    recipe: tyro.conf.AvoidSubcommands[Annotated[R, tyro.conf.arg(name="")]]
    checkpoint_seconds: float = 30.0
    """Seconds between checkpoints: what a kill can lose."""


@dataclass(frozen=True)
class PlanOptions(Generic[R]):
    """Say what a run would take here: stored bytes, time and memory, from its own first steps."""

    source: Annotated[Source, tyro.conf.arg(name="")]
    recipe: tyro.conf.AvoidSubcommands[Annotated[R, tyro.conf.arg(name="")]]


@dataclass(frozen=True)
class Measuring:
    """How to measure."""

    protocol: str = "dc2021"
    """dc2021, dsa2021, idc2022, imagenet2022, kfs2022, fixed-steps or whole."""
    repeats: int = 5
    """Networks trained from scratch."""
    seed: int = 0
    """Of the networks' weights and row order (and of the methods, in compare)."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """What rows go through the networks in while they are trained; bfloat16 is faster where the processor knows it."""
    json: str | None = None
    """Also write the figures to this file."""


@dataclass(frozen=True)
class EvaluateOptions:
    """Train networks from scratch on a condensed set and measure them on the test part."""

    file: tyro.conf.Positional[str]
    """The condensed set, or the folder of its run."""
    source: Annotated[Source, tyro.conf.arg(name="")]
    networks: tuple[str, ...] = ()
    """convnet, mlp (width 128); by default the network that the set was condensed with."""
    sizes: tuple[int, ...] = ()
    """Stored images (or codes) a class: measure the set's first so many; by default all of them."""
    plot: str | None = None
    """Write the curve of accuracy over sizes here (SVG)."""
    measuring: Annotated[Measuring, tyro.conf.arg(name="")] = Measuring()


@dataclass(frozen=True)
class CompareOptions:
    """Several methods under one protocol, beside random images and the whole set.

    A method's preset for minutes is taken where it has one, dc:quick (for the digits dc:digits); write dc:paper for the
    paper's own settings.
    """

    source: Annotated[Source, tyro.conf.arg(name="")]
    methods: tuple[str, ...]
    """Recipes, in the order of the table."""
    ipc: int = 1
    """Stored images a class."""
    out: str | None = None
    """Folder to keep every method's run in (resumable); nothing is kept by default."""
    whole: bool = True
    """A row for networks trained on the whole set (10 epochs); on a large one it costs more than all the rest."""
    measuring: Annotated[Measuring, tyro.conf.arg(name="")] = Measuring()
    net: Net = Net()


@dataclass(frozen=True)
class ShowOptions:
    """Say what a condensed set is."""

    file: tyro.conf.Positional[str]
    """The condensed set, or the folder of its run."""
    png: str | None = None
    """Write its picture here: a row for every class; of codes x decoders, a block."""
    trace: str | None = None
    """Write here which subsets a multisize run learned, step by step (SVG)."""


def fielded(recipe: Recipe) -> Any:
    """The type of a recipe for `RunOptions` and `PlanOptions`: inside wrappers every recipe's fields are options."""
    if not isinstance(recipe, Wrapper):
        return type(recipe)
    return type(recipe)[Annotated[fielded(recipe.base), tyro.conf.arg(name="")]]  # type: ignore[index]


def parse(options: Any, argv: list[str], prog: str, default: Any = None) -> Any:
    """Options from words, by tyro; its boxed complaint becomes one line."""
    said = io.StringIO()
    tyro._experimental_options["ansi_codes"] = not os.environ.get("NO_COLOR")  # which tyro itself does not know
    try:
        with contextlib.redirect_stderr(said):
            given = {} if default is None else {"default": default}
            return tyro.cli(options, args=argv, prog=f"condensery {prog}", **given)
    except SystemExit as stop:
        if not stop.code:
            raise
        parts = re.split(r"[─-]{3,}", re.sub(r"[│╭╮╰╯\n]", " ", said.getvalue()))
        words = [" ".join(part.split()) for part in parts]
        complaint = "; ".join(w for w in words[1:] if w and not w.startswith(("For full", "Argument helptext")))
        raise InputError(f"{complaint or said.getvalue().strip()} (condensery {prog} --help)") from None


def writable(path: Path, option: str, suffix: str = "") -> None:
    if len(os.fsencode(path.name)) > 200:
        raise InputError(f"{option} cannot be written: the name is too long")
    if os.path.exists(path) and not os.path.isfile(path):
        raise InputError(f"{option} cannot be written: a folder or device; name a file")
    if suffix and path.suffix != suffix:
        raise InputError(f"{option}: name a file that ends in {suffix}, which is what is written")
    if not os.path.isdir(path.absolute().parent) or not os.access(path.absolute().parent, os.W_OK):
        raise InputError(f"{option} cannot be written: its folder does not exist or is read-only")
