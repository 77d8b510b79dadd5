"""Estimates of the stored bytes, time and memory of a run, from its first steps."""

import logging
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import cast

from condensery.algorithms.algorithm import Algorithm, Rare, Step
from condensery.algorithms.matching import Matching, updates
from condensery.algorithms.samplers import Whole
from condensery.algorithms.schedules import Fresh
from condensery.data import RealSet
from condensery.kernels.compiling import Mode, during, mode, seconds_spent
from condensery.kernels.memory import peak
from condensery.recipes.recipe import Recipe
from condensery.runs.run import provenance
from condensery.runs.storage import without_cache

__all__ = ["Plan", "plan"]

log = logging.getLogger("condensery")

SECONDS, STEPS = 4.0, 2  # the probe lasts at least this long and this many steps, after a first step for warming up


@dataclass(frozen=True)
class Plan:
    """The estimated cost of a run on this machine.

    Arguments:
        steps: number of updates, over all parts of the run.
        floats, bytes: size of the condensed set; with uint8, bytes include grids, which learned pixels may not need.
        seconds: wall time of the whole run, without compiling, which the plan has already done.
        fixed: the part of `seconds` that would be the same with fewer or more steps.
        memory: peak memory of the process in bytes; None: the system does not report it.
        computing: how steps are computed; see `compiling.Mode`.
    """

    steps: int
    floats: int
    bytes: int
    seconds: float
    fixed: float
    memory: int | None
    computing: Mode


class _Enough(Exception):
    pass


@dataclass(frozen=True)
class _Probe:
    """Timings of the first steps of a run.

    Arguments:
        start: seconds until the end of the first step, without compiling.
        each: seconds per further step.
        steps: steps that a whole run reports: updates of the set, or of a network by which real rows are chosen.
        computing: how steps are computed.
    """

    start: float
    each: float
    steps: int
    computing: Mode


def plan(recipe: Recipe, real: RealSet, progress: bool = True) -> Plan:
    """Run the first steps of a recipe and estimate the cost of a whole run.

    The probe runs the recipe on the real rows for a first step (including reading, drawing and compiling) and at least
    2 more; it writes no run. Rare work is timed separately, by a few repetitions: updates of early phases (IDC) and of
    the autoencoder (KFS), clusterings (DREAM), and steps in networks whose means of real rows are already known (KFS).
    The estimate assumes that no means are cached from earlier runs. It leaves out the scores of MDC's subsets, which
    take as long as a few steps of each period, or with `metric="accuracy"` as long as the training of their networks.
    Of methods that choose real images (herding, for example), it counts the training of the network by which they
    choose.

    Arguments:
        recipe: the method and its fields.
        real: the training set.
        progress: whether to log what is being timed.

    Raises:
        InputError: `recipe` is not a recipe, `real` is not a training set, or the recipe refuses it.
        RunError: the loss is not finite in the probe.
    """
    provenance(recipe, real)
    with without_cache():  # also while the algorithm is made, which then gets no folder for what it keeps
        return _plan(lambda: recipe.algorithm(real), real, log.info if progress else log.debug)


def _plan(made: Callable[[], Algorithm], real: RealSet, tell: Callable[[str], None]) -> Plan:
    """The plan of an algorithm, which `made` returns anew with every call."""
    algorithm = made()
    floats, stored = algorithm.synthetic.floats, algorithm.synthetic.bytes  # before steps, whose number time decides
    fixed = apart = 0.0
    if isinstance(algorithm, Matching):
        for rare in filter(None, [beginning.rare(algorithm.synthetic) for beginning in algorithm.beginnings]):
            tell(f"timing {rare.what}")
            fixed += rare.count * _seconds(rare)
        if algorithm.before:
            before = _plan(lambda: cast(Matching, made()).before[0], real, tell)
            fixed, apart = fixed + before.fixed, apart + before.seconds - before.fixed
    with during(algorithm.computing if isinstance(algorithm, Matching) else mode()):  # as in the whole run
        if isinstance(algorithm, Matching):
            for rare in filter(None, [algorithm.schedule.rare(real), algorithm.sampler.rare(algorithm.schedule, real)]):
                tell(f"timing {rare.what}")
                apart += rare.count * _seconds(rare)
        tell(f"timing the first steps, at least {STEPS + 1} of them and for at least {SECONDS:.0f} s")
        first = again = _probe(_steady(algorithm))
        new = first.steps
        if isinstance(algorithm, Matching) and isinstance(algorithm.sampler, Whole):
            new -= algorithm.schedule.outer - algorithm.schedule.different  # restarts from a network that was there
        if new < first.steps:
            again = _probe(_steady(made(), one_network=True))
    seconds = first.start + first.each * max(new - 1, 0) + again.each * (first.steps - new)
    memory = peak() if sys.platform.startswith("linux") else None
    return Plan(updates(algorithm), floats, stored, seconds + apart + fixed, fixed, memory, first.computing)


def _steady(algorithm: Algorithm, one_network: bool = False) -> Algorithm:
    """The algorithm without its rare work; with `one_network`, at the same point in every step."""
    if not isinstance(algorithm, Matching):
        return algorithm
    schedule = algorithm.schedule.steady()
    if one_network:
        schedule = Fresh(schedule.network, schedule.outer, 0, networks=1)
    sampler, objective = algorithm.sampler.steady(), algorithm.objective.steady()
    alone = algorithm.parts[-1]
    beginnings = [beginning.steady() for beginning in alone.beginnings]
    return replace(alone, beginnings=beginnings, schedule=schedule, sampler=sampler, objective=objective)


def _seconds(rare: Rare) -> float:
    """Seconds per repetition, without warming up."""
    rare.some(1)
    times = []
    for count in (1, 4):
        start = time.perf_counter()
        rare.some(count)
        times.append(time.perf_counter() - start)
    return max(times[1] - times[0], 0.0) / 3


def _probe(algorithm: Algorithm) -> _Probe:
    start, compiled = time.perf_counter(), seconds_spent()
    moments: list[float] = []  # seconds since the start, without those of compiling
    how: list[Mode] = []
    steps: list[int] = []

    def now() -> float:
        return time.perf_counter() - start - (seconds_spent() - compiled)

    def observe(step: Step) -> None:
        moments.append(now())
        how[:], steps[:] = [mode()], [step.total]
        if len(moments) > STEPS and moments[-1] - moments[0] >= SECONDS:
            raise _Enough

    with suppress(_Enough):
        algorithm.run(observe=observe)
    if len(moments) <= STEPS:  # the whole run is shorter than the probe
        return _Probe(now(), 0.0, sum(steps), how[0] if how else "plain")
    each = median(after - before for before, after in pairwise(moments))
    return _Probe(moments[0], each, steps[0], how[0])
