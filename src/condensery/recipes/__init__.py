"""Recipes: one frozen dataclass per published method, with its hyper-parameters and its algorithm box.

Importing them does not import torch, which is loaded when a recipe condenses.
"""

from condensery.recipes.anchor import Anchor
from condensery.recipes.compact import Compact
from condensery.recipes.coresets import Forgetting, Herding, KCenter, Random
from condensery.recipes.dc import DC
from condensery.recipes.dm import DM
from condensery.recipes.dream import DREAM
from condensery.recipes.dsa import DSA
from condensery.recipes.idc import IDC
from condensery.recipes.kfs import KFS
from condensery.recipes.mdc import MDC
from condensery.recipes.recipe import Recipe, Wrapper
from condensery.recipes.unrolled import Unrolled
from condensery.recipes.warm import Warm

__all__ = [
    "DC",
    "DM",
    "DREAM",
    "DSA",
    "IDC",
    "KFS",
    "MDC",
    "Anchor",
    "Compact",
    "Forgetting",
    "Herding",
    "KCenter",
    "Random",
    "Recipe",
    "Unrolled",
    "Warm",
    "Wrapper",
]
