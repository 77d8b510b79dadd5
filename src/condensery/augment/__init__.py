"""Differentiable augmentation: parameters ω are drawn once and can then be applied to any rows.

An `Augmentation` holds the operations. Its method `draw` draws one ω per row, for training networks; `siamese` draws
one ω per class, which real and synthetic rows share (DSA). Operations act on normalized rows, in the order color,
geometry, cutout. Flips, crops, scalings and rotations are affine maps, which are multiplied and applied by one
`grid_sample`.
"""

from condensery.augment.augmentation import Augmentation, dsa_strategy
from condensery.augment.cutmix import Cut, CutMix
from condensery.augment.omega import Omega
from condensery.augment.operations import (
    Color,
    Crop,
    Cutout,
    Flip,
    Jitter,
    Lighting,
    Operation,
    ResizedCrop,
    Rotate,
    Scale,
)

__all__ = [
    "Augmentation", "Color", "Crop", "Cut", "CutMix", "Cutout", "Flip", "Jitter", "Lighting", "Omega", "Operation",
    "ResizedCrop", "Rotate", "Scale", "dsa_strategy",
]  # fmt: skip
