"""What an objective is, and the kind that most are: a statistic, a mean over rows, and a distance of two statistics."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import copy
from functools import partial
from types import MappingProxyType
from typing import Any, Self

from torch import Tensor

from condensery.data import Batch
from condensery.kernels.passes import evenly, jointly
from condensery.networks.net import factory_record
from condensery.networks.network import Network, Point
from condensery.objectives.distances import Distance

__all__ = ["Objective", "Statistic"]


class Objective(ABC):
    """What synthetic and real rows are made to have in common at a point."""

    state: Mapping[str, Tensor] = MappingProxyType({})
    """Tensors of the objective that steps change in place; they are part of checkpoints."""
    all_classes: bool = False
    """Whether `loss` needs the synthetic rows of all classes at once."""

    def after(self) -> dict[str, Any]:
        """Called after every step; the returned values (JSON) are recorded with the step."""
        return {}

    def check(self, network: Network) -> None:
        """Check that the objective can be computed in a network.

        Raises:
            InputError: it cannot.
        """
        return

    def steady(self) -> "Objective":
        """The same objective without rare and slow work, of which a plan times the steps."""
        return self

    @property
    def of_real(self) -> str:
        """An identifier of what is computed from real rows. It is part of the key of targets on disk.

        Two objectives whose targets may differ in any bit must have different identifiers.
        """
        return repr((_word(type(self)), sorted((k, _word(v)) for k, v in vars(self).items())))

    @abstractmethod
    def forwards(self, real: float, synthetic: int) -> float:
        """The approximate cost of a step, in forward passes of one row.

        Arguments:
            real: number of real rows that the step uses, over all classes.
            synthetic: number of decoded rows of the whole set.
        """

    @abstractmethod
    def target(self, point: Point, real: Batch) -> Sequence[Tensor]:
        """What `loss` needs of real rows, without a graph."""

    @abstractmethod
    def loss(self, point: Point, synthetic: Batch, target: Sequence[Tensor]) -> Tensor:
        """The loss of the synthetic rows, one number for each of their classes or one for all."""


class Statistic(Objective):
    """A statistic of the rows of a class at a point, which is to be the same for synthetic and for real rows.

    A subclass defines the statistic. Because it is a *mean over rows*, rows may be processed in chunks of any size, and
    `loss(point, rows, target(point, rows))` is 0.
    """

    distance: Distance
    cost: tuple[int, int]
    """The approximate cost of a real row and of a synthetic row, in forward passes of the network."""
    chunk: int | None = None
    """Most rows that go through the network at once; None: as many as are fast on the device."""
    sizes: Sequence[int] | None = None
    """Sizes of chunks in the passes; the last chunk is padded. None: by `chunk` and the number of rows."""

    def forwards(self, real: float, synthetic: int) -> float:
        """The cost of a step that uses every synthetic row once; see `cost`."""
        return self.cost[0] * real + self.cost[1] * synthetic

    def divided(self, ends: Sequence[int]) -> Self:
        """A copy for parts of batches: each size of a chunk is compiled once and serves all parts.

        Arguments:
            ends: 0, the places in ascending order at which a batch may be divided, and the number of rows.
        """
        other = copy(self)
        other.sizes = jointly(ends)
        return other

    def chunks_of(self, rows: int, at_once: int) -> Sequence[int]:
        """The sizes of chunks for `rows` rows of a class, in passes that are fastest with `at_once` rows."""
        return self.sizes or [evenly(rows, self.chunk or at_once)]

    @abstractmethod
    def statistic(self, point: Point, batch: Batch, weight: Tensor | None = None) -> Sequence[Tensor]:
        """The statistic: tensors `(C, ...)`, one mean over rows for every class.

        Arguments:
            batch: C classes of n rows; if `batch.x` requires a gradient, so does the statistic.
            weight: (C, n), the part of each row in the mean, summing to 1 per class; 1 / n by default.
        """

    def target(self, point: Point, real: Batch) -> Sequence[Tensor]:
        """The statistic of real rows, without a graph."""
        return self.statistic(point, real.detach())

    def loss(self, point: Point, synthetic: Batch, target: Sequence[Tensor]) -> Tensor:
        """The distance (C,) of the synthetic rows' statistic from `target`."""
        return self.distance(self.statistic(point, synthetic), target)


def _word(value: Any) -> str:
    """A text for a value of an objective; that of a function changes with its source and with what it is bound to."""
    if not isinstance(value, partial) and not hasattr(value, "__qualname__"):
        return repr(value)
    bound = [getattr(value, name, None) for name in ("__self__", "__defaults__", "__kwdefaults__")]
    inside = [cell.cell_contents for cell in getattr(value, "__closure__", None) or ()]
    return repr((factory_record(value), bound, inside))
