"""Choosing a recipe, its number format and its steps for one's data, from known figures and a short trial."""

import json
import logging
import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any

from condensery.data import Data
from condensery.errors import InputError, RunError
from condensery.evaluation.evaluate import evaluate
from condensery.evaluation.protocols import Protocol, fixed_steps
from condensery.fields import byte_count
from condensery.kernels.compiling import during, mode
from condensery.networks.convnet import ConvNet
from condensery.networks.net import Architecture
from condensery.recipes import DM, IDC, KFS, Compact, Herding, Random, Recipe, Unrolled, Wrapper
from condensery.runs.condensed import Condensed
from condensery.runs.planning import Plan, plan
from condensery.runs.run import condense

__all__ = ["Choice", "Trial", "auto", "candidates", "check_limits", "fitted", "lengthened"]

log = logging.getLogger("condensery")

LEARNED = 2  # learned candidates that are tried at most
TRIED = 0.15  # the part of the time in which one of them is condensed for the trial
REAL = ("random", "herding")  # candidates that choose real images
STEPS = ("outer_steps", "steps", "rounds")  # fields that make a run longer
FEW = 10  # held-out rows of a class below which a warning says that the trial is coarse
LONGEST = 4  # the most steps of the run, in multiples of those of the preset
FAST = ConvNet(width=64)  # in the papers' width of 128, a few minutes hold too few steps
NARROW = ConvNet(width=32)  # measures the trial and gives herding its features, so that most of the time is left


@dataclass(frozen=True)
class Trial:
    """What a candidate reached in the trial.

    Arguments:
        name: the recipe's name on the command line.
        accuracy, std: mean and standard deviation over two networks, in [0, 1], on a tenth of the training part.
        share: the part of the preset's steps that were taken.
    """

    name: str
    accuracy: float
    std: float
    share: float


@dataclass(frozen=True)
class Choice:
    """The recipe for the data, and why it is this one.

    Arguments:
        name: the recipe's name on the command line, where it has the network of its preset.
        recipe: fits the bytes, and has as many steps as fit the time.
        trials: all candidates that were tried, the best one first.
        reason: one or two sentences.
    """

    name: str
    recipe: Recipe
    trials: tuple[Trial, ...]
    reason: str


def auto(data: Data, bytes: int | str = "32KB", minutes: float = 10, net: Architecture | None = None) -> Choice:
    """Choose a recipe whose set takes at most `bytes`, and which takes about `minutes` in all, with its trial.

    Candidates are real images (random and by herding) and the recipe whose learned set did best, at a similar number of
    bytes, on the data of `experiments/bytes.py` that are most like these. They are tried on a tenth of the *training*
    part that is held out for it; the test part is not read. If the learned set is no better than the real images there,
    the recipe that did second best is tried too. The chosen recipe then gets as many steps as fit into the time that is
    left.

    Arguments:
        data: the data set.
        bytes: a number, or text such as "40 KB".
        minutes: minutes on this machine for the trial and for the run.
        net: the network to condense in and to measure with. None: ConvNets of width 64 and 32.

    Raises:
        InputError: `bytes` does not hold a set of any candidate, `minutes` is not above 0, or the classes are too small
            to hold out a tenth.
    """
    if not isinstance(data, Data):
        raise InputError(f"auto takes a whole data set, not a {type(data).__name__}")
    most = check_limits(bytes, minutes)
    start, part = time.perf_counter(), data.validation()
    if (rows := int(part.test.labels.bincount(minlength=data.train.classes).min())) < FEW:
        log.warning(f"{data.name}: the trial has as few as {rows} held-out rows in a class, so its choice may be wrong")
    known = candidates(data.shape, net)
    trials: list[Trial] = []
    plans: dict[str, Plan] = {}
    refused: list[str] = []
    for name in [*REAL, *_ranked(data, most)[:LEARNED]]:
        if trials and max(trials, key=lambda trial: trial.accuracy).name in plans:
            break  # what the known figures place lower is not worth its part of the time
        try:
            recipe, share, computing = known[name].within(bytes, part.train), 1.0, mode()
            log.info(f"trying {name}")
            if name not in REAL:
                plans[name] = plan(recipe, part.train, progress=False)
                share = min(1.0, TRIED * 60 * minutes / plans[name].seconds)
                recipe, computing = lengthened(recipe, share, (*STEPS, "pretraining")), plans[name].computing
            with during(computing):  # as it was planned, though a short trial alone would not be worth compiling
                made = condense(recipe, part.train, progress=False)
        except (InputError, RunError) as error:
            refused.append(f"{name} is left out: {error}")
            continue
        reached = evaluate(made, part, net=net or NARROW, protocol=_brief, repeats=2, progress=False)
        trials.append(Trial(name, reached.mean, reached.std, share))
        log.info(f"{name}: {reached} on a tenth of the training part")
    if not trials:
        raise InputError(f"no candidate suits {data.name} and {most:,} bytes: {'; '.join(refused)}")
    for words in refused:
        log.info(words)
    trials.sort(key=lambda trial: -trial.accuracy)
    name, left = trials[0].name, 60 * minutes - (time.perf_counter() - start)
    recipe = known[name].within(bytes, data.train)
    if name in plans:
        recipe = fitted(recipe, plans[name], left, trials[0].share)
    return Choice(name, recipe, tuple(trials), _reason(trials))


