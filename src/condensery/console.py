"""Console output and input: progress, messages, tables and Ctrl-C."""

import codecs
import contextlib
import logging
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from condensery.errors import plain

if TYPE_CHECKING:
    from condensery.algorithms.algorithm import Step

__all__ = ["Spoken", "counted", "duration", "print_table", "progress", "say", "speak", "spell", "stoppable", "watched"]

log = logging.getLogger("condensery")


class Spoken(logging.Handler):
    """A logging handler that prints each message as one line on standard error.

    Arguments:
        unless: a function; when it returns a true value, messages are not printed here.
        worded: a function that rewrites a message before it is printed.
    """

    def __init__(self, unless: Callable[[], object] = lambda: False, worded: Callable[[str], str] = str):
        super().__init__()
        self.unless, self.worded = unless, worded

    def emit(self, record: logging.LogRecord) -> None:
        if not self.unless():
            print(f"condensery: {plain(self.worded(record.getMessage()))}", file=sys.stderr, flush=True)


def speak() -> None:
    """Show the library's log messages to the user of a Python program, unless the program has set up logging itself."""
    if not log.handlers:
        log.addHandler(Spoken(unless=lambda: logging.getLogger().handlers))
        log.setLevel(logging.INFO)


def say(text: object = "") -> None:
    """Print lines of text, with characters that are unsafe for a terminal escaped."""
    for line in str(text).split("\n"):
        print(plain(line))


def spell() -> None:
    """Spell out characters that the output encoding lacks, such as ±, so that printing results cannot fail."""
    codecs.register_error("spell", _spelled)
    for stream in (sys.stdout, sys.stderr):
        if callable(reconfigure := getattr(stream, "reconfigure", None)):
            reconfigure(errors="spell")


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    spelling = {"±": "+-", "×": "x", "…": "...", "─": "-", "│": "|", **dict.fromkeys("╭╮╰╯", "+")}
    characters = error.object[error.start : error.end]
    return "".join(spelling.get(c) or c.encode("unicode_escape").decode() for c in characters), error.end


@contextlib.contextmanager
def stoppable() -> Iterator[Callable[[], bool]]:
    """A context in which the first Ctrl-C asks a run to stop after the current step; a second stops it at once.

    The context yields a function that returns whether the run was asked to stop.
    """
    asked: list[int] = []

    def ask(number: int, frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        log.info(
            "stopping after this step and any compilation (a second Ctrl-C stops at once; the run then resumes from "
            "its last checkpoint)"
        )

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _lively() -> bool:
    """Whether a progress bar can be shown: in a terminal, or in a notebook with widgets."""
    return sys.stderr.isatty() or ("ipykernel" in sys.modules and find_spec("ipywidgets") is not None)


@contextlib.contextmanager
def progress(label: str) -> "Iterator[Callable[[Step], None]]":
    """Show progress: a bar with loss, speed and time left in a terminal or notebook, else a line about every 10 s."""
    if _lively():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        rest = (TextColumn("loss {task.fields[loss]:.4g}"), TextColumn("{task.fields[speed]}"), TimeRemainingColumn())
        with Progress(*columns, *rest, console=Console(stderr=True)) as bar:
            started = _Pace()
            task = bar.add_task(label, total=None, loss=float("nan"), speed="", visible=False)

            def show(step: "Step") -> None:
                speed = started.speed(step.done)
                if chosen := _chosen(step.said.get("subset")):
                    bar.update(task, description=f"{label}, {chosen}")
                bar.update(task, completed=step.done, total=step.total, loss=step.loss, speed=speed, visible=True)

            yield show
        return

    pace, last = _Pace(), 0.0

    def tell(step: "Step") -> None:
        nonlocal last
        speed = pace.speed(step.done)
        chosen = _chosen(step.said.get("subset"))
        if chosen or step.done in (step.total, pace.first) or time.monotonic() - last > 10:
            last = time.monotonic()
            said = [f"{label}: step {step.done}/{step.total}", f"loss {step.loss:.4g}", speed]
            log.info(", ".join(filter(None, [*said, pace.left(step.done, step.total), chosen])))

    yield tell


@contextlib.contextmanager
def watched(label: str, observe: "Callable[[Step], object] | None", show: bool) -> "Iterator[Callable[[Step], None]]":
    """A context that yields a function to call after every step: it calls `observe`, and shows progress if `show`."""
    with progress(label) if show else contextlib.nullcontext(None) as bar:

        def told(step: "Step") -> None:
            if bar:
                bar(step)
            if observe:
                observe(step)

        yield told


@contextlib.contextmanager
def counted(label: str) -> Iterator[Callable[[float, int], None]]:
    """Show (done, total): a bar in a terminal or notebook, otherwise a line about every 10 s.

    `done` may have a fraction, for one that has begun.
    """
    if _lively():
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True)) as bar:
            task = bar.add_task(label, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    start = last = time.monotonic()
    before: float | None = None

    def tell(done: float, total: int) -> None:
        nonlocal start, last, before
        now = time.monotonic()
        if before is None:  # if more than one, they were done before, in no time
            before, start = (done, now) if done > 1 else (0.0, start)
        if done > before and now - last > 10:
            last = now
            left = (now - start) / (done - before) * (total - done)
            log.info(f"{int(done)} of {total} {label}" + (f", {duration(left)} left" if done < total else ""))

    yield tell


def _chosen(subset: list[int] | None) -> str:
    """The subsets that MDC has just chosen to learn besides the whole set, as text."""
    if not subset:
        return ""
    low, high = min(subset), max(subset)
    return f"learning the first {low if low == high else f'{low} to {high}'} per class"


class _Pace:
    """Speed and time left, measured from the first step that is reported."""

    first: int | None = None

    def speed(self, done: int) -> str:
        if self.first is None:
            self.first, self.start = done, time.monotonic()
        each = self._each(done)
        return "" if each is None else f"{each:.2f} s per step" if each >= 0.1 else f"{1 / each:.0f} steps per second"

    def left(self, done: int, total: int) -> str:
        each = self._each(done)
        return "" if each is None else f"{duration(each * (total - done))} left"

    def _each(self, done: int) -> float | None:
        if self.first is None or done <= self.first:
            return None
        return max(time.monotonic() - self.start, 1e-9) / (done - self.first)


def duration(seconds: float) -> str:
    """A duration as text, in seconds, minutes or hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def print_table(title: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print a title and a table; the first column is aligned to the left, the others to the right.

    In a terminal that is too narrow for the table, each row is printed as a list: a line for each of its cells.
    """
    say(f"\n{title}\n")
    widths = [max(len(line[i]) for line in [head, *rows]) for i in range(len(head))]
    if sys.stdout.isatty() and sum(widths) + 2 * len(head) - 2 > shutil.get_terminal_size().columns:
        for first, *cells in rows:
            say(first)
            for name, cell in zip(head[1:], cells, strict=True):
                say(f"  {name}: {cell}")
        say()
        return
    for line in [head, tuple("-" * width for width in widths), *rows]:
        say(
            "  ".join(f"{c:<{w}}" if i == 0 else f"{c:>{w}}" for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        )
    say()
