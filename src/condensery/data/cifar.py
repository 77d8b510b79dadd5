"""Readers for CIFAR-10 and CIFAR-100, in the binary and in the Python version. Nothing in a file is executed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from condensery.data.arrays import from_arrays
from condensery.data.facts import FACTS
from condensery.data.files import check, folder_of, reading
from condensery.data.pickled import Array, data_in
from condensery.data.sets import Data
from condensery.errors import InputError, bounded

__all__ = ["cifar10", "cifar100"]

_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CIFAR100 = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl", "boy",
    "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee", "clock",
    "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish",
    "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion",
    "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange",
    "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate", "poppy", "porcupine",
    "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk",
    "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank",
    "telephone", "television", "tiger", "tractor", "train", "trout", "tulip", "turtle", "wardrobe", "whale",
    "willow_tree", "wolf", "woman", "worm",
)  # fmt: skip
_FILES = {
    "cifar-10-batches-bin": (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"),
    "cifar-10-batches-py": (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"),
    "cifar-100-binary": ("train.bin", "test.bin"),
    "cifar-100-python": ("train", "test"),
}
"""The files of each folder; the last one is the test part."""

_PICKLED = ("cifar-10-batches-py", "cifar-100-python")
_VALUES = 3 * 32 * 32  # an image has this many
_NAMES = {"cifar-100-binary": "fine_label_names.txt", "cifar-100-python": "meta"}
"""The file with the names of the fine classes."""

_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "train": "16019d7e3df5f24257cddd939b257f8d",
    "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    "meta": "7973b15100ade9c7d40fb424638fde48",
}
"""The published MD5 sums of the Python version. We know of none for the files of the binary version."""


def cifar10(data_dir: str | Path | None = None) -> Data:
    """CIFAR-10 (50,000 + 10,000 RGB images of 32 x 32).

    The files are those of the binary version in `<data_dir>/cifar-10-batches-bin`, or else those of the Python version
    in `<data_dir>/cifar-10-batches-py`, which are pickles: their data is read without unpickling them.

    Arguments:
        data_dir: the folder that holds this folder. None: the folder in the environment variable CONDENSERY_DATA.

    Raises:
        InputError: no folder is given, a file is missing or damaged, or a pickle holds more than data.
    """
    folder = folder_of("CIFAR10", data_dir, "cifar-10-batches-bin", "cifar-10-batches-py")
    return _read("CIFAR10", folder, _CIFAR10, key="labels", leading=1)


def cifar100(data_dir: str | Path | None = None) -> Data:
    """CIFAR-100 (50,000 + 10,000 RGB images of 32 x 32) with its 100 fine classes.

    The folder is `<data_dir>/cifar-100-binary` or `<data_dir>/cifar-100-python`; see `cifar10`. The names of the
    classes are those in `fine_label_names.txt` or `meta` if the file is there.
    """
    folder = folder_of("CIFAR100", data_dir, "cifar-100-binary", "cifar-100-python")
    return _read("CIFAR100", folder, _CIFAR100, key="fine_labels", leading=2)


def _read(name: str, folder: Path, names: tuple[str, ...], key: str, leading: int) -> Data:
    """The data set in one of the folders of `_FILES`.

    Arguments:
        names: the names of the classes, unless a file says them.
        key: the entry with the labels in a file of the Python version.
        leading: the number of labels before each image in a file of the binary version; the last one is used.
    """
    paths = [folder / file for file in _FILES[folder.name]]
    if missing := [path for path in paths if not os.path.isfile(path)]:
        raise InputError(f"{missing[0]}: no such file; put {', '.join(_FILES[folder.name])} there")
    if os.path.isfile(described := folder / _NAMES.get(folder.name, "")):
        paths.append(described)
    # six: the file, its text, which may take four bytes per character, and the pixels
    bounded(6 * sum(os.path.getsize(path) for path in paths), f"{folder}: its files")
    pickled = folder.name in _PICKLED

    def rows(content: bytes) -> tuple[np.ndarray, np.ndarray]:
        images, labels = _pickled(content, key) if pickled else _binary(content, leading)
        if images.shape != (len(labels), _VALUES):
            raise ValueError(f"images of shape {images.shape} and {len(labels)} labels")
        if not ((labels >= 0) & (labels < len(names))).all():
            raise ValueError(f"labels are not from 0 to {len(names) - 1}")
        return images.reshape(-1, 3, 32, 32), labels

    def listed(content: bytes) -> tuple[str, ...]:
        found = _pickled_names(content) if pickled else content.decode().split()
        if len(found) != len(names):
            raise ValueError(f"{len(found)} names for {len(names)} classes")
        return tuple(found)

    *train, test = [_parsed(path, rows) for path in paths if path != described]
    images, labels = (np.concatenate(arrays) for arrays in zip(*train, strict=True))
    names = _parsed(described, listed) if described in paths else names
    return from_arrays(images, labels, *test, class_names=names, source=folder, name=name, facts=FACTS[name])


T = TypeVar("T")


def _parsed(path: Path, parse: Callable[[bytes], T]) -> T:
    with reading(path):
        content = path.read_bytes()
    if path.name in _MD5:
        check(path, content, _MD5[path.name])
    try:
        return parse(content)
    except Exception as error:  # the file is untrusted: parsing raises many kinds of errors
        raise InputError(f"{path}: not a readable file of CIFAR ({error}); fetch it again") from error


def _binary(content: bytes, leading: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of pixels and their labels, which are stored one after the other without a header."""
    size = leading + _VALUES
    if not content or len(content) % size:
        raise ValueError(f"{len(content):,} bytes, which is no multiple of {size:,}")
    rows = np.frombuffer(content, np.uint8).reshape(-1, size)
    return rows[:, leading:], rows[:, leading - 1]


def _pickled(content: bytes, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows of pixels and their labels, the entries `data` and `key` of a dictionary."""
    match data_in(content):
        case {"data": Array() as images, **others} if _all(int, labels := others.get(key)):
            return images.numbers(), np.array(labels)
    raise ValueError(f"no dictionary with an array named data and a list of whole numbers named {key}")


def _pickled_names(content: bytes) -> list[str]:
    match data_in(content):
        case {"fine_label_names": names} if _all(str, names):
            return names
    raise ValueError("no dictionary with a list of text named fine_label_names")


def _all(kind: type, items: object) -> bool:
    return type(items) is list and all(type(item) is kind for item in items)
