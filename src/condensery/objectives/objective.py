"""The seam: an objective is a statistic, a mean over rows, and a distance between two of them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from torch import Tensor

from condensery.data import Batch
from condensery.networks.network import Point
from condensery.objectives.distances import Distance

__all__ = ["Objective"]


class Objective(ABC):
    """What synthetic and real rows of a class should have in common at a point.

    A subclass says what the statistic is; because that is a *mean over rows*, rows may come in any chunks, and
    `loss(point, rows, target(point, rows))` is 0.
    """

    distance: Distance
    operations: tuple[int, int]
    """About how many times a network's forward operations a real and a synthetic row cost."""
    state: Mapping[str, Tensor] = MappingProxyType({})
    """What steps change in the objective itself, in place; kept with checkpoints."""

    def after(self) -> dict[str, Any]:
        """Called after every step; what it returns (JSON) is recorded with the step."""
        return {}

    def steady(self) -> "Objective":
        """The same without what it does but rarely and at length; a plan runs it so."""
        return self

    @property
    def of_real(self) -> str:
        """What is computed of real rows, in words that differ where a bit of it may: the name of kept targets."""
        return repr((type(self).__name__, sorted((k, _word(v)) for k, v in vars(self).items())))

    @abstractmethod
    def statistic(
        self, point: Point, batch: Batch, weight: Tensor | None = None, fill: Sequence[int] | None = None
    ) -> Sequence[Tensor]:
        """Tensors `(C, ...)`, one mean over rows for every class.

        Arguments:
            batch: C classes of n rows; where `batch.x` requires a gradient, so does the statistic.
            weight: (C, n), each row's part in the mean, summing to 1 a class; 1 / n by default.
            fill: where passes are compiled, rows go through them in chunks of these sizes, the last one filled up: the
                same for batches of any n, since every size is compiled for itself. By n and `chunk` where None.
        """

    def target(self, point: Point, real: Batch) -> Sequence[Tensor]:
        """The statistic of real rows, without a graph."""
        return self.statistic(point, real.detach())

    def loss(self, point: Point, synthetic: Batch, target: Sequence[Tensor]) -> Tensor:
        """The distance (C,) of the synthetic rows' statistic from `target`."""
        return self.distance(self.statistic(point, synthetic), target)


def _word(value: object) -> str:
    return getattr(value, "__qualname__", None) or repr(value)
