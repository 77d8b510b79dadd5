"""What a run will take, before it runs: stored bytes, time and memory, from its own first steps."""

import logging
import sys
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from statistics import median
from typing import Any

from condensery.compiling import Mode, during, mode, seconds_spent
from condensery.condensing import Step
from condensery.data import RealSet
from condensery.memory import peak
from condensery.networks import build, initial
from condensery.randomness import rng
from condensery.running import Recipe
from condensery.samplers import clustered
from condensery.storage import without_cache
from condensery.synthetic import SyntheticSet
from condensery.training import SGD, computing, fit

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
    """A run's first steps: seconds to the end of the first, compiling left out; of one more; steps in all; the rest."""

    start: float
    each: float
    total: int
    synthetic: SyntheticSet | None
    computing: Mode


def plan(recipe: Recipe, real: RealSet, progress: bool = True) -> Plan:
    """Run the first steps of a recipe and say what all of them would take.

    The probe is the run itself, on the real rows, for a first step (with what it takes to start: reading, drawing,
    compiling) and at least 2 more; nothing is written. An early phase (IDC) is timed apart, by a few of its updates;
    so are clusterings (DREAM), by one, and steps in networks whose kept means serve again (KFS). Means that earlier
    runs have kept are not counted on; nor is what MDC's figures take, a few steps' worth of every period, or with
    accuracies the networks' training.

    Arguments:
        recipe: the method and its fields.
        real: what it would condense.
        progress: whether to say what is timed.

    Raises:
        InputError: what the recipe refuses.
        RunError: the loss is not finite within the probe.
    """
    tell = log.info if progress else log.debug
    probed: Any = recipe
    apart = 0.0
    if getattr(recipe, "early_epochs", 0):
        tell("timing the networks' training before the first match")
        apart, probed = _early_seconds(recipe, real), replace(probed, early_epochs=0)
    if getattr(recipe, "representative", None):
        tell("timing a clustering of all classes")
        apart, probed = apart + _clustering_seconds(recipe, real), replace(probed, representative=None)
    if multisize := getattr(recipe, "multisize", None):
        outer = getattr(recipe, "outer_steps", recipe.steps)
        multisize.moments(outer, recipe.steps // outer)  # refuses what a run refuses
        probed = replace(probed, multisize=replace(multisize, compare=False))
    tell(f"timing the first steps, at least {STEPS + 1}, and {SECONDS:.0f} s of them")
    with without_cache():
        first = again = _probe(probed, real)
        networks = getattr(recipe, "networks", None) or first.total
        if networks < first.total and probed.real_rows is None:
            again = _probe(replace(probed, networks=1), real)
    share, synthetic = 1.0, first.synthetic
    if synthetic and synthetic.classes < real.classes:  # half of the steps are for the other classes
        share = real.classes / synthetic.classes / 2
    new = min(networks, first.total)
    seconds = first.start + share * (first.each * max(new - 1, 0) + again.each * (first.total - new))
    floats = real.classes * probed.ipc * prod(real.shape)  # of a coreset, where the probe ended before the choice
    size = 4 * floats
    if synthetic:
        shared = synthetic.decoder.floats
        floats = shared + (synthetic.floats - shared) * real.classes // synthetic.classes
        size = floats * synthetic.bytes // synthetic.floats
    memory = peak() if sys.platform.startswith("linux") else None
    return Plan(recipe.steps, floats, size, seconds + apart, memory, first.computing)


def _probe(recipe: Recipe, real: RealSet) -> _Probe:
    start, compiled = time.perf_counter(), seconds_spent()
    moments: list[float] = []
    last: list[Step] = []
    how: list[Mode] = []

    def observe(step: Step) -> None:
        moments.append(time.perf_counter() - start)
        last[:], how[:] = [step], [mode()]
        if len(moments) > STEPS and moments[-1] - moments[0] >= SECONDS:
            raise _Enough

    try:
        synthetic: SyntheticSet | None = recipe.condense(real, observe=observe)
    except _Enough:
        synthetic = last[0].synthetic
    if len(moments) <= STEPS:  # it is done
        return _Probe(time.perf_counter() - start, 0.0, 1, synthetic, how[0] if how else "plain")
    each = median(after - before for before, after in pairwise(moments))
    return _Probe(moments[0] - (seconds_spent() - compiled), each, last[0].total, synthetic, how[0])


def _early_seconds(recipe: Any, real: RealSet) -> float:
    """Of the updates on real rows before the first match, for all networks that get them."""
    network = build(recipe.net, real.shape, real.classes).to(real.device, real.dtype)
    how = SGD(recipe.network_lr, 0.9, recipe.network_weight_decay, recipe.real_rows)
    networks = min(recipe.pool or recipe.outer_steps, recipe.outer_steps)
    updates = networks * how.steps(recipe.early_epochs, len(real))
    times: list[float] = []
    with during(computing(network, real.shape, updates * recipe.real_rows)):
        fit(initial(network, rng(0)), real, how, 6, 0, (), report=lambda *_: times.append(time.perf_counter()))
    return updates * (times[-1] - times[0]) / (len(times) - 1)


def _clustering_seconds(recipe: Any, real: RealSet) -> float:
    """Of all clusterings, that of the initial images counted as one of those between matches."""
    how = recipe.representative
    network = build(recipe.net, real.shape, real.classes).to(real.device, real.dtype)
    start = time.perf_counter()
    clustered(initial(network, rng(0)), real, range(real.classes), recipe.real_rows, how.candidates, lambda c: rng(c))
    count = how.init + recipe.outer_steps * -(-recipe.inner_steps // how.every)
    return count * (time.perf_counter() - start)
