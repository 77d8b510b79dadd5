"""The command line: the only place where strings name things. It imports no torch until it must."""

import contextlib
import logging
import os
import signal
import sys
import textwrap
from collections.abc import Callable

from condensery import __version__
from condensery.cli.condense import plan_command, run_command
from condensery.cli.measure import compare_command, evaluate_command
from condensery.cli.names import ADDED, PROTOCOLS, RECIPES, flags, look_up
from condensery.cli.show import show_command
from condensery.cli.sources import EMBEDDED, FILES
from condensery.console import Spoken, say, spell
from condensery.errors import InputError, RunError, plain

__all__ = ["RECIPES", "main", "program"]

log = logging.getLogger("condensery")

HELP = f"""usage: condensery COMMAND ...

Dataset condensation: learn a tiny synthetic training set, prove how good it is, use it.

commands:
  run RECIPE --data D --ipc N --out DIR      condense; the same command again resumes
  plan RECIPE --data D --ipc N               what that would take: bytes, time, memory
  evaluate FILE|DIR --data D                 train networks on a condensed set and measure them
  compare --data D --ipc N --methods A B ... one table of several methods and the whole set
  show FILE|DIR                              what a condensed set is, and its picture

recipes:   {textwrap.fill(", ".join(RECIPES), 104, subsequent_indent=" " * 11)}
           RECIPE+NAME adds a method to it: {", ".join(ADDED)}; dc:quick+mdc, say
data:      {", ".join(EMBEDDED)} (embedded); {", ".join(FILES)} (files under --data-dir or CONDENSERY_DATA);
           a folder of pictures (CLASS/*, or train/CLASS/* beside test, val or valid); an .npz file
protocols: {", ".join(PROTOCOLS)}

condensery --version; condensery COMMAND --help says more; condensery run RECIPE --help lists the recipe's fields.
A first command: condensery compare --data digits --ipc 1 --methods random herding dc
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit status (0 done, 1 the run failed, 2 the command or its input was wrong)."""
    argv = sys.argv[1:] if argv is None else argv
    if os.environ.get("CONDENSERY_TUNE_ALLOCATOR"):
        from condensery.kernels.memory import tune_allocator

        tune_allocator()
    spell()
    log.handlers, log.propagate = [Spoken(worded=flags)], False
    log.setLevel(logging.INFO)
    commands: dict[str, Callable[[list[str]], int]] = {
        "run": run_command, "plan": plan_command, "evaluate": evaluate_command, "compare": compare_command,
        "show": show_command,
    }  # fmt: skip
    try:
        if not argv or argv[0] in ("-h", "--help"):
            say(HELP.rstrip())
            return 0
        if argv[0] == "--version":
            say(__version__)
            return 0
        status = look_up(commands, argv[0], "command")(argv[1:])
        sys.stdout.flush()
        return status
    except InputError as error:
        return _fail(2, error)
    except RunError as error:
        return _fail(1, error)
    except BrokenPipeError:  # whoever read the output has left, as `head` does
        with contextlib.suppress(OSError, ValueError):  # what is still to be written would complain once more
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:  # input is checked before work begins: this is a disk that filled up, say
        where = f"{error.filename}: " if error.filename else ""
        return _fail(1, f"{where}{error.strerror or error}; once that is mended, repeat the command to resume")
    except Exception as error:
        # torch's, which is not imported here, and what it raises where a CPU's memory is at its end
        if type(error).__name__ not in ("OutOfMemoryError", "MemoryError") and "allocate memory" not in str(error):
            raise
        words = next(iter(str(error).splitlines()), "too much was asked for")
        return _fail(1, f"out of memory: {words}; fewer --real-rows or --device cpu may help")
    except KeyboardInterrupt as stopped:
        return _fail(130, str(stopped) or "interrupted")


def program() -> None:
    """The command line's process."""
    status = main()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a further Ctrl-C finds the interpreter on its way out
    sys.exit(status)


def _fail(status: int, message: object) -> int:
    print(f"condensery: {plain(flags(str(message)))}", file=sys.stderr)
    return status
