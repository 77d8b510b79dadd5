"""A reader for SVHN. Its files are MATLAB 5 files, of which only the two numeric arrays that SVHN needs are read."""

import os
import struct
import zlib
from math import prod
from pathlib import Path

import numpy as np

from condensery.data.arrays import from_arrays
from condensery.data.facts import FACTS
from condensery.data.files import check, folder_of, reading
from condensery.data.sets import Data
from condensery.errors import InputError, bounded

__all__ = ["svhn"]

_FILES = {
    "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
    "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
}
"""The files and their published MD5 sums."""

_MATRIX, _COMPRESSED = 14, 15  # types of elements
_NUMBERS = {
    1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8",
}  # fmt: skip
_NUMERIC, _COMPLEX = range(6, 16), 0x800  # classes and a flag of arrays
_START = 128  # bytes before the first element
_HEAD = 256  # bytes of an element that hold the sizes, name and type of an array with a short name


def svhn(data_dir: str | Path | None = None) -> Data:
    """SVHN, cropped digits (73,257 + 26,032 RGB images of 32 x 32), from `<data_dir>/SVHN`.

    The files are `train_32x32.mat` and `test_32x32.mat`. The folder may also be called `svhn`. Class 0 is the digit 0,
    which the files label 10.

    Arguments:
        data_dir: the folder that holds `SVHN/`. None: the folder in the environment variable CONDENSERY_DATA.

    Raises:
        InputError: no folder is given, a file is missing, or a file is not a MATLAB 5 file with the images X of shape
            (32, 32, 3, N) and the labels y of shape (N, 1).
    """
    folder = folder_of("SVHN", data_dir, "SVHN", "svhn")
    parts: list[np.ndarray] = []
    for name, md5 in _FILES.items():
        path = folder / name
        if not os.path.isfile(path):
            raise InputError(f"{path}: no such file; put {' and '.join(_FILES)} there")
        bounded(os.path.getsize(path), f"{path}: its content")
        with reading(path):
            content = path.read_bytes()
        check(path, content, md5)
        try:
            parts += _images_and_labels(_arrays(content, path))
        except InputError:
            raise
        except Exception as error:  # the file is untrusted: unpacking raises many kinds of errors
            raise InputError(f"{path}: not a readable file of SVHN ({error}); fetch it again") from error
    return from_arrays(*parts, class_names=tuple("0123456789"), source=folder, name="SVHN", facts=FACTS["SVHN"])


def _images_and_labels(arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    if missing := {"X", "y"} - arrays.keys():
        raise ValueError(f"no array named {min(missing)}")
    images, labels = arrays["X"], arrays["y"].reshape(-1)
    if images.dtype != np.uint8 or images.shape != (32, 32, 3, len(labels)):
        raise ValueError(f"X is {images.dtype} of shape {images.shape}, with {len(labels)} labels")
    if labels.dtype.kind not in "ui" or not ((labels >= 0) & (labels <= 10)).all():
        raise ValueError("labels are not whole numbers from 0 to 10")
    return images.transpose(3, 0, 1, 2), np.where(labels == 10, 0, labels)


def _arrays(content: bytes, path: Path) -> dict[str, np.ndarray]:
    """The arrays X and y of a MATLAB 5 file (MATLAB's "MAT-File Format", version 5).

    The file is a list of elements, and an array is an element of elements: flags, sizes, name, numbers. SciPy has a
    reader for these files, but it allocates what the size of an element says before that size can be checked.

    Raises:
        InputError: an array would take too much memory.
        ValueError: the file is not a MATLAB 5 file, or it is damaged. zlib and struct raise errors of their own.
    """
    if content[124:_START] != b"\0\1IM":
        raise ValueError("not a little-endian MATLAB 5 file")
    arrays: dict[str, np.ndarray] = {}
    at, view = _START, memoryview(content)
    while at < len(content):
        kind, size = struct.unpack_from("<II", content, at)
        whole = view[at : at + 8 + size]
        if len(whole) < 8 + size:
            raise ValueError("it is cut off")
        at += len(whole)
        packed = whole[8:] if kind == _COMPRESSED else b""
        head = zlib.decompressobj().decompress(packed[: 16 * _HEAD], _HEAD) if packed else whole[:_HEAD]
        name, shape, dtype, start = _described(head)
        if name not in ("X", "y"):
            continue
        if name in arrays:
            raise ValueError(f"two arrays are named {name}")
        end = start + dtype.itemsize * prod(shape)
        bounded(end, f"{path}: its array {name}")
        if packed:
            unpack = zlib.decompressobj()
            whole = memoryview(unpack.decompress(packed, end + 8))  # at most 7 bytes of padding follow the numbers
            if not unpack.eof:
                raise ValueError(f"{name} is longer than its sizes say, or cut off")
        if len(whole) < end:
            raise ValueError(f"{name} is shorter than its sizes say")
        arrays[name] = np.frombuffer(whole, dtype, prod(shape), start).reshape(shape, order="F")
    return arrays


def _described(head: bytes | memoryview) -> tuple[str, tuple[int, ...], np.dtype, int]:
    """The name, shape and type of an array, and where its numbers start."""
    kind, at, _, _ = _element(head, 0)
    if kind != _MATRIX:
        raise ValueError(f"an element is of type {kind} instead of an array")
    _, start, _, at = _element(head, at)
    (flags,) = struct.unpack_from("<I", head, start)
    _, start, size, at = _element(head, at)
    shape = tuple(np.frombuffer(head, "<i4", size // 4, start).tolist())
    _, start, size, at = _element(head, at)
    name = bytes(head[start : start + size]).decode("latin1")
    if name not in ("X", "y"):
        return name, shape, np.dtype("u1"), at
    if flags & 0xFF not in _NUMERIC or flags & _COMPLEX:
        raise ValueError(f"{name} is not an array of real numbers")
    kind, start, size, _ = _element(head, at)
    if kind not in _NUMBERS or min(shape) < 0 or size != prod(shape) * np.dtype(_NUMBERS[kind]).itemsize:
        raise ValueError(f"{name} has no numbers, or {size:,} bytes of them for the shape {shape}")
    return name, shape, np.dtype(_NUMBERS[kind]), start


def _element(data: bytes | memoryview, at: int) -> tuple[int, int, int, int]:
    """The type of the element at `at`, where its content starts, the size of its content, and where the next starts."""
    kind, size = struct.unpack_from("<II", data, at)
    if kind >> 16:  # a small element: its size and type are in one word, and its content is in the other
        return kind & 0xFFFF, at + 4, kind >> 16, at + 8
    return kind, at + 8, size, at + 8 + -(-size // 8) * 8
