"""Schedules: at which points in weight space synthetic and real rows are compared."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol as Interface

from condensery.data import RealSet
from condensery.networks import Network, Point, initial
from condensery.randomness import rng
from condensery.synthetic import SyntheticSet
from condensery.training import SGD, TensorRows, fit

__all__ = ["Fresh", "Schedule", "TrainedOnSynthetic", "walk"]

STATISTICS_ROWS = 16  # real rows a class that batch norm's frozen statistics come from (DC's program)


class Schedule(Interface):
    """Where matching happens: `outer` restarts of `inner` points each."""

    network: Network
    outer: int
    inner: int

    def start(self, outer: int, real: RealSet) -> Point:
        """The first point of an outer loop: new weights."""
        ...

    def advance(self, point: Point, synthetic: SyntheticSet, real: RealSet) -> Point:
        """The next point of the same outer loop."""
        ...


def walk(schedule: Schedule, synthetic: SyntheticSet, real: RealSet, resume: Point | None = None) -> Iterator[Point]:
    """Every point of the schedule in turn, from `resume` on.

    `synthetic` is read when a point is asked for, so that a network trained on it sees what the step just learned.
    The network is not advanced after the last point of an outer loop: nobody would see it.
    """
    point = resume
    for outer in range(resume.outer if resume else 0, schedule.outer):
        if point is None:
            point = schedule.start(outer, real)
        yield point
        while point.inner < schedule.inner - 1:
            point = schedule.advance(point, synthetic, real)
            yield point
        point = None


class Fresh:
    """New random weights at every step (K = outer, T = 1).

    Arguments:
        network: the architecture.
        outer: how many points.
        seed: of the weights.
    """

    inner: int = 1

    def __init__(self, network: Network, outer: int, seed: int):
        self.network, self.outer, self.seed = network, outer, seed

    def start(self, outer: int, real: RealSet) -> Point:
        point = initial(self.network, rng(self.seed, "weights", outer), f"{self.seed}/{outer}", outer)
        return _frozen(point, real, self.seed)

    def advance(self, point: Point, synthetic: SyntheticSet, real: RealSet) -> Point:
        raise AssertionError("a fresh schedule has one point an outer loop")


class TrainedOnSynthetic(Fresh):
    """Weights that start at random `outer` times and are trained on the synthetic set between matches.

    Arguments:
        network: the architecture.
        outer, inner: K and T.
        epochs: passes over the synthetic set between two points, the paper's steps for updating weights.
        how: the update of the weights.
        seed: of weights and row order.

    References:
        DC algorithm 1, lines 2 to 4 and 9. The program counts passes where the paper says steps; up to
        `how.batch_size` rows (256) the two are the same.
    """

    def __init__(self, network: Network, outer: int, inner: int, epochs: int, how: SGD, seed: int):
        super().__init__(network, outer, seed)
        self.inner, self.epochs, self.how = inner, epochs, how

    def advance(self, point: Point, synthetic: SyntheticSet, real: RealSet) -> Point:
        rows = TensorRows(synthetic())
        steps = self.how.steps(self.epochs, len(rows))
        trained = fit(point, rows, self.how, steps, self.seed, ("schedule", point.outer, point.inner))
        moved = replace(trained, inner=point.inner + 1, key=f"{self.seed}/{point.outer}/{point.inner + 1}")
        return _frozen(moved, real, self.seed)


def _frozen(point: Point, real: RealSet, seed: int) -> Point:
    """The point with batch norm statistics of real rows; nothing is drawn where there is no batch norm."""
    if not point.buffers:
        return point
    batch = real.sample(
        STATISTICS_ROWS, range(real.classes), lambda c: rng(seed, "statistics", point.outer, point.inner, c)
    )
    return point.with_statistics_of(batch.flat()[0])
