"""The command line: the only place where strings name things. It imports no torch until it must."""

import contextlib
import difflib
import io
import json
import logging
import os
import re
import shlex
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar

import tyro

from condensery import __version__
from condensery.console import print_table, progress, stoppable
from condensery.errors import InputError, RunError
from condensery.net import Net
from condensery.recipes import DC, DM, DSA, IDC, KFS, Forgetting, Herding, KCenter, Random
from condensery.recipes.idc import PUBLISHED
from condensery.sources import EMBEDDED, FILES, Source, read

if TYPE_CHECKING:
    import torch

    from condensery.data import Data
    from condensery.evaluation import Comparison
    from condensery.protocols import Named
    from condensery.synthetic import SyntheticSet

__all__ = ["main"]

log = logging.getLogger("condensery")

RECIPES: dict[str, Any] = {
    "dc": DC(),
    "dc:quick": DC.quick(),
    "dm": DM(),
    "dm:quick": DM.quick(),
    "dsa": DSA(),
    "dsa:quick": DSA.quick(),
    "idc": IDC(),
    "idc-i": IDC(factor=1),
    "idc:quick": IDC.quick(),
    "idc-i:quick": IDC.quick(factor=1),
    **{f"idc:{data}": IDC.published(data) for data in PUBLISHED},
    "kfs": KFS(),
    "kfs:quick": KFS.quick(),
    "kfs:imagenet10": KFS.imagenet(),
    "kfs:continual": KFS.continual(),
    "random": Random(),
    "herding": Herding(),
    "k-center": KCenter(),
    "forgetting": Forgetting(),
}
NETWORKS = {"convnet": Net(), "mlp": Net("mlp")}
PROTOCOLS = ("dc2021", "dsa2021", "idc2022", "imagenet2022", "kfs2022", "fixed-steps", "whole")

_PAPERS = {
    "dm": "dsa2021",
    "dsa": "dsa2021",
    "idc": "idc2022",
    "kfs": "kfs2022",
}  # protocols of their papers, where it is not the default

HELP = f"""usage: condensery COMMAND ...

Dataset condensation: learn a tiny synthetic training set, prove how good it is, use it.

commands:
  run RECIPE --data D --ipc N --out DIR      condense; the same command again resumes
  plan RECIPE --data D --ipc N               what that would take: bytes, time, memory
  evaluate FILE|DIR --data D                 train networks on a condensed set and measure them
  compare --data D --ipc N --methods A B ... one table of several methods and the whole set
  show FILE|DIR                              what a condensed set is, and its picture

recipes:   {textwrap.fill(", ".join(RECIPES), 104, subsequent_indent=" " * 11)}
data:      {", ".join(EMBEDDED)} (embedded); {", ".join(FILES)} (files under --data-dir or CONDENSERY_DATA);
           a folder of pictures (CLASS/* or train|test/CLASS/*); an .npz file
protocols: {", ".join(PROTOCOLS)}

condensery --version; condensery COMMAND --help says more; condensery run RECIPE --help lists the recipe's fields.
A first command: condensery compare --data digits --ipc 1 --methods random herding dc
"""

R = TypeVar("R")


@dataclass(frozen=True)
class RunOptions(Generic[R]):
    """Condense a data set. The same command again resumes, or says that it is done."""

    source: Annotated[Source, tyro.conf.arg(name="")]
    out: str
    """Folder for the condensed set and the run's records."""
    recipe: Annotated[R, tyro.conf.arg(name="")]
    checkpoint_seconds: float = 30.0
    """Seconds between checkpoints: what a kill can lose."""


@dataclass(frozen=True)
class PlanOptions(Generic[R]):
    """Say what a run would take here: stored bytes, time and memory, from its own first steps."""

    source: Annotated[Source, tyro.conf.arg(name="")]
    recipe: Annotated[R, tyro.conf.arg(name="")]


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
    """Images a class: also measure the set's first so many; by default all of them."""
    measuring: Annotated[Measuring, tyro.conf.arg(name="")] = Measuring()


