"""A run: a recipe on data, in a folder, from which it resumes."""

import json
import logging
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import torch

from condensery import __version__, console
from condensery.runs import artifact, storage
from condensery.algorithms.algorithm import Algorithm, Step
from condensery.runs.artifact import Condensed
from condensery.runs.checkpoint import Interrupted, Keeper, difference, environment
from condensery.data import Data, RealSet
from condensery.errors import InputError, RunError
from condensery.runs.picture import grid
from condensery.recipes.recipe import Recipe

__all__ = ["condense", "provenance", "run", "seconds_of"]

log = logging.getLogger("condensery")

PREVIEWS = 10  # pictures over a whole run
_RECORDS = r"run\.json|recipe\.toml|metrics\.jsonl|condensed\.safetensors"


def provenance(recipe: Recipe, real: RealSet) -> dict[str, Any]:
    """What a condensed set is determined by, as JSON: the recipe and the data.

    Raises:
        InputError: no recipe.
    """
    if not isinstance(recipe, Recipe):
        raise InputError(f"{recipe!r} is not a recipe; give one such as DC(ipc=1)")
    about = {
        "name": real.name, "fingerprint": real.fingerprint, "rows": len(real),
        "zca": real.space.whitening is not None,
    }  # fmt: skip
    return {"recipe": recipe.record(), "data": about}


def condense(
    recipe: Recipe, real: RealSet, observe: Callable[[Step], Any] | None = None, progress: bool = True
) -> Condensed:
    """Condense `real` by `recipe`, in memory; `run` does it in a folder, from which it resumes.

    Arguments:
        recipe: the method and its fields.
        real: the real training set, a data set's `train`.
        observe: called after every step.
        progress: whether to show how far it is: a bar in a terminal or a notebook, elsewhere a line now and then.

    Raises:
        InputError: what the recipe refuses.
        RunError: the loss, or what was learned, is not finite.
    """
    identity, algorithm = provenance(recipe, real), recipe.algorithm(real)
    with console.watched(recipe.name, observe, progress) as told:
        synthetic = algorithm.run(observe=told)
    return Condensed(synthetic, real.class_names, identity["recipe"], algorithm.steps, identity["data"])


def run(
    recipe: Recipe,
    data: Data,
    out: str | Path,
    checkpoint_seconds: float = 30.0,
    stop: Callable[[], bool] = lambda: False,
    observe: Callable[[Step], Any] | None = None,
    progress: bool = True,
) -> Condensed:
    """Condense `data.train` by `recipe` into the folder `out`; called again, it resumes, or returns what is there.

    The folder then holds the artifact `condensed.safetensors`, `recipe.toml`, `run.json` (when, where, how long),
    `metrics.jsonl` (a line a step; seconds count from the first session on) and, for what is learned, `previews/`
    (PNG). While the run lasts, `checkpoint.safetensors`. No other file in it is changed or removed.

    Arguments:
        recipe: the method and its fields.
        data: its train part is condensed; its test part is not touched.
        out: the folder; made if need be. It is empty, or this run's own.
        checkpoint_seconds: seconds between two checkpoints, the most that a kill can lose.
        stop: asked before every step; when true the state is kept and `Interrupted` raised.
        observe: called after every step.
        progress: whether to show how far it is: a bar in a terminal or a notebook, elsewhere a line now and then.

    Raises:
        InputError: the folder cannot be written, holds another run or other files, or another process works in it;
            what the recipe refuses.
        RunError: the run failed.
        Interrupted: `stop` said so.
    """
    if not checkpoint_seconds >= 0:
        raise InputError(f"`checkpoint_seconds` must be at least 0, got {checkpoint_seconds:g}")
    if not str(out).strip():
        raise InputError("`out` is empty; name a folder")
    out = Path(out)
    identity = provenance(recipe, data.train)
    keeper = Keeper(out / "checkpoint.safetensors", identity, checkpoint_seconds, stop)
    if done := _finished(out, identity):
        log.info(f"{out}: this run is done already; nothing to do (choose another folder for a new run, or remove this one)")
        with suppress(InputError), storage.locked(out):  # else the process that holds it tidies up
            _tidy(out, keeper)
        return done
    algorithm = recipe.algorithm(data.train)  # what it refuses is refused before anything is written
    _prepare(out)
    with storage.locked(out):
        if done := _finished(out, identity):  # by another process, just now
            return done
        with console.watched(recipe.name, observe, progress) as told:
            return _run(algorithm, data.train, out, identity, keeper, told)


def _run(
    algorithm: Algorithm,
    real: RealSet,
    out: Path,
    identity: dict[str, Any],
    keeper: Keeper,
    observe: Callable[[Step], Any],
) -> Condensed:
    keeper.check()
    _tidy(out)
    session = _Session(out, algorithm.steps, identity, real.device, observe)
    with session.told():
        synthetic = algorithm.run(keeper, session.step)
        condensed = Condensed(synthetic, real.class_names, identity["recipe"], algorithm.steps, identity["data"])
        storage.write(out / "previews" / f"step-{algorithm.steps:06d}.png", grid(synthetic))
        session.close("done", condensed.floats, synthetic.bytes)
        try:
            artifact.save(out / artifact.NAME, condensed)
        except InputError as error:
            raise RunError(f"what was condensed is of no use: {error}") from error
    _tidy(out, keeper)
    return condensed


