"""Distribution matching: synthetic rows should have the same mean embedding as real rows."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from condensery.data import Batch
from condensery.kernels.compiling import mode
from condensery.kernels.passes import passes
from condensery.networks.network import Point
from condensery.objectives.distances import Distance, squared_euclidean
from condensery.objectives.embeddings import embeddings
from condensery.objectives.maps import RowMap
from condensery.objectives.objective import Objective
from condensery.randomness import rng

__all__ = ["DistributionMatching"]

Order = Tensor | slice


class DistributionMatching(Objective):
    """‖mean g(real) - mean g(synthetic)‖² per class, with g the embedding of a network: the features before its head.

    With `calibration`, the cross-entropy of synthetic rows by the head of the same network is added, so that rows also
    lie on the right side of the borders between classes, of which means of single classes know nothing.

    Arguments:
        distance: distance between two means.
        chunk: most rows that go through the network at once; None: by device.
        real_dtype, synthetic_dtype: number formats in which real and synthetic rows are embedded; None: that of the
            weights.
        part: rows per class through which the gradient is computed; the mean is over all rows. None: all of them. The
            mean is exact for every `part`, and the gradient equals that through all rows in expectation.
        row_map: applied to the embedding of every row before the mean. None: the embedding itself.
        calibration: factor of the cross-entropy, in units of ‖mean g(real)‖², so that it suits networks of any size.

    References:
        DM eq. 5; KFS eq. 1 without its factor 1 / (2 C), which the learning rate absorbs. KFS section 3.2 for `part`.
        IDM (Zhao et al., CVPR 2023) for the cross-entropy; here that of real rows is subtracted, which
        changes no gradient and makes the loss of real rows 0.
    """

    operations = (1, 2)

    def __init__(
        self,
        distance: Distance = squared_euclidean,
        chunk: int | None = None,
        real_dtype: torch.dtype | None = None,
        synthetic_dtype: torch.dtype | None = None,
        part: int | None = None,
        row_map: RowMap | None = None,
        calibration: float = 0.0,
    ):
        self.of_means = distance
        self.distance = partial(_calibrated, distance, calibration) if calibration else distance
        self.chunk, self.part, self.row_map, self.calibration = chunk, part, row_map, calibration
        self.real_dtype, self.synthetic_dtype = real_dtype, synthetic_dtype

    @property
    def of_real(self) -> str:
        more = [repr(self.row_map)] if self.row_map else []
        more += ["cross-entropy"] if self.calibration else []
        return " ".join([type(self).__name__, str(self.chunk), str(self.real_dtype), *more])  # not the synthetic side

    def calibrated(self, amount: float) -> "DistributionMatching":
        """The same objective with another `calibration`."""
        return DistributionMatching(
            self.of_means, self.chunk, self.real_dtype, self.synthetic_dtype, self.part, self.row_map, amount
        )

    def statistic(self, point: Point, batch: Batch, weight: Tensor | None = None) -> list[Tensor]:
        """The mean embedding of each class at the point, (C, d), and with `calibration` its mean cross-entropy, (C, 1).

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
        sizes = None if mode() == "plain" else self.chunks_of(n, passes(point.network, dtype).rows)
        embed = partial(embeddings, point, dtype=dtype, chunk=self.chunk, sizes=sizes)
        by_class = []
        for x, y, w in zip(batch.x, batch.y, weight, strict=True):
            index = _order(point, int(y[0]), n, part)
            x, w, totals = x[index], w[index], None
            for carry, some in ((True, slice(0, part)), (False, slice(part, None))):
                if not len(w[some]):
                    continue
                rows = x[some] if carry else x[some].detach()
                means = [(w[some, None] * value).sum(0) for value in self._values(point, embed(rows), y[some])]
                if carry:  # the same value, and the gradient through all rows in expectation
                    means = [mean.detach() + (mean - mean.detach()) * (n / part) for mean in means]
                totals = means if totals is None else [t + m for t, m in zip(totals, means, strict=True)]
            assert totals
            by_class.append(totals)
        return [torch.stack(parts) for parts in zip(*by_class, strict=True)]

    def _values(self, point: Point, found: Tensor, y: Tensor) -> list[Tensor]:
        """What the mean is taken of: values (n, e) of rows with embeddings `found` (n, d) and labels `y` (n,)."""
        values = [self.row_map(found) if self.row_map else found]
        if self.calibration:
            values.append(F.cross_entropy(point.classified(found), y, reduction="none")[:, None])
        return values


def _calibrated(distance: Distance, amount: float, a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """The distance (C,) between means, and the difference between cross-entropies, with which both statistics end."""
    return distance(a[:-1], b[:-1]) + amount * b[0].square().sum(1) * (a[-1] - b[-1])[:, 0]


def _order(point: Point, c: int, n: int, part: int) -> Order:
    """The order in which rows are embedded: first the `part` rows through which the gradient is computed.

    The order is unchanged if these are all rows, or none.
    """
    if part in (0, n):
        return slice(None)
    return torch.randperm(n, generator=rng(0, "part", point.key, point.outer, point.inner, c))
