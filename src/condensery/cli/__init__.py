"""The command line, the only place where strings name recipes and data. It imports torch only when it needs it."""

import contextlib
import logging
import os
import signal
import sys
import textwrap
from collections.abc import Callable, Iterable

from condensery import __version__
from condensery.cli.about import completion_command, data_command, demo_command
from condensery.cli.compare import compare_command
from condensery.cli.condense import plan_command, resume_command, run_command
from condensery.cli.continual import continual_command
from condensery.cli.evaluate import evaluate_command
from condensery.cli.files import export_command, import_command, subset_command
from condensery.cli.names import ADDED, PROTOCOLS, RECIPES, flags
from condensery.cli.nas import nas_command
from condensery.cli.privacy import privacy_command
from condensery.cli.report import report_command
from condensery.cli.show import show_command
from condensery.cli.sources import EMBEDDED, FILES
from condensery.console import Spoken, say, spell
from condensery.errors import InputError, RunError, look_up, plain
from condensery.networks.names import NETWORKS

__all__ = ["COMMANDS", "RECIPES", "main", "program"]

log = logging.getLogger("condensery")


COMMANDS: dict[str, tuple[Callable[[list[str]], int], str]] = {
    "run": (run_command, "condense a data set; repeat the command to resume"),
    "resume": (resume_command, "go on with a run that was interrupted"),
    "plan": (plan_command, "estimate what a run takes: bytes, time, memory"),
    "evaluate": (evaluate_command, "train networks on a condensed set and test them"),
    "compare": (compare_command, "compare methods with each other and with the whole set"),
    "continual": (continual_command, "let classes arrive in stages, with a memory that a method fills"),
    "nas": (nas_command, "find the best of several networks by training on small sets"),
    "privacy": (privacy_command, "probe whether a set gives away which images were condensed"),
    "show": (show_command, "describe a condensed set, or draw it"),
    "report": (report_command, "write a page about condensed sets, to read in a browser"),
    "subset": (subset_command, "cut a smaller condensed set out of one"),
    "export": (export_command, "write its images as files: images, npz, hf, torch, ddranking"),
    "import": (import_command, "read a set of a paper's program: vico, idc, mtt, kip"),
    "data": (data_command, "list the data sets that have a name, or describe yours"),
    "demo": (demo_command, "compare four methods on embedded digits, in minutes"),
    "completion": (completion_command, "print a script that completes commands and names in a shell"),
}
"""Every command, and what it does."""


def _listed(names: Iterable[str]) -> str:
    """Names with commas, in lines that leave room for a label of 11 characters."""
    return textwrap.indent(textwrap.fill(", ".join(names), 68), " " * 11).strip()


_LINES = "\n".join(f"  {name:<11} {line}" for name, (_, line) in COMMANDS.items())
HELP = f"""usage: condensery COMMAND ...

Dataset condensation: learn a tiny synthetic training set, measure how good it
is, and use it.

commands:
{_LINES}

recipes:   {_listed(RECIPES)}
           RECIPE+NAME wraps a recipe in another method ({", ".join(ADDED)}),
           for example dc:quick+mdc; MODULE:CLASS is a recipe of your own;
           "condensery run auto" chooses one by a trial
data:      {", ".join(EMBEDDED)} (embedded);
           {_listed(FILES)}
           (files under --data-dir or CONDENSERY_DATA);
           a folder of pictures or of sound clips (CLASS/*, or train/CLASS/*
           beside test, val or valid); an .npz file;
           hub:NAME, hub:OWNER/NAME (Hugging Face) or hub:DIR (parquet files)
protocols: {_listed(PROTOCOLS)}
networks:  {_listed(NETWORKS)};
           torchvision:NAME and timm:NAME where these packages are installed;
           fields may follow a name: "convnet width 64"

"condensery COMMAND --help" explains a command, "condensery run RECIPE --help"
lists the options of a recipe, and "condensery --version" prints the version.

First commands:
  condensery compare --data digits --ipc 1 --methods random herding dc
  condensery run idc:photos --data DIR --size 32 --ipc 1 --out runs/mine
  condensery run auto --data DIR --size 32 --budget 50KB --out runs/chosen
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit status.

    0: done; 1: the run failed; 2: the command or its input is wrong; 130: interrupted; 141: the reader of the output
    closed it.
    """
    argv = sys.argv[1:] if argv is None else argv
    if os.environ.get("CONDENSERY_TUNE_ALLOCATOR"):
        from condensery.kernels.memory import tune_allocator

        tune_allocator()
    spell()
    log.handlers, log.propagate = [Spoken(worded=flags)], False
    log.setLevel(logging.INFO)
    try:
        status = _command(argv)
        sys.stdout.flush()
        return status
    except InputError as error:
        return _fail(2, error)
    except RunError as error:
        return _fail(1, error)
    except BrokenPipeError:  # the reader of the output has closed it, as `head` does
        return 128 + signal.SIGPIPE
    except OSError as error:  # input is checked before work begins, so this is, for example, a full disk
        where = f"{error.filename}: " if error.filename else ""
        return _fail(1, f"{where}{error.strerror or error}; fix that, then repeat the command")
    except Exception as error:
        # by name, because torch is not imported here; on a CPU it raises a RuntimeError that only its text identifies
        if type(error).__name__ not in ("OutOfMemoryError", "MemoryError") and "allocate memory" not in str(error):
            raise
        words = next(iter(str(error).splitlines()), "an allocation failed")
        return _fail(1, f"out of memory: {words}; --device cpu or, in run, a smaller --real-rows may help")
    except KeyboardInterrupt as stopped:
        return _fail(130, str(stopped) or "interrupted")


def _command(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        say(HELP.rstrip())
        return 0
    if argv[0] == "--version":
        say(__version__)
        return 0
    command, _ = look_up(COMMANDS, argv[0], "command")
    try:
        return command(argv[1:])
    except SystemExit as stop:  # a help was printed
        return int(stop.code or 0)


def program() -> None:
    """Run the command line as a process of its own and exit."""
    for name in ("stdout", "stderr"):  # None if the process was started without it
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (it stays open until the process ends)
    status = main()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C while the interpreter exits would print a traceback
    try:
        sys.stdout.flush()
    except OSError:  # output that cannot be written, which `main` has told of; flushing at exit would fail again
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


def _fail(status: int, message: object) -> int:
    print(f"condensery: {plain(flags(str(message)))}", file=sys.stderr)
    return status