@dataclass(frozen=True)
class CompareOptions:
    """Several methods under one protocol, beside random images and the whole set.

    A method's quick preset is taken where it has one; write dc:paper for the paper's own settings.
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
    """Write its picture here: a row for every class."""


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit status (0 done, 1 the run failed, 2 the command or its input was wrong)."""
    argv = sys.argv[1:] if argv is None else argv
    if os.environ.get("CONDENSERY_TUNE_ALLOCATOR"):
        from condensery.memory import tune_allocator

        tune_allocator()
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("condensery: %(message)s"))
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)
    commands: dict[str, Callable[[list[str]], int]] = {
        "run": _run, "plan": _plan, "evaluate": _evaluate, "compare": _compare, "show": _show
    }  # fmt: skip
    try:
        if not argv or argv[0] in ("-h", "--help"):
            print(HELP, end="")
            return 0
        if argv[0] == "--version":
            print(__version__)
            return 0
        return _named(commands, argv[0], "command")(argv[1:])
    except InputError as error:
        return _fail(2, error)
    except RunError as error:
        return _fail(1, error)
    except OSError as error:  # input is checked before work begins: this is a disk that filled up, say
        where = f"{error.filename}: " if error.filename else ""
        return _fail(1, f"{where}{error.strerror or error}; once that is mended, repeat the command to resume")
    except Exception as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's, which is not imported here
            raise
        return _fail(1, f"out of memory: {str(error).splitlines()[0]}; fewer --real-rows or --device cpu may help")
    except KeyboardInterrupt as stopped:
        return _fail(130, str(stopped) or "interrupted")


def _fail(status: int, message: object) -> int:
    print(f"condensery: {message}", file=sys.stderr)
    return status


T = TypeVar("T")


def _named(table: Mapping[str, T], name: str, what: str) -> T:
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name.lower(), table, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise InputError(f"unknown {what} {name!r}: {hint}known: {', '.join(table)}")


def _parse(options: Any, argv: list[str], prog: str, default: Any = None) -> Any:
    """Options from words, by tyro; its boxed complaint becomes one line."""
    said = io.StringIO()
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


# ---- run


def _run(argv: list[str]) -> int:
    if (chosen := _recipe("run", "--out DIR ", argv)) is None:
        return 0
    name, recipe, rest = chosen
    unset = RunOptions(Source(tyro.MISSING), tyro.MISSING, recipe)
    options = _parse(RunOptions[type(recipe)], rest, f"run {name}", unset)  # type: ignore[misc]
    data = read(options.source)
    if (published := f"{name}:{data.name.lower()}") in RECIPES:
        log.info(f"the paper's program has settings of its own for {data.name}: {published}")
    from condensery.protocols import UNFLIPPED

    if getattr(options.recipe, "flip", False) and data.name.lower() in UNFLIPPED:
        log.warning(f"flips make other digits of {data.name}: --no-flip leaves them out, as the paper does")
    _kept(name, options.recipe, options.out, data, options.checkpoint_seconds)
    out = Path(options.out)
    print(f"written: {', '.join(str(out / f) for f in ('condensed.safetensors', 'recipe.toml', 'run.json'))}")
    given = {k: v for k, v in asdict(options.source).items() if v not in (None, "auto") and k != "zca"}
    source = [word for k, v in given.items() for word in (f"--{k.replace('_', '-')}", str(v))]
    protocol = _PAPERS.get(options.recipe.name)
    _next("evaluate", str(out), *source, *(("--protocol", protocol) if protocol else ()))
    return 0


