"""Readers for the two parts of ImageNet on which IDC and the papers after it condense."""

import os
from pathlib import Path

from condensery.data.facts import FACTS
from condensery.data.files import folder_of
from condensery.data.folder import read_parts
from condensery.data.sets import Data
from condensery.errors import InputError

__all__ = ["CLASSES", "imagenet10", "imagenet100"]

CLASSES = {
    "n02869837": 452, "n01749939": 64, "n02488291": 374, "n02107142": 236, "n13037406": 993, "n02091831": 176,
    "n04517823": 882, "n04589890": 904, "n03062245": 503, "n01773797": 74, "n01735189": 57, "n07831146": 959,
    "n07753275": 953, "n03085013": 508, "n04485082": 872, "n02105505": 228, "n01983481": 122, "n02788148": 421,
    "n03530642": 599, "n04435653": 858, "n02086910": 157, "n02859443": 449, "n13040303": 994, "n03594734": 608,
    "n02085620": 151, "n02099849": 209, "n01558993": 15, "n04493381": 876, "n02109047": 246, "n04111531": 766,
    "n02877765": 455, "n04429376": 857, "n02009229": 131, "n01978455": 119, "n02106550": 234, "n01820546": 90,
    "n01692333": 45, "n07714571": 936, "n02974003": 479, "n02114855": 272, "n03785016": 665, "n03764736": 653,
    "n03775546": 659, "n02087046": 158, "n07836838": 960, "n04099969": 765, "n04592741": 908, "n03891251": 703,
    "n02701002": 407, "n03379051": 560, "n02259212": 317, "n07715103": 938, "n03947888": 724, "n04026417": 748,
    "n02326432": 331, "n03637318": 619, "n01980166": 120, "n02113799": 267, "n02086240": 155, "n03903868": 708,
    "n02483362": 368, "n04127249": 772, "n02089973": 167, "n03017168": 494, "n02093428": 180, "n02804414": 431,
    "n02396427": 342, "n04418357": 854, "n02172182": 305, "n01729322": 54, "n02113978": 268, "n03787032": 667,
    "n02089867": 166, "n02119022": 277, "n03777754": 662, "n04238763": 798, "n02231487": 313, "n03032252": 498,
    "n02138441": 299, "n02104029": 222, "n03837869": 682, "n03494278": 593, "n04136333": 775, "n03794056": 674,
    "n03492542": 592, "n02018207": 137, "n04067472": 758, "n03930630": 717, "n03584829": 606, "n02123045": 281,
    "n04229816": 796, "n02100583": 211, "n03642806": 620, "n04336792": 830, "n03259280": 544, "n02116738": 275,
    "n02108089": 242, "n03424325": 570, "n01855672": 99, "n02090622": 169,
}  # fmt: skip
"""ImageNet-100 of Tian et al. 2020 (Contrastive Multiview Coding), in the order in which IDC's program lists it; with
the place of each class among the 1000 of ImageNet, whose order is that of the WordNet ids."""


def imagenet10(data_dir: str | Path | None = None, size: int = 224) -> Data:
    """ImageNet-10 (about 13,000 + 500 RGB images) from `<data_dir>/ImageNet/train/<wnid>/*` and `val/<wnid>/*`.

    The folder may also be called `imagenet`, and it may hold all 1000 classes: these are the first 10 of IDC's list,
    named by their WordNet ids. The middle square of every picture is resized, as by `image_folder`. (IDC's program
    resizes the picture first and then cuts out the square, both rounded to whole pixels.)

    Arguments:
        data_dir: the folder that holds `ImageNet/`. None: the folder in the environment variable CONDENSERY_DATA.
        size: side of the images in pixels.

    Raises:
        InputError: no folder is given, a class is missing, a file is not a readable picture, or the pictures fit
            neither into memory nor into the cache folder (see `decoding.decoded`).
    """
    return _imagenet("ImageNet10", tuple(CLASSES)[:10], data_dir, size)


def imagenet100(data_dir: str | Path | None = None, size: int = 224) -> Data:
    """ImageNet-100 (about 127,000 + 5,000 RGB images): all classes of IDC's list; see `imagenet10`.

    At 224 pixels, the images take 18.5 GB. They are decoded once, into a file of the cache folder; see
    `decoding.decoded`.
    """
    return _imagenet("ImageNet100", tuple(CLASSES), data_dir, size)


def _imagenet(name: str, classes: tuple[str, ...], data_dir: str | Path | None, size: int) -> Data:
    folder = folder_of(name, data_dir, "ImageNet", "imagenet")
    train, val = folder / "train", folder / "val"
    for place in (part / wnid for part in (train, val) for wnid in classes):
        if not os.path.isdir(place):
            raise InputError(f"{place}: no such folder; put the pictures of this class of {name} there")
    return read_parts(name, folder, train, val, classes, size, FACTS[name])
