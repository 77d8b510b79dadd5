"""The commands `run`, `plan` and `resume`."""

import logging
import shlex
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import tyro

from condensery.cli.names import ADDED, RECIPES, chosen, meaning, own, recipe
from condensery.cli.options import AutoOptions, PlanOptions, ResumeOptions, RunOptions, fielded
from condensery.cli.parsing import parse
from condensery.cli.sources import Source, absolute, merged, read
from condensery.cli.table import check_json, write_json
from condensery.console import duration, progress, say, stoppable
from condensery.errors import InputError
from condensery.networks.net import described
from condensery.recipes import Random, Recipe

if TYPE_CHECKING:
    from condensery.data import Data, RealSet
    from condensery.runs.condensed import Condensed

__all__ = [
    "hint",
    "kept",
    "plan_command",
    "resume_command",
    "run_command",
    "say_made",
    "started_by_options",
    "started_from",
    "within",
]

log = logging.getLogger("condensery")
_MAIN = ("data", "data_dir", "size", "net")


def run_command(argv: list[str]) -> int:
    if argv[:1] == ["auto"]:
        return _run_auto(argv[1:])
    if (found := _recipe("run", "--out DIR ", argv)) is None:
        return 0
    name, preset, rest = found
    unset = RunOptions(Source(tyro.MISSING), tyro.MISSING, described(preset.net), preset)
    kind, main = RunOptions[fielded(preset)], ("out", "budget", *_MAIN, *preset.main_fields)  # type: ignore[misc]
    options = parse(kind, rest, f"run {name}", unset, main)
    data = read(options.source)
    chosen = within(name, options.recipe, options.budget, data.train, rest)
    if (settings := f"{name}:{data.name.lower()}") in RECIPES:
        log.info(f"there is a recipe with settings for {data.name}: {settings}")
    started = started_by_options(options.source, options.checkpoint_seconds, name) | {"log": options.log}
    kept(name, chosen, options.out, data, options.checkpoint_seconds, started, options.log)
    out = Path(options.out)
    say_made(out)
    hint("evaluate", str(out))
    return 0


def _run_auto(argv: list[str]) -> int:
    options = parse(AutoOptions, argv, "run auto")
    out = Path(options.out)
    from condensery.runs.auto import auto, check_limits
    from condensery.runs.checkpoint import difference
    from condensery.runs.run import check_folder, check_seconds
    from condensery.runs.session import started_by

    check_seconds(options.checkpoint_seconds)  # before the trial, and not after it
    check_limits(options.budget, options.minutes)
    data = read(options.source)
    asked = {"budget": options.budget, "minutes": options.minutes}
    if (out / "run.json").is_file():
        record, _, started = started_by(out)
        begun = _options(out, started)
        # on another device or from another folder, the data are the same; `kept` compares their fingerprints
        there, here = (
            asdict(replace(source, device="auto", data_dir=None)) for source in (begun.source, absolute(options.source))
        )
        there, here = there | begun.auto, here | asked
        if there != here:
            raise InputError(f"{out} contains another run ({difference(there, here)}); choose another folder (`out`)")
        log.info(f"{out} contains this run, which goes on")
        chosen = Recipe.of_record(record)
        name = begun.name or chosen.name
    else:
        check_folder(Random(), data.train, out)
        choice = auto(data, options.budget, options.minutes)
        say(f"chosen:  {choice.name}, {choice.reason}")
        name, chosen = choice.name, choice.recipe
        started = started_by_options(options.source, options.checkpoint_seconds, name) | {"auto": asked}
    kept(name, chosen, out, data, options.checkpoint_seconds, started)
    say_made(out)
    hint("evaluate", str(out))
    return 0