def _recipe(command: str, more: str, argv: list[str]) -> tuple[str, Any, list[str]] | None:
    """A command's recipe by name, and the words after it; None where only help was asked for."""
    usage = f"condensery {command} RECIPE --data D --ipc N {more}"
    if argv and argv[0] in ("-h", "--help"):
        print(f"usage: {usage}[--FIELD V ...]\n\n"
              f"recipes: {', '.join(RECIPES)}\ncondensery {command} RECIPE --help lists a recipe's fields")  # fmt: skip
        return None
    if not argv or argv[0].startswith("-"):
        raise InputError(f"{command} what? {usage.strip()}; recipes: {', '.join(RECIPES)}")
    name, *rest = argv
    return name, _named(RECIPES, name.removesuffix(":paper"), "recipe"), rest


def _plan(argv: list[str]) -> int:
    if (chosen := _recipe("plan", "", argv)) is None:
        return 0
    name, recipe, rest = chosen
    options = _parse(PlanOptions[type(recipe)], rest, f"plan {name}", PlanOptions(Source(tyro.MISSING), recipe))  # type: ignore[misc]
    from condensery.planning import plan

    data = read(options.source)
    planned = plan(options.recipe, data.train)
    facts = {
        "recipe": ", ".join(
            [
                name,
                *([f"{planned.steps} steps"] * bool(planned.steps)),
                *["compiled"] * (planned.computing == "compiled"),
            ]
        ),
        "stored": f"{planned.floats:,} floats, {planned.bytes:,} bytes",
        "time": _duration(planned.seconds) + " of condensing, on this machine as it is now",
        "memory": "unknown here" if planned.memory is None else f"{planned.memory / 2**20:,.0f} MB at most",
    }
    for fact, value in facts.items():
        print(f"{fact:<12} {value}")
    return 0


def _duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever reads best."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _next(*words: str) -> None:
    """A command to try, as this one was called."""
    program = "condensery" if shutil.which("condensery") else sys.argv[0]
    print(f"next:    {shlex.join([program, *words])}")


def _kept(name: str, recipe: Any, out: str | Path, data: "Data", every: float = 30.0) -> "SyntheticSet":
    """A recipe's set, through its run folder; Ctrl-C and termination keep what is done."""
    from condensery.checkpoint import Interrupted
    from condensery.running import run

    if not every >= 0:
        raise InputError(f"--checkpoint-seconds must be at least 0, got {every:g}")
    with stoppable() as stop, progress(name) as observe:
        try:
            return run(recipe, data, out, every, stop, observe).synthetic
        except Interrupted as stopped:
            raise KeyboardInterrupt(f"{stopped}; the same command resumes") from None


# ---- evaluate, compare


def _evaluate(argv: list[str]) -> int:
    options = _parse(EvaluateOptions, argv, "evaluate")
    from condensery.artifact import load
    from condensery.evaluation import evaluate

    condensed = load(options.file)
    sets = {size: condensed.subset(size).synthetic for size in options.sizes or (condensed.ipc,)}
    if options.source.zca and not condensed.space.whitening:
        raise InputError(f"--zca: {options.file} was condensed without it, and rows are read as the set's own are")
    nets = [_named(NETWORKS, name, "network") for name in options.networks] or [condensed.net]
    protocol = _protocol(options.measuring)
    data = read(options.source)
    if condensed.data["fingerprint"] != data.train.fingerprint:
        log.warning(f"{options.file} was condensed from other training rows ({condensed.data['name']})")
    _warn_of_few(data)
    measuring, table, records = options.measuring, [], []
    for size, synthetic in sets.items():
        for net in nets:
            reached = evaluate(
                synthetic, data, net, protocol, measuring.repeats, measuring.seed,
                lambda done, total: log.info(f"{done} of {total} networks measured"), _dtype(measuring),
            )  # fmt: skip
            table.append((_described(net), str(size), str(reached), reached.protocol, f"{reached.seconds:.0f}"))
            records.append({"network": asdict(net), "ipc": size, **_figures(reached), "floats": synthetic.floats})
    print_table(
        f"{condensed.recipe['name']} on the {len(data.test)} test rows of {data.name}; "
        f"mean ± std of {measuring.repeats} networks",
        ("network", "images a class", "accuracy %", "protocol", "seconds"),
        table,
    )
    _write_json(measuring.json, data, {"recipe": condensed.recipe, "results": records})
    return 0


