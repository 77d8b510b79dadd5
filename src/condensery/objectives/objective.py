"""The seam: an objective is a statistic, a mean over rows, and a distance between two of them."""

from collections.abc import Sequence
from typing import Protocol as Interface

from torch import Tensor

from condensery.data import Batch
from condensery.networks import Point

__all__ = ["Objective"]


class Objective(Interface):
    """What synthetic and real rows of a class should have in common at a point."""

    def target(self, point: Point, real: Batch) -> Sequence[Tensor]:
        """The statistic of real rows: tensors `(C, ...)`, without a graph."""
        ...

    def loss(self, point: Point, synthetic: Batch, target: Sequence[Tensor]) -> Tensor:
        """The distance (C,) of the synthetic rows' statistic from `target`; 0 where the rows are the real ones."""
        ...