def _finished(out: Path, identity: dict[str, Any]) -> Condensed | None:
    if not os.path.exists(out / artifact.NAME):
        return None
    try:
        there = artifact.load(out)
    except InputError as error:
        raise InputError(f"{error}, or choose another folder (`out`)") from error
    if (before := {"recipe": there.recipe, "data": there.data}) != identity:
        raise InputError(f"{out} holds another finished run ({difference(before, identity)}); choose another folder (`out`)")
    return there


def _prepare(out: Path) -> None:
    """Make the folder, or see that it is empty or a run's own, and that it can be written."""
    if os.path.isfile(out):
        raise InputError(f"`out={out}` cannot be written: it is a file; choose another folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        others = [path.name for path in out.iterdir() if path.name != ".lock" and path not in _left(out)]
        if others and _earlier(out) is None:
            raise InputError(
                f"`out={out}` is not empty and holds no run ({min(others)} is in it); choose a new or an empty folder"
            )
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise InputError(f"`out={out}` cannot be written ({error.strerror or error}); choose another folder") from error


def _left(out: Path) -> list[Path]:
    """What a kill in the middle of a write has left of a run's records."""
    return [*storage.parts(out, _RECORDS), *storage.parts(out / "previews", r"step-\d+\.png")]


def _tidy(out: Path, keeper: Keeper | None = None) -> None:
    """Remove what kills have left, and with a keeper the checkpoints of a run that is done."""
    for path in _left(out):
        path.unlink(missing_ok=True)
    if keeper:
        keeper.remove()


class _Record(msgspec.Struct):
    """What tells a run's own `run.json` from another program's."""

    recipe: dict[str, Any]
    data: dict[str, Any]
    sessions: list[dict[str, Any]]
    seconds: float = 0.0


class _Line(msgspec.Struct):
    """What is read again of a line of metrics."""

    step: int
    seconds: float


def _line(words: bytes) -> _Line:
    """A line of metrics; what the objective said in it may be NaN, which only Python's own reader takes."""
    return msgspec.convert(json.loads(words), _Line)


def _earlier(out: Path) -> _Record | None:
    """What a folder's run has told of itself; None where no run has."""
    try:
        return msgspec.json.decode((out / "run.json").read_bytes(), type=_Record)
    except (OSError, ValueError, RecursionError):
        return None


def seconds_of(out: Path) -> float:
    """How long the run in a folder took, all its sessions together; 0 where its records are gone."""
    earlier = _earlier(out)
    return earlier.seconds if earlier else 0.0


class _Session:
    """The records of one run, from its start or its resumption to its end."""

    def __init__(
        self, out: Path, steps: int, identity: dict[str, Any], device: torch.device, observe: Callable[[Step], Any]
    ):
        self.out, self.observe, self.steps = out, observe, steps
        self.metrics = out / "metrics.jsonl"
        self.start, self.first, self.before = time.perf_counter(), True, 0.0
        self.head = {**identity, "version": __version__, "platform": platform.platform()}
        earlier = _earlier(out)
        self.head["sessions"] = earlier.sessions if earlier else []
        self.now: dict[str, Any] = {"started": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **environment(device)}
        self._write()  # first of all: it says whose folder this is
        storage.write(out / "recipe.toml", _toml(identity["recipe"]).encode())
        (out / "previews").mkdir(exist_ok=True)

    def step(self, step: Step) -> None:
        if self.first:  # what an earlier session did after its last checkpoint is done again
            self.first = False
            self.now["from_step"] = step.done
            kept = self._lines_before(step.done)
            self.before = _line(kept[-1]).seconds if kept else 0.0
            storage.write(self.metrics, b"".join(kept))
            self._write()
        seconds = self._seconds()
        line = {"step": step.done, "loss": step.loss, "seconds": seconds, **step.said}
        storage.append(self.metrics, json.dumps(line))
        if step.synthetic and step.done < step.total and step.done % -(-step.total // PREVIEWS) == 0:
            storage.write(self.out / "previews" / f"step-{step.done:06d}.png", grid(step.synthetic))
        self.now |= {"to_step": step.done}
        self.observe(step)

    def _seconds(self) -> float:
        """Time spent so far on what is kept: earlier sessions' steps, and this session."""
        return round(self.before + time.perf_counter() - self.start, 3)

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
        """Inside the block, what ends the run before its time is written down."""
        try:
            yield
        except BaseException as error:
            self.close("interrupted" if isinstance(error, Interrupted | KeyboardInterrupt) else "failed")
            raise

    def close(self, status: str, floats: int | None = None, bytes: int | None = None) -> None:
        if self.first and (lines := self._lines_before(self.steps + 1)):  # no step was left to do
            self.before = _line(lines[-1]).seconds
        self.now["status"] = status
        self.head["seconds"] = self._seconds()
        if floats is not None:
            self.head |= {"floats": floats, "bytes": bytes, "steps": self.steps}
        self._write()

    def _write(self) -> None:
        record = {**self.head, "sessions": [*self.head["sessions"], self.now]}
        storage.write(self.out / "run.json", (json.dumps(record, indent=2) + "\n").encode())


def _toml(recipe: dict[str, Any], table: str = "") -> str:
    """A recipe's fields as TOML; None, which TOML lacks, is left out (it is the default wherever it occurs)."""
    plain = [f"{k} = {json.dumps(v)}" for k, v in recipe.items() if v is not None and not isinstance(v, dict)]
    nested = [f"\n[{table}{k}]\n" + _toml(v, f"{table}{k}.") for k, v in recipe.items() if isinstance(v, dict)]
    return "\n".join(plain) + "\n" + "".join(nested)
