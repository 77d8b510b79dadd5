"""What a run will take, before it runs: stored bytes, time and memory, from its own first steps."""

import logging
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from condensery.algorithms.algorithm import Algorithm, Step
from condensery.algorithms.matching import Matching
from condensery.kernels.compiling import Mode, mode, seconds_spent
from condensery.data import RealSet
from condensery.kernels.memory import peak
from condensery.recipes.recipe import Recipe
from condensery.algorithms.samplers import Whole
from condensery.algorithms.schedules import Rare
from condensery.runs.storage import without_cache

__all__ = ["Plan", "plan"]

log = logging.getLogger("condensery")

SECONDS, STEPS = 4.0, 2  # the probe times at least so long and so many steps, after a first that warms up


@dataclass(frozen=True)
class Plan:
    """What a run takes on this machine.

    Arguments:
        steps: updates in all.
        floats, bytes: what is stored at the end.
        seconds: wall time of the whole run, but for compiling, which the plan has done for it.
        memory: the most bytes that the process has at a time; None where the system does not tell.
        computing: how steps are computed; see `compiling.Mode`.
    """

    steps: int
    floats: int
    bytes: int
    seconds: float
    memory: int | None
    computing: Mode


class _Enough(Exception):
    pass


@dataclass(frozen=True)
class _Probe:
    """A run's first steps: seconds to the end of the first, compiling left out; of one more; how they are computed."""

    start: float
    each: float
    computing: Mode


def plan(recipe: Recipe, real: RealSet, progress: bool = True) -> Plan:
    """Run the first steps of a recipe and say what all of them would take.

    The probe is the run itself, on the real rows, for a first step (with what it takes to start: reading, drawing,
    compiling) and at least 2 more; nothing is written. What comes rarely is timed apart, by a few times of it: updates
    of early phases (IDC), clusterings (DREAM), and steps in networks whose kept means serve again (KFS). Means that
    earlier runs have kept are not counted on; nor is what MDC's figures take, a few steps' worth of every period, or
    with accuracies the networks' training.

    Arguments:
        recipe: the method and its fields.
        real: what it would condense.
        progress: whether to say what is timed.

    Raises:
        InputError: what the recipe refuses.
        RunError: the loss is not finite within the probe.
    """
    tell = log.info if progress else log.debug
    algorithm = recipe.algorithm(real)
    apart = 0.0
    if isinstance(algorithm, Matching):
        for rare in filter(None, (algorithm.schedule.rare(real), algorithm.sampler.rare(algorithm.schedule, real))):
            tell(f"timing {rare.what}")
            apart += rare.count * _seconds(rare)
    tell(f"timing the first steps, at least {STEPS + 1}, and {SECONDS:.0f} s of them")
    with without_cache():
        first = again = _probe(_steady(algorithm))
        new = algorithm.steps
        if isinstance(algorithm, Matching) and isinstance(algorithm.sampler, Whole):
            new = min(algorithm.schedule.different, algorithm.steps)
        if new < algorithm.steps:
            again = _probe(_steady(recipe.algorithm(real), networks=1))
    seconds = first.start + first.each * max(new - 1, 0) + again.each * (algorithm.steps - new)
    memory = peak() if sys.platform.startswith("linux") else None
    synthetic = algorithm.synthetic
    return Plan(algorithm.steps, synthetic.floats, synthetic.bytes, seconds + apart, memory, first.computing)


def _steady(algorithm: Algorithm, networks: int | None = None) -> Algorithm:
    """An algorithm without what comes rarely; in so many networks in turn, where that is said."""
    if not isinstance(algorithm, Matching):
        return algorithm
    schedule = algorithm.schedule.steady()
    if networks is not None:
        schedule = schedule.in_turn(networks)
    sampler, objective = algorithm.sampler.steady(), algorithm.objective.steady()
    return replace(algorithm, schedule=schedule, sampler=sampler, objective=objective)


def _seconds(rare: Rare) -> float:
    """Of one time, once it is warm."""
    rare.some(1)
    times = []
    for count in (1, 4):
        start = time.perf_counter()
        rare.some(count)
        times.append(time.perf_counter() - start)
    return max(times[1] - times[0], 0.0) / 3


def _probe(algorithm: Algorithm) -> _Probe:
    start, compiled = time.perf_counter(), seconds_spent()
    moments: list[float] = []
    how: list[Mode] = []

    def observe(step: Step) -> None:
        moments.append(time.perf_counter() - start)
        how[:] = [mode()]
        if len(moments) > STEPS and moments[-1] - moments[0] >= SECONDS:
            raise _Enough

    with suppress(_Enough):
        algorithm.run(observe=observe)
    if len(moments) <= STEPS:  # it is done
        return _Probe(time.perf_counter() - start, 0.0, how[0] if how else "plain")
    each = median(after - before for before, after in pairwise(moments))
    return _Probe(moments[0] - (seconds_spent() - compiled), each, how[0])
