"""Confidence intervals of accuracies and of the differences between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

__all__ = ["Difference", "area_half_width", "difference", "half_width"]

CONFIDENCE = 0.95
_EQUAL = 1e-9  # a smaller deviation is that of rounding


def half_width(values: Sequence[float]) -> float | None:
    """Half the width of the 95 % confidence interval of the mean of independent values, by Student's t distribution.

    None: there are fewer than two values, or all are equal, as accuracies on few rows often are; more values might
    differ.
    """
    n = len(values)
    if n < 2 or (spread := float(np.std(values, ddof=1))) < _EQUAL:
        return None
    return _quantile(n - 1) * spread / sqrt(n)


def _quantile(freedom: float) -> float:
    """The quantile of Student's t distribution that belongs to the confidence."""
    from scipy.special import stdtrit  # imported faster than scipy.stats

    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))


def area_half_width(area: float, positives: int, negatives: int) -> float:
    """Half the width of the 95 % confidence interval of an area under a ROC curve, from numbers of independent rows.

    References:
        Hanley and McNeil, The meaning and use of the area under a receiver operating characteristic curve (1982).
    Departs: the formula gives no width to areas of 0 and 1; here, areas count as at least half a row away from them.
    """
    edge = 0.5 / min(positives, negatives)
    area = min(max(area, edge), 1 - edge)
    a, b = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (positives - 1) * (a - area**2) + (negatives - 1) * (b - area**2)
    return 1.96 * sqrt(max(0.0, spread) / (positives * negatives))


@dataclass(frozen=True)
class Difference:
    """The difference between two mean accuracies.

    Arguments:
        mean: the difference, as a fraction.
        half_width: half the width of its 95 % confidence interval. None: there are fewer than two values, or
            all are equal.
    """

    mean: float
    half_width: float | None

    @property
    def significant(self) -> bool | None:
        """Whether the confidence interval excludes 0. None: there is no interval."""
        return None if self.half_width is None else abs(self.mean) > self.half_width

    def __str__(self) -> str:
        """The difference in points; "~" in front says that it is not significant, "?" that there is no interval."""
        mark = {True: "", False: "~", None: "?"}[self.significant]
        return f"{mark}{100 * self.mean:+.1f}"


def difference(ours: Sequence[float], theirs: Sequence[float], paired: bool) -> Difference:
    """The difference between the means of two lists of values.

    Arguments:
        ours, theirs: the values.
        paired: whether values at the same place belong together, because they come from networks with the same initial
            weights. Otherwise, all values are taken to be independent (Welch's test).
    """
    mean = float(np.mean(ours) - np.mean(theirs))
    if paired:
        return Difference(mean, half_width([a - b for a, b in zip(ours, theirs, strict=True)]))
    if min(len(ours), len(theirs)) < 2:
        return Difference(mean, None)
    a, b = (float(np.var(values, ddof=1)) / len(values) for values in (ours, theirs))
    if a + b < _EQUAL**2:
        return Difference(mean, None)
    freedom = (a + b) ** 2 / (a**2 / (len(ours) - 1) + b**2 / (len(theirs) - 1))
    return Difference(mean, _quantile(freedom) * sqrt(a + b))
