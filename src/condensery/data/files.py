"""Readers for MNIST, FashionMNIST and USPS in their standard layout on disk (torchvision's). Nothing is downloaded."""

import bz2
import gzip
import hashlib
import io
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from condensery.data.arrays import from_arrays
from condensery.data.facts import FACTS
from condensery.data.sets import Data
from condensery.errors import InputError, bounded

__all__ = ["fashion_mnist", "mnist", "usps"]

log = logging.getLogger("condensery")

# MD5 sums of the *unpacked* files, so that packed and unpacked copies can both be checked. They were taken from
# archives that match the published MD5 sums. Order: train images, train labels, test images, test labels.
_IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_MNIST = (
    "6bbc9ace898e44ae57da46a324031adb",
    "a25bea736e30d166cdddb491f175f624",
    "2646ac647ad5339dbf082846283269ea",
    "27ae3e4e09519cfbb04c329615203637",
)
_FASHION = (
    "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "9018921c3c673c538a1fc5bad174d6f9",
    "8181f5470baa50b63fa0f6fddb340f0a",
    "15d484375f8d13e6eb1aabb0c3f46965",
)
_USPS_TEXT = 2**24  # the most bytes of text that are unpacked from one file; the training part has 14 MB
_USPS = ("ec16c51db3855ca6c91edd34d0e9b197", "8ea070ee2aca1ac39742fdd1ef5ed118")  # MD5 sums of the .bz2 files


def mnist(data_dir: str | Path | None = None) -> Data:
    """MNIST (60,000 + 10,000 gray images of 28 x 28) from `<data_dir>/MNIST/raw`, packed (.gz) or unpacked.

    Arguments:
        data_dir: the folder that holds `MNIST/`. None: the folder in the environment variable CONDENSERY_DATA.

    Raises:
        InputError: no folder is given, a file is missing, or a file is not in idx format.
    """
    return _idx_family("MNIST", _MNIST, tuple("0123456789"), data_dir)


def fashion_mnist(data_dir: str | Path | None = None) -> Data:
    """FashionMNIST (60,000 + 10,000 gray images of 28 x 28) from `<data_dir>/FashionMNIST/raw`; see `mnist`."""
    names = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
    return _idx_family("FashionMNIST", _FASHION, names, data_dir)


def usps(data_dir: str | Path | None = None) -> Data:
    """USPS (7,291 + 2,007 gray images of 16 x 16) from `<data_dir>/USPS/usps.bz2` and `usps.t.bz2` (libsvm text).

    Arguments and errors are those of `mnist`.
    """
    from sklearn.datasets import load_svmlight_file

    folder = folder_of("USPS", data_dir)
    parts: list[np.ndarray] = []
    for name, md5 in zip(("usps.bz2", "usps.t.bz2"), _USPS, strict=True):
        path = folder / name
        if not os.path.isfile(path):
            raise InputError(f"{path}: no such file; put the USPS files of the libsvm collection there")
        with reading(path):
            bounded(path.stat().st_size, f"{path}: its content")
            packed = path.read_bytes()
        check(path, packed, md5)
        try:
            with bz2.open(io.BytesIO(packed)) as file:
                text = file.read(_USPS_TEXT + 1)
            if len(text) > _USPS_TEXT:
                raise InputError(f"{path}: more than {_USPS_TEXT >> 20} MB of text; fetch it again")
            bounded(2 * 8 * 256 * text.count(b"\n"), f"{path}: its rows")
            sparse, labels = load_svmlight_file(io.BytesIO(text), n_features=256)
            if not (np.abs(labels) < 2**31).all():
                raise ValueError("labels are not numbers or too large")
        except InputError:
            raise
        except Exception as error:  # the file is untrusted: unpacking and parsing raise many kinds of errors
            raise InputError(f"{path}: not libsvm text packed with bzip2 ({error}); fetch it again") from error
        pixels = (sparse.toarray().reshape(-1, 16, 16) + 1) / 2  # stored in [-1, 1]
        parts += [pixels.clip(0, 1), labels.astype(np.int64) - 1]  # stored as 1..10
    return from_arrays(*parts, class_names=tuple("0123456789"), source=folder, name="USPS", facts=FACTS["USPS"])


def _idx_family(name: str, md5: tuple[str, ...], class_names: tuple[str, ...], data_dir: str | Path | None) -> Data:
    folder = folder_of(name, data_dir)
    raw = folder / "raw" if (folder / "raw").is_dir() else folder
    parts = [_idx(raw / stem, digest) for stem, digest in zip(_IDX, md5, strict=True)]
    return from_arrays(*parts, class_names=class_names, source=folder, name=name, facts=FACTS[name])


def folder_of(name: str, data_dir: str | Path | None, *places: str) -> Path:
    """The folder of a data set: the first of `places` that is in `data_dir`. No places: `name`."""
    first, *others = places or (name,)
    root = data_dir or os.environ.get("CONDENSERY_DATA")
    if not root:
        raise InputError(
            f"{name}: no data folder is given; set `data_dir` or CONDENSERY_DATA to the folder that holds {first}/"
        )
    if not os.path.isdir(root):
        raise InputError(f"{root}: no such folder; correct `data_dir` or CONDENSERY_DATA")
    for place in (first, *others):
        if os.path.isdir(folder := Path(root) / place):
            return folder
    also = "".join(f", nor {place}/ beside it" for place in others)
    raise InputError(f"{Path(root) / first}: no such folder{also}; put the {name} files there")


def _idx(path: Path, md5: str) -> Tensor:
    """The bytes of an idx file, `path` or `path`.gz.

    The format is two zero bytes, 0x08 for bytes, the rank, the sizes as big-endian 32-bit integers, and the values.
    """
    packed = path.with_name(path.name + ".gz")
    path = path if os.path.isfile(path) else packed
    if not os.path.isfile(path):
        raise InputError(f"{packed}: no such file, packed or unpacked; put {', '.join(_IDX)} there (.gz or unpacked)")
    try:
        with gzip.open(path) if path == packed else open(path, "rb") as file:
            magic = file.read(4)
            rank = magic[3] if magic[:3] == b"\x00\x00\x08" and len(magic) == 4 else 0
            sizes = file.read(4 * rank)
            if rank not in (1, 3) or len(sizes) < 4 * rank:
                raise InputError(f"{path}: not an idx file of bytes; fetch it again")
            shape = tuple(np.frombuffer(sizes, ">u4").tolist())
            bounded(prod(shape), f"{path}: images or labels of shape {shape}")
            values = file.read(prod(shape) + 1)
    except InputError:
        raise
    except Exception as error:  # the file is untrusted: unpacking raises many kinds of errors
        raise InputError(f"{path}: cannot be read ({error}); fetch it again") from error
    if len(values) != prod(shape):
        raise InputError(f"{path}: longer or shorter than the shape {shape} in its header; fetch it again")
    check(path, magic + sizes + values, md5)
    return torch.from_numpy(np.frombuffer(values, np.uint8).reshape(shape).copy())


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Inside the block, a file or folder of the user is read.

    Raises:
        InputError: the operating system does not let it be read.
    """
    try:
        yield
    except OSError as error:
        words = f"cannot be read ({error.strerror or error}); change its permissions, or give other data"
        raise InputError(f"{error.filename or path}: {words}") from error


def check(path: Path, content: bytes, md5: str) -> None:
    """Warn if a file's content does not have the MD5 sum of the canonical file."""
    if hashlib.md5(content).hexdigest() != md5:
        log.warning(
            f"{path}: not the canonical file (its MD5 sum differs); results may not be comparable with published ones"
        )
