"""Samplers: which real rows a step sees."""

from collections.abc import Sequence
from typing import Protocol as Interface

from condensery.data import Batch, RealSet
from condensery.networks import Point
from condensery.randomness import PerClass

__all__ = ["Sampler", "Uniform"]


class Sampler(Interface):
    """Anything that picks real rows for a step."""

    count: int
    """Rows a class."""

    def rows(self, point: Point, real: RealSet, classes: Sequence[int], draw: PerClass) -> Batch: ...


class Uniform:
    """`rows` random rows of each class; a smaller class is repeated in fresh permutations.

    References:
        DC appendix A: 256 rows a class.
    """

    def __init__(self, rows: int):
        self.count = rows

    def rows(self, point: Point, real: RealSet, classes: Sequence[int], draw: PerClass) -> Batch:
        """A batch (C', count, ...)."""
        return real.sample(self.count, classes, draw)