def _recipe(command: str, more: str, argv: list[str]) -> tuple[str, Recipe, list[str]] | None:
    """The recipe that `argv` names, in the network that it names, and the arguments after the recipe's name.

    None if `argv` asks for help.
    """
    usage = f"condensery {command} RECIPE --data D --ipc N {more}"
    if argv and argv[0] in ("-h", "--help"):
        width = max(map(len, RECIPES))
        room = max(40, shutil.get_terminal_size().columns)
        told = "\n".join(
            textwrap.fill(f"  {name:<{width}}  {meaning(name)}", room, subsequent_indent=" " * (width + 4))
            for name in RECIPES
        )
        say(f"usage: {usage}[--OPTION V ...]\n"
              f"for your own pictures: condensery {command} idc:photos --data DIR --size 32 {more}\n"
              + ("let a trial choose: condensery run auto --data D --budget 32KB --minutes 10 --out DIR\n"
                 if command == "run" else "") +
              f"condensery {command} RECIPE --help lists the options of a recipe\n\n"
              f"recipes:\n{told}\n"
              "         or a file such as runs/first/recipe.toml, or MODULE:CLASS for a recipe of your own\n"
              f"RECIPE+NAME wraps a recipe in another method: {', '.join(ADDED)}")  # fmt: skip
        return None
    argv = [part for word in argv for part in (word.split("=", 1) if word.startswith("--recipe=") else [word])]
    if "--recipe" in argv[:-1]:
        place = argv.index("--recipe")
        argv = [argv[place + 1], *argv[:place], *argv[place + 2 :]]
    if not argv or argv[0].startswith("-"):
        raise InputError(f"{command} needs a recipe ({usage.strip()}); give one of {', '.join(RECIPES)}")
    name, *rest = argv
    if name == "auto":
        raise InputError("there is no plan for auto, which plans by itself; use condensery run auto")
    found, net = recipe(name), chosen(rest)
    if _given("--ipc", rest) and not _given("--floats", rest):
        found = found.having(ipc=found.ipc)  # a file may have a budget in floats, which `having` drops
    return name, found if net is None else found.having(net=net), rest


def _given(option: str, argv: Sequence[str]) -> bool:
    """Whether an option is among the arguments."""
    return any(word == option or word.startswith(f"{option}=") for word in argv)


def plan_command(argv: list[str]) -> int:
    if (found := _recipe("plan", "", argv)) is None:
        return 0
    name, preset, rest = found
    unset = PlanOptions(Source(tyro.MISSING), described(preset.net), preset)
    kind, main = PlanOptions[fielded(preset)], ("budget", *_MAIN, *preset.main_fields)  # type: ignore[misc]
    options = parse(kind, rest, f"plan {name}", unset, main)
    from condensery.runs.planning import plan

    check_json(options.json)
    data = read(options.source)
    chosen = within(name, options.recipe, options.budget, data.train, rest)
    planned = plan(chosen, data.train)
    facts = {
        "recipe": ", ".join(
            [
                name,
                *([f"{planned.steps} steps"] * bool(planned.steps)),
                *["compiled"] * (planned.computing == "compiled"),
            ]
        ),
        "stored": f"{planned.floats:,} floats, {planned.bytes:,} bytes",
        "time": duration(planned.seconds) + " to condense, on this machine at its current load",
        "memory": "unknown on this system" if planned.memory is None else f"{planned.memory / 2**20:,.0f} MB at most",
    }
    for fact, value in facts.items():
        say(f"{fact:<12} {value}")
    write_json(options.json, {"recipe": chosen.record(), **asdict(planned)})
    return 0


def started_by_options(source: Source, checkpoint_seconds: float = 30.0, name: str | None = None) -> dict[str, Any]:
    """How a run is started, for its `run.json`: what `condensery resume` needs besides the recipe.

    Arguments:
        name: the name of the recipe on the command line; it may be MODULE:CLASS.
    """
    about = {"source": asdict(absolute(source)), "checkpoint_seconds": checkpoint_seconds}
    return about if name is None else about | {"name": name, "own": own(name)}


@dataclass(frozen=True)
class _Started:
    """How a run was started, as its `run.json` says."""

    source: Source
    checkpoint_seconds: float
    name: str | None = None
    own: bool = False
    log: tuple[str, ...] = ()
    auto: dict[str, Any] = field(default_factory=dict)


def _options(out: Path, started: dict[str, Any]) -> _Started:
    """How the run in a folder was started, checked because the folder may be a stranger's.

    Raises:
        InputError: its record has something else.
    """
    try:
        return msgspec.convert(started, _Started)
    except msgspec.ValidationError as error:
        raise InputError(f"{out}: its run.json does not say how the run was started ({error})") from error


