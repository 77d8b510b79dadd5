"""The records of a run in its folder: what it is, who started it, its losses and its pictures."""

import json
import logging
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import torch

from condensery import __version__
from condensery.algorithms.algorithm import Step
from condensery.errors import InputError
from condensery.runs import storage
from condensery.runs.checkpoint import Clock, Interrupted, environment
from condensery.runs.picture import grid, png
from condensery.runs.sinks import Sink
from condensery.synthetic import SyntheticSet

__all__ = ["Session", "recorded", "seconds_of", "started_by"]

log = logging.getLogger("condensery")

PREVIEWS = 10  # number of preview pictures of a whole run


class Record(msgspec.Struct):
    """Schema of `run.json`, which distinguishes it from a file of another program."""

    recipe: dict[str, Any]
    data: dict[str, Any]
    read: dict[str, Any]
    sessions: list[dict[str, Any]]
    seconds: float = 0.0
    started: dict[str, Any] | None = None


class _Line(msgspec.Struct):
    """The fields of a line in `metrics.jsonl` that are read again."""

    step: int
    seconds: float


def _line(words: bytes) -> _Line:
    """Parse a line of `metrics.jsonl`, with Python's JSON parser, because msgspec's refuses NaN."""
    return msgspec.convert(json.loads(words), _Line)


def recorded(out: Path) -> Record | None:
    """The `run.json` of a folder; None: there is none, or it is not of a run."""
    try:
        return msgspec.convert(json.loads(storage.read(out / "run.json")), Record)  # msgspec reads UTF-8 only
    except (OSError, ValueError, RecursionError):
        return None


def seconds_of(out: Path) -> float:
    """Seconds that the run in a folder took over all its sessions; 0 if its records are missing."""
    earlier = recorded(out)
    return earlier.seconds if earlier else 0.0


def started_by(out: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The recipe of the run in a folder, what it says about its data, and the options from which it was started.

    Raises:
        InputError: the folder holds no run, or one that a Python program started without recording its options.
    """
    earlier = recorded(out)
    if earlier is None:
        raise InputError(f"{out}: no run in it that can go on; give the folder of a run (`out`)")
    if earlier.started is None:
        raise InputError(
            f"{out}: this run was started by a Python program, or by a command that makes several sets, such as "
            "continual; repeat that to resume it"
        )
    return earlier.recipe, earlier.data, earlier.started


class Session:
    """Writes the records of one session of a run, from its start or resumption to its end.

    Arguments:
        out: the folder of the run.
        updates: updates of the set in the whole run, over all its parts.
        identity: the recipe, the data and how they are read, as JSON.
        device: where the run computes.
        observe: called after every step.
        started: the options from which the run was started; None: those of an earlier session, if there are any.
        names: the names of the classes, for pictures.
        clock: counts the seconds of the run over all its sessions.
        sinks: where the numbers of the steps are sent too.
    """

    def __init__(
        self,
        out: Path,
        updates: int,
        identity: dict[str, Any],
        device: torch.device,
        observe: Callable[[Step], Any],
        started: dict[str, Any] | None,
        names: tuple[str, ...],
        clock: Clock,
        sinks: Sequence[Sink],
    ):
        self.out, self.observe, self.updates, self.names, self.clock = out, observe, updates, names, clock
        self.sinks = sinks
        self.metrics, self.first = out / "metrics.jsonl", True
        self.head = {**identity, "version": __version__, "platform": platform.platform()}
        earlier = recorded(out)
        if started := started or (earlier.started if earlier else None):
            self.head["started"] = started
        self.head["sessions"] = earlier.sessions if earlier else []
        self.head["seconds"] = earlier.seconds if earlier else 0.0
        self.now: dict[str, Any] = {"started": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **environment(device)}
        self._write()  # first of all, because it marks the folder as that of a run
        storage.write(out / "recipe.toml", _toml(identity["recipe"]).encode(errors="surrogateescape"))
        (out / "previews").mkdir(exist_ok=True)

    def step(self, step: Step) -> None:
        """Record a step: a line of `metrics.jsonl`, at some steps a preview, and what `observe` and the sinks do."""
        if self.first:  # steps after the last checkpoint are repeated, so drop their lines
            self.first = False
            self.now["from_step"] = step.done
            storage.write(self.metrics, b"".join(self._lines_before(step.done)))
            self._write()
        line = {"step": step.done, "loss": step.loss, "seconds": self._seconds(), **step.said}
        storage.append(self.metrics, json.dumps(line))
        if step.synthetic and step.done < step.total and step.done % -(-step.total // PREVIEWS) == 0:
            self.preview(step.synthetic, step.done)
        self.now |= {"to_step": step.done}
        self.observe(step)
        numbers = {name: value for name, value in line.items() if name != "step" and isinstance(value, int | float)}
        for sink in self.sinks:
            sink.log(step.done, numbers)

    def preview(self, synthetic: SyntheticSet, done: int) -> None:
        """Draw the set after `done` steps; a picture that would take too much memory is left out, with a warning."""
        try:
            storage.write(self.out / "previews" / f"step-{done:06d}.png", png(grid(synthetic, self.names)))
        except InputError as error:
            log.warning(f"no picture of step {done}: {error}")

    def _seconds(self) -> float:
        """Seconds of this session and of the work of earlier sessions that is not repeated."""
        return round(self.clock.seconds(), 3)

    def _lines_before(self, step: int) -> list[bytes]:
        if not self.metrics.exists():
            return []
        kept = []
        for line in self.metrics.read_bytes().splitlines(keepends=True):
            try:
                if _line(line).step >= step:
                    break
            except (ValueError, RecursionError):  # a line cut by a kill
                break
            kept.append(line)
        return kept

    @contextmanager
    def told(self) -> Iterator[None]:
        """Tell the sinks and `run.json` how the block ends; an exception interrupted the run or made it fail."""
        begun: list[Sink] = []
        try:
            for sink in self.sinks:
                sink.start(self.out, self.head)
                begun.append(sink)
            yield
        except BaseException as error:
            self.close("interrupted" if isinstance(error, Interrupted | KeyboardInterrupt) else "failed")
            raise
        finally:
            for sink in begun:
                sink.close()

    def close(self, status: str, floats: int | None = None, bytes: int | None = None) -> None:
        """Write how the session ended into `run.json`, and if the run is done, the size of its set."""
        self.now["status"] = status
        self.head["seconds"] = self._seconds()
        if floats is not None:
            self.head |= {"floats": floats, "bytes": bytes, "steps": self.updates}
        self._write()

    def _write(self) -> None:
        record = {**self.head, "sessions": [*self.head["sessions"], self.now]}
        storage.write(self.out / "run.json", (json.dumps(record, indent=2) + "\n").encode())


def _toml(recipe: dict[str, Any], table: str = "") -> str:
    """The fields of a recipe as TOML, without those that are None, which TOML lacks and which is always the default."""
    values = {k: v for k, v in recipe.items() if v is not None and not isinstance(v, dict)}
    plain = [f"{k} = {json.dumps(v, ensure_ascii=False)}" for k, v in values.items()]
    nested = [f"\n[{table}{k}]\n" + _toml(v, f"{table}{k}.") for k, v in recipe.items() if isinstance(v, dict)]
    return "\n".join(plain) + "\n" + "".join(nested)
