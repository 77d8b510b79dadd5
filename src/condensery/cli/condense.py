"""The commands `run` and `plan`."""

import logging
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from condensery.cli.names import ADDED, RECIPES, chosen, recipe
from condensery.cli.options import Measuring, PlanOptions, RunOptions, fielded, parse
from condensery.cli.sources import Source, read, words_of
from condensery.console import duration, progress, say, stoppable
from condensery.errors import InputError
from condensery.networks.net import described
from condensery.recipes import Recipe

if TYPE_CHECKING:
    from condensery.data import Data
    from condensery.runs.condensed import Condensed

__all__ = ["hint", "kept", "plan_command", "run_command"]

log = logging.getLogger("condensery")


def run_command(argv: list[str]) -> int:
    if (found := _recipe("run", "--out DIR ", argv)) is None:
        return 0
    name, preset, rest = found
    unset = RunOptions(Source(tyro.MISSING), tyro.MISSING, described(preset.net), preset)
    options = parse(RunOptions[fielded(preset)], rest, f"run {name}", unset)  # type: ignore[misc]
    data = read(options.source)
    if (settings := f"{name}:{data.name.lower()}") in RECIPES:
        log.info(f"there is a recipe with settings for {data.name}: {settings}")
    kept(name, options.recipe, options.out, data, options.checkpoint_seconds)
    out = Path(options.out)
    say(f"written: {', '.join(str(out / f) for f in ('condensed.safetensors', 'recipe.toml', 'run.json'))}")
    protocol = options.recipe.protocol
    other = ("--protocol", protocol) if protocol != Measuring.protocol else ()
    hint("evaluate", str(out), *words_of(options.source), *other)
    return 0


def _recipe(command: str, more: str, argv: list[str]) -> tuple[str, Recipe, list[str]] | None:
    """The recipe that `argv` names, in the network that it names, and the arguments after the recipe's name.

    None if `argv` asks for help.
    """
    usage = f"condensery {command} RECIPE --data D --ipc N {more}"
    if argv and argv[0] in ("-h", "--help"):
        say(f"usage: {usage}[--FIELD V ...]\n\n"
              f"recipes: {', '.join(RECIPES)}\n"
              f"RECIPE+NAME wraps a recipe in another method: {', '.join(ADDED)}\n"
              f"condensery {command} RECIPE --help lists the options of a recipe")  # fmt: skip
        return None
    if not argv or argv[0].startswith("-"):
        raise InputError(f"{command} needs a recipe ({usage.strip()}); give one of {', '.join(RECIPES)}")
    name, *rest = argv
    found, net = recipe(name), chosen(rest)
    return name, found if net is None else found.having(net=net), rest


def plan_command(argv: list[str]) -> int:
    if (found := _recipe("plan", "", argv)) is None:
        return 0
    name, preset, rest = found
    unset = PlanOptions(Source(tyro.MISSING), described(preset.net), preset)
    options = parse(PlanOptions[fielded(preset)], rest, f"plan {name}", unset)  # type: ignore[misc]
    from condensery.runs.planning import plan

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
        "time": duration(planned.seconds) + " to condense, on this machine at its current load",
        "memory": "unknown on this system" if planned.memory is None else f"{planned.memory / 2**20:,.0f} MB at most",
    }
    for fact, value in facts.items():
        say(f"{fact:<12} {value}")
    return 0


def hint(*words: str) -> None:
    """Print a command to try next, which calls the program as this command was called."""
    program = sys.argv[:1]
    if Path(sys.argv[0]).name == "__main__.py":
        program = ["python", "-m", "condensery"]
    if shutil.which("condensery"):
        program = ["condensery"]
    say(f"next:    {shlex.join([*program, *words])}")


def kept(name: str, preset: Recipe, out: str | Path, data: "Data", checkpoint_seconds: float = 30.0) -> "Condensed":
    """Condense into the folder `out`, with progress on the screen; Ctrl-C and SIGTERM write a checkpoint."""
    from condensery.runs.checkpoint import Interrupted
    from condensery.runs.run import run

    with stoppable() as stop, progress(name) as observe:
        try:
            return run(preset, data, out, checkpoint_seconds, stop, observe, progress=False)
        except Interrupted as stopped:
            raise KeyboardInterrupt(f"{stopped}; repeat the command to resume") from None
