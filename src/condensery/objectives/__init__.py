"""Objectives: what synthetic and real rows should have in common."""

from condensery.objectives.gradient import GradientMatching, convolutions, everything, weights
from condensery.objectives.objective import Objective

__all__ = ["GradientMatching", "Objective", "convolutions", "everything", "weights"]
