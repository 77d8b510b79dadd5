"""Condensing in memory, or in a folder from which a run can resume."""

import logging
import math
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from condensery import console
from condensery.algorithms.algorithm import Algorithm, Step
from condensery.algorithms.matching import updates
from condensery.data import Data, RealSet
from condensery.errors import InputError, RunError
from condensery.recipes.recipe import Recipe
from condensery.runs import artifact, storage
from condensery.runs.checkpoint import Keeper, difference
from condensery.runs.condensed import Condensed
from condensery.runs.session import Session, recorded
from condensery.runs.sinks import Sink, named

__all__ = ["Alteration", "check_folder", "check_seconds", "condense", "made", "origin", "provenance", "run"]

log = logging.getLogger("condensery")

_CHECKPOINT = "checkpoint.safetensors"
_RECORDS = r"run\.json|recipe\.toml|metrics\.jsonl|condensed\.safetensors"


def provenance(recipe: Recipe, real: RealSet) -> dict[str, Any]:
    """What determines a condensed set, as JSON: the recipe and the data.

    Raises:
        InputError: `recipe` is not a recipe.
    """
    if not isinstance(recipe, Recipe):
        raise InputError(f"{recipe!r} is not a recipe; give one such as DC(ipc=1)")
    if not isinstance(real, RealSet):
        raise InputError(
            f"a recipe condenses the training part of a data set (data.train), not a {type(real).__name__}"
        )
    return {"recipe": recipe.record(), "data": origin(real)}


def _identity(recipe: Recipe, real: RealSet, altered: str | None = None) -> dict[str, Any]:
    """What tells a run in a folder from others, as JSON: the recipe, the data, and how the same images are read."""
    facts = msgspec.json.decode(msgspec.json.encode(real.facts))
    names, dtype = list(real.class_names), str(real.dtype)
    read = {"space": real.space.fingerprint, "dtype": dtype, "facts": facts, "class_names": names}
    read |= {} if altered is None else {"altered": altered}
    return provenance(recipe, real) | {"read": read}


def origin(real: RealSet) -> dict[str, Any]:
    """What a condensed set says about the real set that it was condensed from, as JSON."""
    return {
        "name": real.name, "fingerprint": real.fingerprint, "rows": len(real),
        "zca": real.space.whitening is not None, "flip": real.facts.flip,
    }  # fmt: skip


@dataclass(frozen=True)
class Alteration:
    """A change in the algorithm of a recipe, by which a program chains two algorithms.

    Arguments:
        name: what it is called in the records of a run.
        of: returns the changed algorithm.
    """

    name: str
    of: Callable[[Algorithm], Algorithm]


def condense(
    recipe: Recipe,
    real: RealSet,
    observe: Callable[[Step], Any] | None = None,
    progress: bool = True,
    alteration: Alteration | None = None,
) -> Condensed:
    """Condense `real` with `recipe`, in memory; `run` does the same in a folder, from which it can resume.

    Arguments:
        recipe: the method and its fields.
        real: the real training set, the `train` of a data set.
        observe: called after every step; of a recipe that `Unrolled` runs first, steps are only logged.
        progress: whether to show progress: a bar in a terminal or a notebook, otherwise a line every 10 seconds.
        alteration: what is changed in the recipe's algorithm before it runs. None: nothing.

    Returns:
        The condensed set, which is stored nowhere; `save` writes it to a file.

    Raises:
        InputError: the recipe refuses `real` or its own fields.
        RunError: the loss or a learned number is not finite.
    """
    identity, algorithm = provenance(recipe, real), _algorithm(recipe, real, alteration)
    with console.watched(recipe.name, observe, progress) as told:
        synthetic = algorithm.run(observe=told)
    return Condensed(synthetic, real.class_names, identity["recipe"], updates(algorithm), identity["data"])


def _algorithm(recipe: Recipe, real: RealSet, alteration: Alteration | None) -> Algorithm:
    usual = recipe.algorithm(real)
    return usual if alteration is None else alteration.of(usual)


