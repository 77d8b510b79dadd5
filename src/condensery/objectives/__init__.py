"""Objectives: what synthetic and real rows are made to have in common."""

from condensery.objectives.distribution import DistributionMatching
from condensery.objectives.gradient import GradientMatching, convolutions, everything, weights
from condensery.objectives.objective import Objective, Statistic
from condensery.objectives.subset import AdaptiveSubset
from condensery.objectives.unrolling import Unrolling

__all__ = [
    "AdaptiveSubset",
    "DistributionMatching",
    "GradientMatching",
    "Objective",
    "Statistic",
    "Unrolling",
    "convolutions",
    "everything",
    "weights",
]
