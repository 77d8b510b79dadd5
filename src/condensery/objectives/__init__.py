"""Objectives: what synthetic and real rows are made to have in common."""

from condensery.objectives.distribution import DistributionMatching
from condensery.objectives.gradient import GradientMatching, convolutions, everything, weights
from condensery.objectives.objective import Objective
from condensery.objectives.subset import AdaptiveSubset

__all__ = [
    "AdaptiveSubset",
    "DistributionMatching",
    "GradientMatching",
    "Objective",
    "convolutions",
    "everything",
    "weights",
]