def _compare(argv: list[str]) -> int:
    options = _parse(CompareOptions, argv, "compare")
    if not options.methods:
        raise InputError(f"--methods: name at least one of {', '.join(RECIPES)}")
    names = options.methods if "random" in options.methods else ("random", *options.methods)
    rows = [_preset(name, ipc=options.ipc, seed=options.measuring.seed, net=options.net) for name in names]
    twice = [row.name for i, row in enumerate(rows) if row.name in [r.name for r in rows[:i]]]
    if twice:
        raise InputError(f"--methods: {twice[0]} is named twice")
    protocol = _protocol(options.measuring)
    from condensery.evaluation import compare, timed

    data = read(options.source)

    _warn_of_few(data)

    def make(row: Any, real: Any) -> "tuple[SyntheticSet, float]":
        if options.out is None:
            return timed(row, real)
        folder = Path(options.out) / row.folder
        synthetic = _kept(row.name, row.recipe, folder, data)
        return synthetic, json.loads((folder / "run.json").read_text())["seconds"]

    def say(row: "Comparison") -> None:
        log.info(f"{row.method}: {row.accuracy} ({row.seconds:.0f} s, and {row.accuracy.seconds:.0f} s to measure)")

    measuring = options.measuring
    table = compare(
        rows,
        data,
        options.net,
        protocol,
        measuring.repeats,
        measuring.seed,
        options.whole,
        make,
        say,
        lambda done, total: log.info(f"whole set: {done} of {total} networks measured"),
        _dtype(measuring),
    )
    images = f"{options.ipc} image{'s' if options.ipc > 1 else ''} a class"
    print_table(
        f"{data.name}, {images}, protocol {table[0].accuracy.protocol}, {_described(options.net)}; "
        f"mean ± std of {measuring.repeats} networks on {len(data.test)} test rows",
        ("method", "accuracy %", "stored floats", "seconds"),
        [(r.method, str(r.accuracy), f"{r.floats:,}", f"{r.seconds:.1f}" if r.seconds else "-") for r in table],
    )
    records = [{"method": r.method, **_figures(r.accuracy), "floats": r.floats, "seconds": r.seconds} for r in table]
    _write_json(
        measuring.json, data, {"recipes": [{"name": r.name, **asdict(r.recipe)} for r in rows], "results": records}
    )
    if options.out is not None:
        folders = [Path(options.out) / row.folder for row in rows]
        print(f"written: {', '.join(str(folder / 'condensed.safetensors') for folder in folders)}")
        _next("show", str(folders[-1]), "--png", str(Path(options.out) / "condensed.png"))
    return 0


@dataclass(frozen=True)
class _Row:
    """A recipe under the name of its preset, its steps shown."""

    name: str
    recipe: Any

    @property
    def folder(self) -> str:
        return self.name.replace(":", "-")

    def condense(self, real: Any) -> "SyntheticSet":
        with progress(self.name) as observe:
            synthetic: SyntheticSet = self.recipe.condense(real, observe=observe)
        return synthetic


def _preset(name: str, **fields: Any) -> _Row:
    key = name.removesuffix(":paper") if name.endswith(":paper") else f"{name}:quick"
    key = key if key in RECIPES else name
    return _Row(key, replace(_named(RECIPES, key, "recipe"), **fields))


def _protocol(measuring: Measuring) -> "Named":
    if measuring.repeats < 1:
        raise InputError(f"--repeats must be at least 1, got {measuring.repeats}")
    _named(dict.fromkeys(PROTOCOLS), measuring.protocol, "protocol")
    if measuring.json is not None:
        _writable(Path(measuring.json), f"--json {measuring.json}")
    from condensery import protocols

    named: Named = getattr(protocols, measuring.protocol.replace("-", "_"))
    return named