def run(
    recipe: Recipe,
    data: Data,
    out: str | Path,
    checkpoint_seconds: float = 30.0,
    stop: Callable[[], bool] = lambda: False,
    observe: Callable[[Step], Any] | None = None,
    progress: bool = True,
    started: dict[str, Any] | None = None,
    sinks: Sequence[Sink | str] = (),
    alteration: Alteration | None = None,
) -> Condensed:
    """Condense `data.train` with `recipe` into the folder `out`.

    Called again, it resumes the run, or returns the condensed set if the run has finished.

    The folder then contains the artifact `condensed.safetensors`, `recipe.toml`, `run.json` (when, where, how long),
    `metrics.jsonl` (a line for every step that `observe` is called with; seconds count from the first session on) and
    `previews/` (PNG); during the run also `checkpoint.safetensors`. No other file in the folder is changed or removed.

    Arguments:
        recipe: the method and its fields.
        data: the data set, of which only the training part is read.
        out: the folder, which is created if necessary. It must be empty or belong to this run.
        checkpoint_seconds: seconds between two checkpoints. A run that is killed loses at most this much work, and the
            step during which it is killed, which can be long where a step trains networks (MDC's accuracies) or
            clusters all images (DREAM).
        stop: called before every step; if it returns True, a checkpoint is written and `Interrupted` raised.
        observe: see `condense`.
        progress: whether to show progress: a bar in a terminal or a notebook, otherwise a line every 10 seconds.
        started: from what options the run was started, to be recorded in `run.json` as JSON.
        sinks: where the numbers of `metrics.jsonl` are sent too (see `runs.sinks`), or names such as "tensorboard".
        alteration: see `condense`; its name tells the run from that of the recipe alone.

    Returns:
        The condensed set, which is also in the folder.

    Raises:
        InputError: the folder cannot be written, contains another run or other files, or is in use by another process;
            or the recipe refuses the data or its own fields.
        RunError: the run failed, for example because the loss is not finite.
        Interrupted: `stop` returned True.
    """
    if not isinstance(data, Data):
        raise InputError(f"run takes a whole data set, whose training part it condenses, not a {type(data).__name__}")
    check_seconds(checkpoint_seconds)
    if not str(out).strip():
        raise InputError("`out` is empty; name a folder")
    out, real, altered = Path(out), data.train, None if alteration is None else alteration.name
    identity = _identity(recipe, real, altered)
    sent = [named(each) if isinstance(each, str) else each for each in sinks]
    keeper = Keeper(out / _CHECKPOINT, identity, checkpoint_seconds, stop)
    if done := _finished(out, identity, real):
        log.info(
            f"{out}: this run has already finished, and its set is used; for a new run, remove the folder or choose "
            "another"
        )
        with suppress(InputError), storage.locked(out):  # if another process holds the lock, it cleans up
            _tidy(out, keeper)
        return done
    algorithm = _algorithm(recipe, real, alteration)  # refuses wrong input before anything is written
    _check_place(out, identity, create=True)
    with storage.locked(out):
        if done := _finished(out, identity, real):  # another process may have finished it meanwhile
            return done
        _check_own(out, identity)
        with console.watched(recipe.name, observe, progress) as told:
            return _run(algorithm, real, out, identity, keeper, told, started, sent)


def made(
    recipe: Recipe, data: Data, out: Path | None, progress: bool = True, alteration: Alteration | None = None
) -> Condensed:
    """The condensed set of `data.train`: by `run` in the folder `out`, or by `condense` if there is none."""
    if out is None:
        return condense(recipe, data.train, progress=progress, alteration=alteration)
    return run(recipe, data, out, progress=progress, alteration=alteration)


def check_seconds(checkpoint_seconds: float) -> None:
    """Check the seconds between two checkpoints.

    Raises:
        InputError: they are no number, negative or not finite.
    """
    if not isinstance(checkpoint_seconds, int | float) or not 0 <= checkpoint_seconds < math.inf:
        raise InputError(f"`checkpoint_seconds` must be a number of at least 0, got {checkpoint_seconds!r}")


def check_folder(recipe: Recipe, real: RealSet, out: Path, altered: str | None = None) -> None:
    """Check, before other work begins, that `run` would not refuse a folder.

    Arguments:
        altered: the name of what is changed in the recipe's algorithm. None: nothing.

    Raises:
        InputError: it contains another run, finished or not, or other files; or it cannot be written.
    """
    identity = _identity(recipe, real, altered)
    if not _finished(out, identity, real):
        _check_place(out, identity)
        Keeper(out / _CHECKPOINT, identity).check()


