"""Schedules: at which points in weight space synthetic and real rows are compared."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol as Interface

import torch

from condensery.algorithms.algorithm import Aside, Rare
from condensery.augment import Augmentation, CutMix
from condensery.data import RealSet
from condensery.evaluation.training import TensorRows, Training, fit
from condensery.networks.network import Network, Point, initial
from condensery.randomness import rng
from condensery.synthetic import SyntheticSet

__all__ = ["Fresh", "KeptPoints", "Schedule", "TrainedOnReal", "TrainedOnSynthetic", "walk"]

log = logging.getLogger("condensery")


STATISTICS_ROWS = 16  # real rows per class from which batch norm's frozen statistics are computed (DC's program)


class Schedule(Interface):
    """The points at which statistics are matched: `outer` restarts of `inner` points each."""

    network: Network
    outer: int
    inner: int

    def start(self, outer: int, real: RealSet, aside: Aside | None = None) -> Point:
        """The first point of an outer loop, with new weights; `aside` gives a keeper for phases that take long."""
        ...

    def advance(self, point: Point, synthetic: SyntheticSet, real: RealSet) -> Point:
        """The next point of the same outer loop."""
        ...

    @property
    def different(self) -> int:
        """How many different networks the outer loops start from."""
        ...

    def rare(self, real: RealSet) -> Rare | None:
        """The work of the schedule that is rare and slow."""
        ...

    def steady(self) -> "Schedule":
        """The same schedule without its `rare` work."""
        ...

    def trained_rows(self, real: RealSet, synthetic: int) -> int:
        """Rows on which weights are trained in a whole run, each counted as often as it is used.

        Arguments:
            synthetic: the number of decoded rows of the whole synthetic set.
        """
        ...

    def forget(self) -> None:
        """Release what was kept in memory for later points."""
        ...


def walk(
    schedule: Schedule,
    synthetic: SyntheticSet,
    real: RealSet,
    resume: Point | None = None,
    outer: int = 0,
    aside: Aside | None = None,
) -> Iterator[Point]:
    """Every point of the schedule in turn, starting at `resume`, or at the beginning of the outer loop `outer`.

    `synthetic` is read when a point is asked for, so that a network trained on it sees what the step just learned.
    The network is not trained further after the last point of an outer loop, since no step would use it.
    """
    point = resume
    for loop in range(resume.outer if resume else outer, schedule.outer):
        if point is None:
            point = schedule.start(loop, real, aside)
        yield point
        while point.inner < schedule.inner - 1:
            point = schedule.advance(point, synthetic, real)
            yield point
        point = None


class Fresh:
    """New random weights at every step (K = outer, T = 1).

    Arguments:
        network: the architecture.
        outer: number of points.
        seed: seed of the weights.
        networks: number of different weights, used in turn; None: new weights at every point.
    """

    inner: int = 1

    def __init__(self, network: Network, outer: int, seed: int, networks: int | None = None):
        self.network, self.outer, self.seed, self.networks = network, outer, seed, networks

    def start(self, outer: int, real: RealSet, aside: Aside | None = None) -> Point:
        member = outer % self.networks if self.networks else outer
        point = initial(self.network, rng(self.seed, "weights", member), f"{self.seed}/{member}", member)
        return replace(_frozen(point, real, self.seed), outer=outer)  # the same statistics when the weights come back

    def advance(self, point: Point, synthetic: SyntheticSet, real: RealSet) -> Point:
        raise AssertionError("a fresh schedule has one point per outer loop")

    @property
    def different(self) -> int:
        return min(self.networks or self.outer, self.outer)

    def rare(self, real: RealSet) -> Rare | None:
        return None

    def steady(self) -> Schedule:
        return self

    def trained_rows(self, real: RealSet, synthetic: int) -> int:
        return 0

    def forget(self) -> None:
        return


class TrainedOnSynthetic(Fresh):
    """Weights that start at random `outer` times and are trained on the synthetic set between matches.

    Arguments:
        network: the architecture.
        outer, inner: K and T of the paper.
        epochs: passes over the synthetic set between two points; the paper calls them steps.
        how: how the weights are updated.
        seed: seed of the weights, the order of rows and the augmentation.
        augment: augmentation of the rows in training, drawn for each row (DSA).

    References:
        DC algorithm 1, lines 2 to 4 and 9; DSA algorithm 1, line 11. The program counts passes where the paper says
        steps; up to `how.batch_size` rows (256) the two are the same.
    """

    def __init__(
        self,
        network: Network,
        outer: int,
        inner: int,
        epochs: int,
        how: Training,
        seed: int,
        augment: Augmentation | None = None,
    ):
        super().__init__(network, outer, seed)
        self.inner, self.epochs, self.how, self.augment = inner, epochs, how, augment

    def trained_rows(self, real: RealSet, synthetic: int) -> int:
        return self.outer * (self.inner - 1) * self.epochs * synthetic

    def advance(self, point: Point, synthetic: SyntheticSet, real: RealSet) -> Point:
        with torch.no_grad():
            rows = TensorRows(synthetic())
        steps = self.how.steps(self.epochs, len(rows))
        trained = fit(point, rows, self.how, steps, self.seed, ("schedule", point.outer, point.inner), self.augment)
        moved = replace(trained, inner=point.inner + 1, key=f"{self.seed}/{point.outer}/{point.inner + 1}")
        return _frozen(moved, real, self.seed)


class TrainedOnReal(Fresh):
    """Weights that start at random `outer` times and are trained on real rows between matches.

    Arguments:
        network: the architecture.
        outer, inner: restarts, and points (M) of each restart.
        rows: real rows on which the weights are trained between two points.
        how: how the weights are updated; momentum is kept between two points.
        seed: seed of the weights, the order of rows and the augmentation.
        augment, mix: augmentation of the real rows in training, drawn for each row, and CutMix of minibatches.
        early: epochs over all real rows before the first point of a restart.
        pool: if above 0, every restart takes one of this many networks at random; they differ in weights and early
            phase, so that few early phases serve many restarts.

    References:
        IDC algorithm 1; section 4.3 (early phase, periodic restarts). `rows`, `early` and `pool` follow the program.
    """

    def __init__(
        self,
        network: Network,
        outer: int,
        inner: int,
        rows: int,
        how: Training,
        seed: int,
        augment: Augmentation | None = None,
        mix: CutMix | None = None,
        early: int = 0,
        pool: int = 0,
    ):
        super().__init__(network, outer, seed)
        self.inner, self.rows, self.how = inner, rows, how
        self.augment, self.mix, self.early, self.pool = augment, mix, early, pool
        self._trained: dict[int, Point] = {}

    def start(self, outer: int, real: RealSet, aside: Aside | None = None) -> Point:
        member = outer
        if self.pool:
            member = int(rng(self.seed, "member", outer).initial_seed() % self.pool)
        point = self._trained.get(member) or self._early(member, real, aside)
        if self.pool:  # a network that was trained before comes without its optimizer
            self._trained[member] = point = replace(point, momenta={})
        return _frozen(replace(point, outer=outer), real, self.seed)

    def _early(self, member: int, real: RealSet, aside: Aside | None) -> Point:
        point = initial(self.network, rng(self.seed, "weights", member), f"{self.seed}/{member}")
        steps = self._early_steps(real)
        if not steps:
            return point
        log.info(f"training network {member} on real rows before its first match, {steps} steps")
        keeper = aside and aside(f"early-{member}" if self.pool else "early", f"training network {member}")
        key = ("early", member)
        return fit(point, real, self.how, steps, self.seed, key, self.augment, self.mix, keeper=keeper)

    def _early_steps(self, real: RealSet) -> int:
        return self.how.steps(self.early, len(real))

    @property
    def _trainings(self) -> int:
        """How many networks have an early phase."""
        return min(self.pool or self.outer, self.outer)

    @property
    def different(self) -> int:
        return self._trainings

    def rare(self, real: RealSet) -> Rare | None:
        """The updates of the early phases."""
        if not self._early_steps(real):
            return None

        def some(count: int) -> None:
            fit(initial(self.network, rng(0)), real, self.how, count, 0, (), self.augment, self.mix)

        updates = self._trainings * self._early_steps(real)
        return Rare("updates of the networks before the first match", updates, some)

    def trained_rows(self, real: RealSet, synthetic: int) -> int:
        between = self.outer * (self.inner - 1) * self.how.steps(1, min(self.rows, len(real)))
        updates = self._trainings * self._early_steps(real) + between
        return updates * min(self.how.batch_size, len(real))

    def forget(self) -> None:
        self._trained.clear()

    def steady(self) -> Schedule:
        return TrainedOnReal(
            self.network, self.outer, self.inner, self.rows, self.how, self.seed, self.augment, self.mix
        )

    def advance(self, point: Point, synthetic: SyntheticSet, real: RealSet) -> Point:
        steps = self.how.steps(1, min(self.rows, len(real)))
        key = ("schedule", point.outer, point.inner)
        trained = fit(point, real, self.how, steps, self.seed, key, self.augment, self.mix)
        moved = replace(trained, inner=point.inner + 1, key=f"{self.seed}/{point.outer}/{point.inner + 1}")
        return _frozen(moved, real, self.seed)


class KeptPoints(TrainedOnReal):
    """Points on the straight lines between random weights and the same weights trained on real rows, used in turn.

    The first `networks` points are the trained networks themselves. The others are mixes, at random places of the
    lines. Since every point comes back, what is computed from real rows at it can be kept; see `samplers.Whole`.

    Arguments:
        network: the architecture.
        outer: number of points that are visited (steps).
        networks: number of networks that are trained.
        points: number of different points, at least `networks`.
        updates: updates of the weights of a network, each on a minibatch of real rows.
        how: how the weights are updated.
        seed: seed of the weights, the order of rows and the places.

    References:
        DANCE (Zhang et al., IJCAI 2024): models between initial and trained weights.
    """

    def __init__(
        self,
        network: Network,
        outer: int,
        networks: int,
        points: int,
        updates: int,
        how: Training,
        seed: int,
    ):
        super().__init__(network, outer, 1, 0, how, seed, pool=networks)
        self.points, self.updates = points, updates

    def _early_steps(self, real: RealSet) -> int:
        return self.updates

    def start(self, outer: int, real: RealSet, aside: Aside | None = None) -> Point:
        which = outer % self.points
        member = which % self.pool
        trained = self._trained.get(member) or self._early(member, real, aside)
        self._trained[member] = replace(trained, momenta={})
        untrained = initial(self.network, rng(self.seed, "weights", member)).params
        place = float(torch.rand((), generator=rng(self.seed, "place", which))) if which >= self.pool else 1.0
        params = {k: torch.lerp(untrained[k], v, place) for k, v in trained.params.items()}
        point = replace(trained, params=params, momenta={}, key=f"{self.seed}/{member}/{place}", outer=which)
        return replace(_frozen(point, real, self.seed), outer=outer)

    @property
    def different(self) -> int:
        return min(self.points, self.outer)

    def steady(self) -> Schedule:
        return Fresh(self.network, self.outer, self.seed, self.points)


def _frozen(point: Point, real: RealSet, seed: int) -> Point:
    """The point with batch norm statistics of real rows; no rows are drawn if the network has no batch norm."""
    if not point.buffers:
        return point
    batch = real.sample(
        STATISTICS_ROWS, range(real.classes), lambda c: rng(seed, "statistics", point.outer, point.inner, c)
    )
    return point.with_statistics_of(batch.flat()[0])
