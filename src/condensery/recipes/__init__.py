"""Recipes: a published method as a frozen dataclass; fields are its hyper-parameters, the body its algorithm box.

Importing them needs no torch; it loads when a recipe condenses.
"""

from condensery.recipes.coresets import Forgetting, Herding, KCenter, Random
from condensery.recipes.dc import DC

__all__ = ["DC", "Forgetting", "Herding", "KCenter", "Random"]
