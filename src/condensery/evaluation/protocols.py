"""Evaluation protocols: how networks are trained on a condensed set before they are measured.

Accuracies under different protocols are not comparable. A protocol may depend on the data (DC augments only MNIST), so
each one is a function of the data.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi

from condensery.augment import (
    Augmentation,
    Color,
    Crop,
    CutMix,
    Cutout,
    Flip,
    Lighting,
    Operation,
    ResizedCrop,
    Rotate,
    Scale,
)
from condensery.data import Data
from condensery.evaluation.training import Training

__all__ = [
    "WHOLE",
    "Protocol",
    "ProtocolFor",
    "dc2021",
    "dsa2021",
    "fixed_steps",
    "idc2022",
    "imagenet2022",
    "kfs2022",
    "whole",
]


@dataclass(frozen=True)
class Protocol:
    """How a network is trained from scratch; it is measured once, at the end.

    Arguments:
        name: its name in tables, including what differs between data sets.
        how: how the weights are updated.
        epochs: passes over the rows if `steps` is None; a number, or a function of the number of rows.
        steps: number of updates, independent of the number of rows.
        augment: augmentation, drawn for each row.
        mix: applied to each augmented minibatch.
    """

    name: str
    how: Training
    epochs: int | Callable[[int], int] = 0
    steps: int | None = None
    augment: Augmentation | None = None
    mix: CutMix | None = None

    def steps_for(self, rows: int) -> int:
        """Number of updates for `rows` rows."""
        epochs = self.epochs if isinstance(self.epochs, int) else self.epochs(rows)
        return self.steps if self.steps is not None else self.how.steps(epochs, rows)


ProtocolFor = Callable[[Data], Protocol]

UNFLIPPED = ("mnist", "svhn", "usps", "digits")
"""Data sets, in lower case, whose images change their meaning when they are flipped."""


def _one_cycle(progress: float, peak: float = 0.25) -> float:
    if progress < peak:
        return 0.1 + 0.9 * progress / peak
    return (1 + cos(pi * (progress - peak) / (1 - peak))) / 2


WHOLE = Training(0.05, 0.9, 5e-4, 64, _one_cycle)
"""How networks are trained on a whole real set: one cycle, whose learning rate rises to 0.05 over the first quarter."""


def dc2021(data: Data) -> Protocol:
    """DC's evaluation: 300 epochs without augmentation; on MNIST 1000, with a crop, scaling or rotation of each row.

    SGD 0.01, momentum 0.9, weight decay 5e-4, batches of 256; after half of the epochs the learning rate drops to a
    tenth and momentum is reset. As in the released program, there is one more epoch (301, 1001).

    References:
        DC section 3.1, appendix A and the released program.
    """
    augmented = _source(data) == "mnist"
    epochs = 1001 if augmented else 301
    half = (epochs // 2 + 2) / epochs
    how = Training(0.01, 0.9, 5e-4, 256, lambda progress: 1.0 if progress < half else 0.1, restart_at=(half,))
    if augmented:
        moved = Augmentation(one_of=(Crop(), Scale(0.8, 1.2), Rotate(45)), fill="mean")
        return Protocol("dc2021 (1000 epochs, augmented)", how, epochs, augment=moved)
    return Protocol("dc2021", how, epochs)


def dsa2021(data: Data) -> Protocol:
    """DSA's evaluation: 1000 epochs, one operation of DSA's strategy for each row; otherwise as `dc2021`.

    Color, crop, cutout, flip, scale, rotate; no flips for digits (MNIST, SVHN, USPS, digits).

    References:
        DSA section 4 and the released program (1001 epochs, learning rate x 0.1 after 502).
    """
    half = 502 / 1001
    how = Training(0.01, 0.9, 5e-4, 256, lambda progress: 1.0 if progress < half else 0.1, restart_at=(half,))
    operations: tuple[Operation, ...] = (Color(), Crop(), Cutout(), *_flip(data), Scale(), Rotate())
    return Protocol("dsa2021", how, 1001, augment=Augmentation(one_of=operations))


def idc2022(data: Data) -> Protocol:
    """IDC's evaluation on small images: 1000 epochs with color, flip, one of crop, scaling and rotation, and CutMix.

    SGD 0.01, momentum 0.9, weight decay 5e-4, batches of 64, learning rate x 0.2 after 2/3 and 5/6 of the epochs; half
    of the minibatches are mixed. No CutMix on MNIST, no flips for digits (MNIST, SVHN, USPS, digits).

    References:
        IDC appendix C.1 and the released program. Departs: see docs/fidelity.md.
    """
    augment = Augmentation((*_flip(data), Color()), (Crop(), Scale(), Rotate()))
    if _source(data) == "mnist":
        return Protocol("idc2022 (no CutMix)", _TWO_DROPS, 1000, augment=augment)
    return Protocol("idc2022", _TWO_DROPS, 1000, augment=augment, mix=CutMix(0.5))


def imagenet2022(data: Data) -> Protocol:
    """IDC's evaluation on subsets of ImageNet, with resized crops, flips, color, lighting and CutMix.

    Epochs by the number of decoded rows per class: 3000 for 1, 2000 up to 10, 1500 up to 50, 1000 up to 200, 500 up to
    500, then 300; two thirds of that for 100 classes or more. Optimizer as in `idc2022`; every minibatch is mixed.

    References:
        IDC appendix C.1 and the released program.
    Departs: brightness is added to normalized rows, not multiplied before they are normalized.
    """
    classes = data.train.classes

    def epochs(rows: int) -> int:
        steps = ((1, 3000), (10, 2000), (50, 1500), (200, 1000), (500, 500))
        full = next((epochs for most, epochs in steps if rows <= most * classes), 300)
        return full if classes < 100 else round(full * 2 / 3)

    augment = Augmentation((ResizedCrop(0.5), Flip(), Color(0.4, 0.4, 0.4), Lighting(0.1)))
    return Protocol("imagenet2022", _TWO_DROPS, epochs, augment=augment, mix=CutMix(1.0))


def kfs2022(data: Data) -> Protocol:
    """KFS's evaluation: 200 epochs without augmentation.

    SGD 0.01, momentum 0.9, weight decay 5e-4, batches of 256, learning rate x 0.2 after 133 and 166 epochs.

    References:
        KFS appendix A.
    """
    how = Training(0.01, 0.9, 5e-4, 256, lambda progress: 0.2 ** ((progress >= 133 / 200) + (progress >= 166 / 200)))
    return Protocol("kfs2022", how, 200)


_TWO_DROPS = Training(
    0.01, 0.9, 5e-4, 64, lambda progress: 1.0 if progress < 2 / 3 else 0.2 if progress < 5 / 6 else 0.04
)


def _source(data: Data) -> str:
    return data.name.removesuffix("-validation").lower()


def _flip(data: Data) -> tuple[Operation, ...]:
    return () if _source(data) in UNFLIPPED else (Flip(),)


def fixed_steps(data: Data) -> Protocol:
    """1000 steps of at most 64 rows for a set of any size, so that sizes are compared at equal training cost.

    SGD 0.01, momentum 0.9, weight decay 5e-4, learning rate x 0.1 after half of the steps.
    """
    how = Training(0.01, 0.9, 5e-4, 64, lambda progress: 1.0 if progress < 0.5 else 0.1)
    return Protocol("fixed-steps", how, steps=1000)


def whole(data: Data) -> Protocol:
    """About 10 epochs in one cycle, for the reference on the whole real set and for coresets' feature networks.

    SGD, momentum 0.9, weight decay 5e-4, batches of 64; the learning rate rises to 0.05 over the first quarter and
    falls to 0 along half a cosine (`WHOLE`).

    Departs: the papers train as many epochs on the whole set as on a condensed one, which takes days on a CPU. Tables
        show the name of this protocol.
    """
    return Protocol("whole (10 epochs)", WHOLE, epochs=10)