def check_limits(bytes: int | str, minutes: float) -> int:
    """The number of bytes that `bytes` stands for.

    Raises:
        InputError: it is below 1 or no number of bytes, or `minutes` is no number above 0.
    """
    if isinstance(minutes, bool) or not isinstance(minutes, int | float) or not 0 < minutes < math.inf:
        raise InputError(f"`minutes` must be a number above 0, got {minutes!r}")
    if (most := byte_count(bytes)) < 1:
        raise InputError(f"{bytes} holds less than one byte; give more")
    return most


def _brief(data: Data, condensed: Condensed | None = None, net: Architecture | None = None) -> Protocol:
    """`fixed-steps`, with 300 steps: the trial compares candidates, and does not say how good a set will be."""
    return replace(fixed_steps(data, condensed, net), name="fixed-steps, 300 steps", steps=300)


def candidates(shape: Sequence[int], net: Architecture | None = None) -> dict[str, Recipe]:
    """Recipes by their names on the command line: presets for images of this shape, in a network.

    Arguments:
        shape: (channels, height, width).
        net: see `auto`.
    """
    tiny = max(shape[1:]) < 16
    preset = "digits" if tiny else "quick"
    learned: list[Recipe] = [kind.named()[f"{kind.name}:{preset}"] for kind in (KFS, DM, IDC)]
    compact: dict[str, Recipe] = {f"{recipe.name}:{preset}+compact": Compact(recipe) for recipe in learned}
    unrolled = {f"kfs:{preset}+compact+unrolled": Unrolled.quick(compact[f"kfs:{preset}+compact"])}
    found = {name: recipe.having(net=net or FAST) for name, recipe in {**unrolled, **compact}.items()}
    return {**found, "random": Random(), "herding": Herding(feature_epochs=1, net=net or NARROW)}


def _ranked(data: Data, bytes: int) -> list[str]:
    """The learned candidates, the best first by the known figures of the most similar data and bytes.

    The figures are of test parts, so those of the very data do not count.
    """
    values, each = math.prod(data.shape), bytes / data.train.classes

    def unlike(row: dict[str, Any]) -> float:
        sizes = abs(math.log(row["values"] / values))
        return sizes + abs(math.log(row["bytes_per_class"] / row["values"] / (each / values)))

    names = [name for name in candidates(data.shape) if ":" in name]
    known: list[dict[str, Any]] = json.loads(resources.files("condensery.runs").joinpath("known.json").read_text())
    plain = {name: re.sub(":[a-z]+", "", name) for name in names}
    others = [row for row in known if row["data"] != data.train.fingerprint]
    if not (telling := [row for row in others if row["accuracies"].keys() & set(plain.values())]):
        return names
    like = min(telling, key=unlike)["accuracies"]
    return sorted(names, key=lambda name: -like.get(plain[name], 0.0))


def fitted(recipe: Recipe, planned: Plan, seconds: float, least: float = 0.0) -> Recipe:
    """The recipe with as many steps as fit into `seconds` by its plan, at most `LONGEST` times as many as it has.

    The training of an autoencoder before its steps is shortened if it would take over half the time.

    Arguments:
        recipe: one of `candidates`.
        planned: its plan on this machine.
        seconds: the time for the whole run.
        least: the part of its steps, and of that training, which it takes even if they do not fit.
    """
    steps, before = max(planned.seconds - planned.fixed, 1e-9), max(planned.fixed, 1e-9)
    part = min(1.0, max(least, seconds / 2 / before))
    recipe = lengthened(recipe, part, ("pretraining",))
    return lengthened(recipe, min(LONGEST, max(least, (seconds - part * before) / steps)))


def lengthened(recipe: Recipe, factor: float, fields: Sequence[str] = STEPS) -> Recipe:
    """The recipe with its numbers of steps and rounds multiplied by `factor`, but not below 1."""
    if isinstance(recipe, Wrapper):
        recipe = replace(recipe, base=lengthened(recipe.base, factor, fields))
    there = {field: vars(recipe)[field] for field in fields if vars(recipe).get(field)}
    return replace(recipe, **{field: max(1, round(count * factor)) for field, count in there.items()})


def _reason(trials: Sequence[Trial]) -> str:
    """Why the first of the trials was chosen, and whether real images do as well."""

    def said(trial: Trial) -> str:
        short = f" after {100 * trial.share:.0f} % of its steps" if trial.share < 1 else ""
        return f"{trial.name} {100 * trial.accuracy:.1f} ± {100 * trial.std:.1f}{short}"

    best, others = trials[0], trials[1:]
    words = f"on a tenth of the training part: {'; '.join(said(trial) for trial in (best, *others))}."
    real = next((trial for trial in trials if ":" not in trial.name), None)
    learned = any(":" in trial.name for trial in trials)
    if real is None or not learned:  # there is nothing to compare them with
        return words
    if real is best:
        return f"{words} At these bytes, real images do at least as well as sets that are learned in this time."
    if real.accuracy >= best.accuracy - best.std - real.std:
        return f"{words} Real images ({real.name}) of as many bytes do about as well."
    return words
