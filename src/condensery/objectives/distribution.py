"""Distribution matching: synthetic rows should have the same mean embedding as real rows."""

from copy import copy
from functools import partial

import torch
from torch import Tensor

from condensery.data import Batch
from condensery.kernels.compiling import mode
from condensery.kernels.passes import passes
from condensery.networks.network import Point
from condensery.objectives.distances import Distance, squared_euclidean
from condensery.objectives.embeddings import embeddings
from condensery.objectives.means import Mean, MeanEmbedding
from condensery.objectives.objective import Statistic
from condensery.randomness import rng

__all__ = ["DistributionMatching"]

Order = Tensor | slice


class DistributionMatching(Statistic):
    """‖mean g(real) - mean g(synthetic)‖² per class, with g the embedding of a network: the features before its head.

    Arguments:
        distance: distance between two means.
        chunk: most rows that go through the network at once; None: by device.
        real_dtype, synthetic_dtype: number formats in which real and synthetic rows are embedded; None: that of the
            weights.
        part: rows per class through which the gradient is computed; the mean is over all rows. None: all of them. The
            mean is exact for every `part`, and the gradient equals that through all rows in expectation.
        mean: what is compared; the mean embedding by default.

    References:
        DM eq. 5; KFS eq. 1 without its factor 1 / (2 C), which the learning rate absorbs. KFS section 3.2 for `part`.
    """

    cost = (1, 2)

    def __init__(
        self,
        distance: Distance = squared_euclidean,
        chunk: int | None = None,
        real_dtype: torch.dtype | None = None,
        synthetic_dtype: torch.dtype | None = None,
        part: int | None = None,
        mean: Mean = MeanEmbedding(),
    ):
        self.distance, self.chunk, self.part, self.mean = distance, chunk, part, mean
        self.real_dtype, self.synthetic_dtype = real_dtype, synthetic_dtype

    @property
    def of_real(self) -> str:
        return f"{type(self).__name__} {self.mean!r} {self.chunk} {self.real_dtype}"  # not the synthetic side

    def with_mean(self, mean: Mean) -> "DistributionMatching":
        """The same objective with another mean."""
        other = copy(self)
        other.mean = mean
        return other

    def statistic(self, point: Point, batch: Batch, weight: Tensor | None = None) -> list[Tensor]:
        """The mean embedding of each class at the point, (C, d), or another `mean` of it.

        Arguments:
            batch: C classes of n rows; if `batch.x` requires a gradient, so does the statistic.
            weight: (C, n), the part of each row in the mean, summing to 1 per class; 1 / n by default.
        """
        return self._means(point, batch, weight, self.synthetic_dtype or batch.x.dtype)

    def target(self, point: Point, real: Batch) -> list[Tensor]:
        """The statistic of real rows, without a graph, in `real_dtype`."""
        return self._means(point, real.detach(), None, self.real_dtype or real.x.dtype)

    def _means(self, point: Point, batch: Batch, weight: Tensor | None, dtype: torch.dtype) -> list[Tensor]:
        classes, n = batch.y.shape
        weight = batch.x.new_full((classes, n), 1 / n) if weight is None else weight
        part = min(self.part or n, n) if batch.x.requires_grad else 0
        embed = partial(embeddings, point, dtype=dtype, chunk=self.chunk)
        by_class = []
        for x, y, w in zip(batch.x, batch.y, weight, strict=True):
            index = _order(point, int(y[0]), n, part)
            x, w, total = x[index], w[index], torch.zeros((), dtype=x.dtype, device=x.device)
            for carry, some in ((True, slice(0, part)), (False, slice(part, None))):
                if not len(w[some]):
                    continue
                rows = part if carry else n
                sizes = None if mode() == "plain" else self.chunks_of(rows, passes(point.network, dtype).rows)
                found = embed(x[some] if carry else x[some].detach(), sizes=sizes)
                mean = self.mean(point, found, y[some], w[some])
                if carry:  # the same value, and the gradient through all rows in expectation
                    mean = mean.detach() + (mean - mean.detach()) * (n / part)
                total = total + mean
            by_class.append(total)
        return [torch.stack(by_class)]


def _order(point: Point, c: int, n: int, part: int) -> Order:
    """The order in which rows are embedded: first the `part` rows through which the gradient is computed.

    The order is unchanged if these are all rows, or none.
    """
    if part in (0, n):
        return slice(None)
    return torch.randperm(n, generator=rng(0, "part", point.key, point.outer, point.inner, c))