def _run(
    algorithm: Algorithm,
    real: RealSet,
    out: Path,
    identity: dict[str, Any],
    keeper: Keeper,
    observe: Callable[[Step], Any],
    started: dict[str, Any] | None,
    sinks: Sequence[Sink],
) -> Condensed:
    keeper.check()
    _tidy(out)
    session = Session(
        out, updates(algorithm), identity, real.device, observe, started, real.class_names, keeper.clock, sinks
    )
    with session.told():
        synthetic = algorithm.run(keeper, session.step)
        condensed = Condensed(synthetic, real.class_names, identity["recipe"], updates(algorithm), identity["data"])
        session.preview(synthetic, algorithm.steps)
        session.close("done", condensed.floats, synthetic.bytes)
        try:
            artifact.save(condensed, out / artifact.NAME)
        except InputError as error:
            raise RunError(f"the condensed set cannot be saved: {error}") from error
    _tidy(out, keeper)
    return condensed


def _finished(out: Path, identity: dict[str, Any], real: RealSet) -> Condensed | None:
    """The set in the folder, if the run has finished there.

    Raises:
        InputError: the set is of another run, or cannot be read.
    """
    if not os.path.exists(out / artifact.NAME):
        return None
    try:
        there = artifact.load(out)
    except InputError as error:
        raise InputError(f"{error}, or choose another folder (`out`)") from error
    _check_same(out, {"recipe": there.recipe, "data": there.data}, identity)
    known = recorded(out)  # it tells how images are normalized; the set may have the constants of a recipe instead
    if known:
        _check_same(out, {"read": known.read}, identity)
    normalized = known is not None or there.space.fingerprint == real.space.fingerprint
    if not normalized or there.class_names != real.class_names:
        raise InputError(
            f"{out} contains another run (of the same images, normalized or whitened in another way, or with other "
            "class names); choose another folder (`out`)"
        )
    return there


def _check_same(out: Path, before: dict[str, Any], identity: dict[str, Any]) -> None:
    """Check that what a folder tells about its run, which may be a part of what there is to tell, is of this run.

    Raises:
        InputError: it is not.
    """
    if before != (now := {key: identity[key] for key in before}):
        raise InputError(f"{out} contains another run ({difference(before, now)}); choose another folder (`out`)")


def _check_place(out: Path, identity: dict[str, Any], create: bool = False) -> None:
    """Check that the folder is new, empty or belongs to this run, and that it can be written.

    Arguments:
        identity: the recipe, the data and how they are read.
        create: whether to create the folder. Otherwise the folder in which it would be created is checked.

    Raises:
        InputError: one of these fails.
    """
    try:
        str(out.absolute()).encode()
    except UnicodeEncodeError as error:  # safetensors could not open a file in it
        raise InputError(f"`out={out}` is not valid UTF-8; choose another folder") from error
    try:
        _check_own(out, identity)
        if create:
            out.mkdir(parents=True, exist_ok=True)
        place = out.absolute()
        with tempfile.TemporaryFile(dir=next(path for path in (place, *place.parents) if path.exists())):
            pass
    except OSError as error:
        raise InputError(f"`out={out}` cannot be written ({error.strerror or error}); choose another folder") from error


def _check_own(out: Path, identity: dict[str, Any]) -> None:
    """Check that the folder is new, empty or belongs to this run.

    Raises:
        InputError: it is a file, or contains another run or other files.
    """
    if os.path.isfile(out):
        raise InputError(f"`out={out}` cannot be written: it is a file; choose another folder")
    present = out.iterdir() if out.is_dir() else ()
    ours = {".lock", *(path.name for path in _left(out))}
    others = [path.name for path in present if path.name not in ours]
    if known := recorded(out):
        _check_same(out, {"recipe": known.recipe, "data": known.data, "read": known.read}, identity)
    elif others:
        raise InputError(
            f"`out={out}` is not empty and contains no run (but {min(others)}); choose a new or an empty folder"
        )


def _left(out: Path) -> list[Path]:
    """Partly written records of the run, which a kill can leave."""
    return [*storage.parts(out, _RECORDS), *storage.parts(out / "previews", r"step-\d+\.png")]


def _tidy(out: Path, keeper: Keeper | None = None) -> None:
    """Remove partly written records; with `keeper`, also the checkpoints of a finished run."""
    for path in _left(out):
        path.unlink(missing_ok=True)
    if keeper:
        keeper.remove()
