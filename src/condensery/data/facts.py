"""What the programs of the papers know about a data set besides its rows: one table, which readers fill in."""

from dataclasses import dataclass
from typing import Literal

from condensery.errors import InputError

__all__ = ["FACTS", "Facts"]


@dataclass(frozen=True)
class Facts:
    """What recipes and protocols must know about a data set, and cannot see in its rows.

    Arguments:
        flip: whether a mirrored image still belongs to its class. Augmentations flip images only if it does.
        mean, std: the published per-channel constants that normalize pixels in [0, 1]. None: measured on the training
            rows.
        dc_augmentation: whether DC's evaluation crops, scales and rotates the rows (of all data sets, only MNIST's).
        boxes: when IDC's augmentations cut boxes out of rows (cutout) or swap them (CutMix): `"always"`;
            `"one-to-one"`, only if every stored image is one row (MNIST); or `"several"`: its evaluation takes CutMix
            only if a class has more than one row, and cutout otherwise (SVHN).
        pictures: whether rows are pictures of things, which show the same if they are shifted, turned or recolored.
            Spectrograms are not: IDC and the protocols of DSA and IDC take them as they are.

    Raises:
        InputError: there is only one of `mean` and `std`, or they are for different numbers of channels.
    """

    flip: bool = True
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    dc_augmentation: bool = False
    boxes: Literal["always", "one-to-one", "several"] = "always"
    pictures: bool = True

    def __post_init__(self) -> None:
        if len(self.mean or ()) != len(self.std or ()):
            raise InputError(f"`mean` is {self.mean} and `std` {self.std}; give both per channel, or neither")


_IMAGENET = Facts(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))

FACTS: dict[str, Facts] = {
    "MNIST": Facts(flip=False, mean=(0.1307,), std=(0.3081,), dc_augmentation=True, boxes="one-to-one"),
    "FashionMNIST": Facts(mean=(0.2861,), std=(0.3530,)),
    "SVHN": Facts(flip=False, mean=(0.4377, 0.4438, 0.4728), std=(0.1980, 0.2010, 0.1970), boxes="several"),
    "CIFAR10": Facts(mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010)),
    "CIFAR100": Facts(mean=(0.5071, 0.4866, 0.4409), std=(0.2673, 0.2564, 0.2762)),
    "USPS": Facts(flip=False),
    "digits": Facts(flip=False),
    "speech": Facts(flip=False, pictures=False),
    "ImageNet10": _IMAGENET,
    "ImageNet100": _IMAGENET,
}
"""The facts of the data sets that have a reader, from the released programs of DC, DSA, DM and IDC.

The std of CIFAR-10 is the mean of the stds of its images; that of its pixels is (0.247, 0.243, 0.262). The published
learning rates of images belong to these constants.
"""
