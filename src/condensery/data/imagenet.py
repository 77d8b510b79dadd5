"""Readers for the two parts of ImageNet on which IDC and the papers after it condense."""

from pathlib import Path

from condensery.data.facts import FACTS
from condensery.data.files import folder_of
from condensery.data.folder import read_parts
from condensery.data.sets import Data
from condensery.errors import InputError

__all__ = ["imagenet10", "imagenet100"]

_CLASSES = (
    "n02869837", "n01749939", "n02488291", "n02107142", "n13037406", "n02091831", "n04517823", "n04589890",
    "n03062245", "n01773797", "n01735189", "n07831146", "n07753275", "n03085013", "n04485082", "n02105505",
    "n01983481", "n02788148", "n03530642", "n04435653", "n02086910", "n02859443", "n13040303", "n03594734",
    "n02085620", "n02099849", "n01558993", "n04493381", "n02109047", "n04111531", "n02877765", "n04429376",
    "n02009229", "n01978455", "n02106550", "n01820546", "n01692333", "n07714571", "n02974003", "n02114855",
    "n03785016", "n03764736", "n03775546", "n02087046", "n07836838", "n04099969", "n04592741", "n03891251",
    "n02701002", "n03379051", "n02259212", "n07715103", "n03947888", "n04026417", "n02326432", "n03637318",
    "n01980166", "n02113799", "n02086240", "n03903868", "n02483362", "n04127249", "n02089973", "n03017168",
    "n02093428", "n02804414", "n02396427", "n04418357", "n02172182", "n01729322", "n02113978", "n03787032",
    "n02089867", "n02119022", "n03777754", "n04238763", "n02231487", "n03032252", "n02138441", "n02104029",
    "n03837869", "n03494278", "n04136333", "n03794056", "n03492542", "n02018207", "n04067472", "n03930630",
    "n03584829", "n02123045", "n04229816", "n02100583", "n03642806", "n04336792", "n03259280", "n02116738",
    "n02108089", "n03424325", "n01855672", "n02090622",
)  # fmt: skip
"""ImageNet-100 of Tian et al. 2020 (Contrastive Multiview Coding), in the order in which IDC's program lists it."""


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
    return _imagenet("ImageNet10", _CLASSES[:10], data_dir, size)


def imagenet100(data_dir: str | Path | None = None, size: int = 224) -> Data:
    """ImageNet-100 (about 127,000 + 5,000 RGB images): all classes of IDC's list; see `imagenet10`.

    At 224 pixels, the images take 18.5 GB. They are decoded once, into a file of the cache folder; see
    `decoding.decoded`.
    """
    return _imagenet("ImageNet100", _CLASSES, data_dir, size)


def _imagenet(name: str, classes: tuple[str, ...], data_dir: str | Path | None, size: int) -> Data:
    folder = folder_of(name, data_dir, "ImageNet", "imagenet")
    train, val = folder / "train", folder / "val"
    for place in (part / wnid for part in (train, val) for wnid in classes):
        if not place.is_dir():
            raise InputError(f"{place}: no such folder; put the pictures of this class of {name} there")
    return read_parts(name, folder, train, val, classes, size, FACTS[name])