def started_from(run: Path) -> Source | None:
    """The data that a run was started from, if its folder says so; `run` may be the file in it."""
    from condensery.runs.session import started_by

    folder = run if run.is_dir() else run.parent
    try:
        source = _options(folder, started_by(folder)[2]).source
    except InputError:
        return None
    if source.data.startswith("hub:"):
        log.info(f"{folder}: its run was started with --data {source.data}, which is read now")
    return source


def resume_command(argv: list[str]) -> int:
    asked = parse(ResumeOptions, argv, "resume")
    out = Path(asked.folder)
    from condensery.runs.session import started_by

    record, there, started = started_by(out)
    options = _options(out, started)
    if options.own:  # importing a module because a file names it would run a stranger's code
        raise InputError(
            f"{out}: its recipe is in a module of your own; repeat the command that started it: condensery run "
            f"{options.name} ... --out {out}"
        )
    found, source = Recipe.of_record(record), merged(options.source, asked.source)
    name, every = options.name or found.name, options.checkpoint_seconds
    data = read(source)
    if data.train.fingerprint == there.get("fingerprint") and isinstance(there.get("name"), str):
        data = replace(data, name=there["name"])  # the folder may have been renamed
    kept(name, found, out, data, every, started | {"source": asdict(absolute(source))}, options.log)
    say_made(out)
    hint("evaluate", str(out))
    return 0


def within(name: str, recipe: Recipe, budget: str | None, real: "RealSet", argv: list[str]) -> Recipe:
    """The recipe with a name, with the largest set that the option --budget allows, if it is given.

    Raises:
        InputError: --ipc or --floats is given too, or the budget does not hold one image (or code) per class.
    """
    if budget is None:
        return recipe
    for other in ("--ipc", "--floats"):
        if _given(other, argv):
            raise InputError(f"--budget and {other} both say how much is stored; give one of them")
    chosen = recipe.within(budget, real)
    log.info(f"{name}, --budget {budget}: {stored(chosen, real)}")
    return chosen


def stored(recipe: Recipe, real: "RealSet") -> str:
    """What the set of a recipe stores, in words."""
    from condensery.decoders import Factorized

    made = recipe.algorithm(real).synthetic
    what = "code" if isinstance(made.decoder, Factorized) else "image"
    count = made.bases_per_class
    return f"{count} {what}{'s' if count > 1 else ''} per class, {made.bytes:,} bytes"


def say_made(*folders: Path) -> None:
    """Name the condensed sets that runs have written into their folders."""
    from condensery.runs.artifact import NAME

    say(f"written: {', '.join(str(folder / NAME) for folder in folders)}")


def hint(*words: str) -> None:
    """Print a command to try next, which calls the program as this command was called."""
    program = sys.argv[:1]
    if Path(sys.argv[0]).name == "__main__.py":
        program = ["python", "-m", "condensery"]
    if shutil.which("condensery"):
        program = ["condensery"]
    say(f"next:    {shlex.join([*program, *words])}")


def kept(
    name: str,
    preset: Recipe,
    out: str | Path,
    data: "Data",
    checkpoint_seconds: float = 30.0,
    started: dict[str, Any] | None = None,
    log_to: Sequence[str] = (),
) -> "Condensed":
    """Condense into the folder `out`, with progress on the screen; Ctrl-C and SIGTERM write a checkpoint.

    Arguments:
        started: the options from which `condensery resume` can go on.
        log_to: names of sinks (see `runs.sinks`).

    Raises:
        KeyboardInterrupt: it was stopped, perhaps in the last step, whose set is written.
    """
    from condensery.runs.checkpoint import Interrupted
    from condensery.runs.run import run

    with stoppable() as stop, progress(name) as observe:
        try:
            made = run(preset, data, out, checkpoint_seconds, stop, observe, False, started, log_to)
        except Interrupted as stopped:
            raise KeyboardInterrupt(f"{stopped}; repeat the command to resume") from None
        if stop():  # in the last step, after which `run` does not ask
            raise KeyboardInterrupt(f"stopped after the last step; the condensed set is in {out}")
        return made
