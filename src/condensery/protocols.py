"""Named evaluation protocols: how networks are trained on a condensed set before they are measured.

Accuracies under two protocols do not compare. A protocol may depend on the data (DC augments MNIST alone), so each
is a function of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi

from condensery.augment import OneOfCropScaleRotate
from condensery.data import Data
from condensery.training import SGD

__all__ = ["WHOLE", "Named", "Protocol", "dc2021", "fixed_steps", "whole"]


@dataclass(frozen=True)
class Protocol:
    """How a network is trained from scratch; it is measured once, at the end.

    Arguments:
        name: what tables call it, with what makes it differ between data sets.
        how: the optimiser.
        epochs: passes over the rows, where `steps` is None.
        steps: optimiser steps whatever the number of rows.
        augment: of every row, each with its own draw.
    """

    name: str
    how: SGD
    epochs: int = 0
    steps: int | None = None
    augment: OneOfCropScaleRotate | None = None

    def steps_for(self, rows: int) -> int:
        """Optimiser steps on `rows` rows."""
        return self.steps if self.steps is not None else self.how.steps(self.epochs, rows)


Named = Callable[[Data], Protocol]


def _one_cycle(progress: float, peak: float = 0.25) -> float:
    if progress < peak:
        return 0.1 + 0.9 * progress / peak
    return (1 + cos(pi * (progress - peak) / (1 - peak))) / 2


WHOLE = SGD(0.05, 0.9, 5e-4, 64, _one_cycle)
"""How networks are trained on a whole real set: one cycle whose rate climbs to 0.05 over the first quarter."""


def dc2021(data: Data) -> Protocol:
    """DC's evaluation: 300 epochs without augmentation; on MNIST 1000 with a crop, scaling or rotation a row.

    SGD 0.01, momentum 0.9, weight decay 5e-4, batches of 256; after half of the epochs the rate drops to a tenth
    and momentum is forgotten. As in the released program an epoch more is trained (301, 1001).

    References:
        DC section 3.1, appendix A and the released program.
    """
    augmented = data.name.removesuffix("-validation") == "MNIST"
    epochs = 1001 if augmented else 301
    half = (epochs // 2 + 2) / epochs
    how = SGD(0.01, 0.9, 5e-4, 256, lambda progress: 1.0 if progress < half else 0.1, restart_at=(half,))
    if augmented:
        return Protocol("dc2021 (1000 epochs, augmented)", how, epochs, augment=OneOfCropScaleRotate())
    return Protocol("dc2021", how, epochs)


def fixed_steps(data: Data) -> Protocol:
    """1000 steps of at most 64 rows whatever the size of the set, so that sizes compare at equal training cost.

    SGD 0.01, momentum 0.9, weight decay 5e-4, rate x 0.1 after half of the steps.
    """
    how = SGD(0.01, 0.9, 5e-4, 64, lambda progress: 1.0 if progress < 0.5 else 0.1)
    return Protocol("fixed-steps", how, steps=1000)


def whole(data: Data) -> Protocol:
    """About 10 epochs in one cycle, for the reference on the whole real set and for coresets' feature networks.

    SGD, momentum 0.9, weight decay 5e-4, batches of 64; the rate climbs to 0.05 over the first quarter and
    falls to 0 along a half cosine (`WHOLE`).

    Departs: the papers train the whole set as long as a condensed one; on a CPU that takes days. Tables call the
    row what it is.
    """
    return Protocol("whole (10 epochs)", WHOLE, epochs=10)