def _writable(path: Path, option: str) -> None:
    if path.exists() and not path.is_file():
        raise InputError(f"{option} cannot be written: a folder or device; name a file")
    if not path.absolute().parent.is_dir() or not os.access(path.absolute().parent, os.W_OK):
        raise InputError(f"{option} cannot be written: its folder does not exist or is read-only")


def _warn_of_few(data: "Data") -> None:
    counts = data.test.labels.bincount(minlength=data.train.classes)
    if (least := int(counts.min())) < 20:
        largest, total = int(counts.max()), len(data.test)
        log.warning(
            f"{data.name}: the test part has as few as {least} rows of a class; always answering the largest one "
            f"would score {100 * largest / total:.0f} %"
        )


def _dtype(measuring: Measuring) -> "torch.dtype | None":
    from condensery.compiling import named

    return named(None if measuring.dtype == "float32" else measuring.dtype)


def _described(net: Net) -> str:
    differing = [f"{k} {v}" for k, v in asdict(net).items() if k != "family" and v != getattr(Net(), k)]
    return " ".join([net.family, *differing])


def _figures(reached: Any) -> dict[str, Any]:
    return {
        "accuracy": reached.mean, "std": reached.std, "n": len(reached.runs), "runs": reached.runs,
        "protocol": reached.protocol, "evaluation_seconds": reached.seconds,
    }  # fmt: skip


def _write_json(path: str | None, data: "Data", content: dict[str, Any]) -> None:
    if path is None:
        return
    from condensery import storage
    from condensery.checkpoint import environment

    head = {
        "data": {"name": data.name, "source": str(data.source or "embedded"), "fingerprint": data.train.fingerprint},
        "version": __version__,
        "date": time.strftime("%Y-%m-%d"),
        **environment(data.train.device),
    }
    storage.write(Path(path), (json.dumps({**head, **content}, indent=2) + "\n").encode())
    print(f"written: {path}")


# ---- show


def _show(argv: list[str]) -> int:
    options = _parse(ShowOptions, argv, "show")
    from condensery.artifact import load
    from condensery.decoders import Factorized
    from condensery.picture import grid

    condensed = load(options.file)
    synthetic, space = condensed.synthetic, condensed.space
    facts = {
        "recipe": ", ".join(f"{k} {v}" for k, v in condensed.recipe.items() if not isinstance(v, dict)),
        "network": _described(condensed.net),
        "data": f"{condensed.data['name']}, {condensed.data['rows']} rows, fingerprint {condensed.data['fingerprint']}",
        "classes": f"{len(condensed.class_names)}: {', '.join(condensed.class_names[:20])}",
        "codes"
        if isinstance(synthetic.decoder, Factorized)
        else "images": f"{condensed.ipc} a class, {'x'.join(map(str, synthetic.bases.shape[2:]))}",
        "decoded": _decoding(synthetic),
        "steps": str(condensed.steps),
        "stored": f"{synthetic.floats:,} floats, {synthetic.bytes:,} bytes",
        "pixel space": f"{space.stored}; mean {_numbers(space.mean)}, std {_numbers(space.std)}"
        + ("; whitened (ZCA)" if space.whitening else ""),
        "written by": f"condensery {condensed.version}",
    }
    for name, value in facts.items():
        print(f"{name:<12} {value}")
    if options.png is not None:
        from condensery import storage

        _writable(Path(options.png), f"--png {options.png}")
        storage.write(Path(options.png), grid(synthetic))
        print(f"written: {options.png}")
    return 0


def _decoding(synthetic: "SyntheticSet") -> str:
    """How many rows the stored images become, and by which decoder."""
    *_, rows, channels, height, width = synthetic(range(1)).x.shape
    arguments = [
        f"{k} {' x '.join(map(str, v)) if k == 'factor' and isinstance(v, list) else v}"
        for k, v in synthetic.decoder.arguments.items()
    ]
    about = ", ".join([type(synthetic.decoder).__name__, *arguments])
    return f"{rows} rows a class, {channels}x{height}x{width} ({about})"


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{v:.4g}" for v in values)


if __name__ == "__main__":
    sys.exit(main())
