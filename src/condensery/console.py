"""What a person at the console sees and presses: progress, tables, Ctrl-C."""

import contextlib
import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from condensery.condensing import Step

__all__ = ["print_table", "progress", "stoppable"]

log = logging.getLogger("condensery")


@contextlib.contextmanager
def stoppable() -> Iterator[Callable[[], bool]]:
    """While a run lasts, the first Ctrl-C asks it to stop after the step, the second stops it at once."""
    asked: list[int] = []

    def ask(number: int, frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        log.info("stopping once this step, and any compiling, is done (once more: now, at the last checkpoint)")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def progress(label: str) -> "Iterator[Callable[[Step], None]]":
    """A bar with loss, speed and time left on a terminal; otherwise a plain line now and then."""
    if sys.stderr.isatty():
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

    def say(step: "Step") -> None:
        nonlocal last
        speed = pace.speed(step.done)
        chosen = _chosen(step.said.get("subset"))
        if chosen or step.done in (step.total, pace.first) or time.monotonic() - last > 10:
            last = time.monotonic()
            said = [f"{label}: step {step.done}/{step.total}", f"loss {step.loss:.4g}", speed]
            log.info(", ".join(filter(None, [*said, pace.left(step.done, step.total), chosen])))

    yield say


def _chosen(subset: list[int] | None) -> str:
    """What MDC learns from here on, beside the whole."""
    if not subset:
        return ""
    low, high = min(subset), max(subset)
    return f"learning the first {low if low == high else f'{low} to {high}'}"


class _Pace:
    """Speed and time left, counted from the first step seen."""

    first: int | None = None

    def speed(self, done: int) -> str:
        if self.first is None:
            self.first, self.start = done, time.monotonic()
        each = self._each(done)
        return "" if each is None else f"{each:.2f} s a step" if each >= 0.1 else f"{1 / each:.0f} steps a second"

    def left(self, done: int, total: int) -> str:
        each = self._each(done)
        return "" if each is None else f"{each * (total - done):.0f} s left"

    def _each(self, done: int) -> float | None:
        if self.first is None or done <= self.first:
            return None
        return max(time.monotonic() - self.start, 1e-9) / (done - self.first)


def print_table(title: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """A title and aligned columns: the first to the left, the others to the right."""
    print(f"\n{title}\n")
    widths = [max(len(line[i]) for line in [head, *rows]) for i in range(len(head))]
    for line in [head, tuple("-" * width for width in widths), *rows]:
        print(
            "  ".join(f"{c:<{w}}" if i == 0 else f"{c:>{w}}" for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        )
    print()
