"""A run: a recipe on data, in a folder, from which it resumes."""

import json
import logging
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast
from typing import Protocol as Interface

import torch

from condensery import __version__, artifact, storage
from condensery.artifact import Condensed
from condensery.checkpoint import Interrupted, Keeper, difference, environment
from condensery.condensing import Step
from condensery.data import Data, RealSet
from condensery.errors import InputError
from condensery.picture import grid
from condensery.synthetic import SyntheticSet

__all__ = ["Recipe", "provenance", "run"]

log = logging.getLogger("condensery")

PREVIEWS = 10  # pictures over a whole run


class Recipe(Interface):
    """What can be run: every dataclass in `condensery.recipes`."""

    @property
    def name(self) -> str: ...

    @property
    def steps(self) -> int: ...

    def condense(
        self, real: RealSet, keeper: Keeper | None = None, observe: Callable[[Step], Any] = lambda step: None
    ) -> SyntheticSet: ...


def provenance(recipe: Recipe, real: RealSet, name: str) -> dict[str, Any]:
    """What a condensed set is determined by, as JSON: the recipe and the data."""
    fields = {"name": recipe.name, **asdict(cast(Any, recipe))}
    about = {"name": name, "fingerprint": real.fingerprint, "rows": len(real), "zca": real.space.whitening is not None}
    record = {"recipe": fields, "data": about}
    return cast(dict[str, Any], json.loads(json.dumps(record)))  # as a file gives it back: lists for tuples


def run(
    recipe: Recipe,
    data: Data,
    out: str | Path,
    every: float = 30.0,
    stop: Callable[[], bool] = lambda: False,
    observe: Callable[[Step], Any] = lambda step: None,
) -> Condensed:
    """Condense `data.train` by `recipe` into the folder `out`; called again, it resumes, or returns what is there.

    The folder then holds the artifact `condensed.safetensors`, `recipe.toml`, `run.json` (when, where, how long),
    `metrics.jsonl` (a line a step; seconds count from the first session on) and, for what is learned, `previews/`
    (PNG). While the run lasts, `checkpoint.safetensors`.

    Arguments:
        recipe: the method and its fields.
        data: its train part is condensed; its test part is not touched.
        out: the folder; made if need be.
        every: seconds between checkpoints: what a kill can lose.
        stop: asked before every step; when true the state is kept and `Interrupted` raised.
        observe: called after every step.

    Raises:
        InputError: the folder cannot be written, holds another run, or another process works in it; what the recipe
            refuses.
        RunError: the run failed.
        Interrupted: `stop` said so.
    """
    out = Path(out)
    identity = provenance(recipe, data.train, data.name)
    done = _finished(out, identity)
    if done:
        log.info(f"{out}: this run is done already; nothing to do (choose another --out, or remove the folder)")
        return done
    _prepare(out)
    with storage.locked(out):
        if done := _finished(out, identity):  # by another process, just now
            return done
        for left in out.glob(".*.part"):  # by a kill in the middle of a write
            left.unlink()
        return _run(recipe, data, out, identity, Keeper(out / "checkpoint.safetensors", identity, every, stop), observe)


def _run(
    recipe: Recipe, data: Data, out: Path, identity: dict[str, Any], keeper: Keeper, observe: Callable[[Step], Any]
) -> Condensed:
    keeper.check()
    session = _Session(out, recipe, identity, data.train.device, observe)
    try:
        synthetic = recipe.condense(data.train, keeper, session.step)
    except BaseException as error:
        session.close("interrupted" if isinstance(error, Interrupted | KeyboardInterrupt) else "failed")
        raise
    condensed = Condensed(synthetic, data.class_names, identity["recipe"], recipe.steps, identity["data"])
    storage.write(out / "previews" / f"step-{recipe.steps:06d}.png", grid(synthetic))
    session.close("done", condensed.floats, synthetic.bytes)
    artifact.save(out / artifact.NAME, condensed)
    keeper.remove()
    return condensed


def _finished(out: Path, identity: dict[str, Any]) -> Condensed | None:
    if not (out / artifact.NAME).exists():
        return None
    there = artifact.load(out)
    if (before := {"recipe": there.recipe, "data": there.data}) != identity:
        raise InputError(f"{out} holds another finished run ({difference(before, identity)}); choose another --out")
    return there


def _prepare(out: Path) -> None:
    try:
        (out / "previews").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise InputError(f"--out {out} cannot be written ({error.strerror or error}); choose another folder") from error


class _Session:
    """The records of one run, from its start or its resumption to its end."""

    def __init__(
        self, out: Path, recipe: Recipe, identity: dict[str, Any], device: torch.device, observe: Callable[[Step], Any]
    ):
        self.out, self.observe, self.recipe = out, observe, recipe
        self.metrics = out / "metrics.jsonl"
        self.start, self.first, self.before = time.perf_counter(), True, 0.0
        self.head = {**identity, "version": __version__, "platform": platform.platform()}
        self.head["sessions"] = self._earlier()
        self.now: dict[str, Any] = {"started": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **environment(device)}
        storage.write(out / "recipe.toml", _toml(identity["recipe"]).encode())
        self._write()

    def _earlier(self) -> list[Any]:
        try:
            return list(json.loads((self.out / "run.json").read_text())["sessions"])
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def step(self, step: Step) -> None:
        if self.first:  # what an earlier session did after its last checkpoint is done again
            self.first = False
            self.now["from_step"] = step.done
            kept = self._lines_before(step.done)
            self.before = json.loads(kept[-1])["seconds"] if kept else 0.0
            storage.write(self.metrics, b"".join(kept))
            self._write()
        seconds = self._seconds()
        with open(self.metrics, "a") as file:
            file.write(json.dumps({"step": step.done, "loss": step.loss, "seconds": seconds, **step.said}) + "\n")
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
                if json.loads(line)["step"] >= step:
                    break
            except (ValueError, KeyError, TypeError):  # a line cut by a kill
                break
            kept.append(line)
        return kept

    def close(self, status: str, floats: int | None = None, bytes: int | None = None) -> None:
        if self.first and (lines := self._lines_before(self.recipe.steps + 1)):  # no step was left to do
            self.before = json.loads(lines[-1])["seconds"]
        self.now["status"] = status
        self.head["seconds"] = self._seconds()
        if floats is not None:
            self.head |= {"floats": floats, "bytes": bytes, "steps": self.recipe.steps}
        self._write()

    def _write(self) -> None:
        record = {**self.head, "sessions": [*self.head["sessions"], self.now]}
        storage.write(self.out / "run.json", (json.dumps(record, indent=2) + "\n").encode())


def _toml(recipe: dict[str, Any], table: str = "") -> str:
    """A recipe's fields as TOML; None, which TOML lacks, is left out (it is the default wherever it occurs)."""
    plain = [f"{k} = {json.dumps(v)}" for k, v in recipe.items() if v is not None and not isinstance(v, dict)]
    nested = [f"\n[{table}{k}]\n" + _toml(v, f"{table}{k}.") for k, v in recipe.items() if isinstance(v, dict)]
    return "\n".join(plain) + "\n" + "".join(nested)
