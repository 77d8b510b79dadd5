"""Readers of data that already is arrays: the embedded digits, `.npz` files, any torch `Dataset`."""

import logging
import os
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from condensery.data.sets import Data, RealSet, TestSet, stratified
from condensery.errors import InputError, bounded, plain, unprintable

__all__ = ["digits", "from_arrays", "from_dataset", "npz"]

log = logging.getLogger("condensery")


def digits() -> Data:
    """Scikit-learn's embedded handwritten digits: 1797 gray images of 8 x 8 pixels, 10 classes.

    The split is fixed and stratified: a fifth of every class is the test part. Works offline.

    References:
        UCI ML hand-written digits, test part, https://archive.ics.uci.edu/dataset/80
    """
    from sklearn.datasets import load_digits

    raw = load_digits()
    images, labels = torch.from_numpy(raw.images).float()[:, None] / 16, torch.from_numpy(raw.target)
    held = stratified(labels, 0.2, seed=0)
    return _assemble("digits", images[~held], labels[~held], images[held], labels[held], tuple("0123456789"))


def from_arrays(
    x_train: Any,
    y_train: Any,
    x_test: Any = None,
    y_test: Any = None,
    *,
    class_names: Sequence[str] | None = None,
    source: Path | None = None,
    name: str = "arrays",
) -> Data:
    """Data from arrays.

    Arguments:
        x_train, x_test: images, uint8 or floats in [0, 1]; shape (N, height, width), (N, height, width, channels)
            or (N, channels, height, width) with 1 or 3 channels.
        y_train, y_test: integer labels, shape (N,); any integers, they become class ids in increasing order.
        class_names: one name per class, all different; the labels themselves by default.
        source: the file or folder, for messages.
        name: what tables call it.

    Without a test part a fifth of every class, at least one image, is held out (seeded, stratified, said aloud).

    Raises:
        InputError: NaN, values outside [0, 1], mismatched lengths, a test label that no training row has, a single
            class, images that are all the same flat color, names that are no printable text.
    """
    where = str(source or name)
    images, labels = _images(x_train, f"{where}: x_train"), _labels(y_train, len(x_train), f"{where}: y_train")
    values = labels.unique()
    names = tuple(str(v) for v in values.tolist()) if class_names is None else _names(class_names, where)
    if len(names) != len(values):
        raise InputError(f"{where}: {len(names)} class names for {len(values)} classes in the training labels")
    ids = torch.searchsorted(values, labels)
    if (x_test is None) != (y_test is None):
        raise InputError(f"{where}: x_test and y_test come together; one of them is missing")
    if x_test is None:
        held = stratified(ids, 0.2, seed=0)
        log.info(
            f"{where}: no test part; {int(held.sum())} of {len(ids)} images are held out to measure on "
            "(a fifth of every class, and at least one)"
        )
        return _assemble(name, images[~held], ids[~held], images[held], ids[held], names, source)
    test, test_labels = _images(x_test, f"{where}: x_test"), _labels(y_test, len(x_test), f"{where}: y_test")
    unknown = test_labels[~torch.isin(test_labels, values)]
    if len(unknown):
        raise InputError(
            f"{where}: test label {unknown[0].item()} is beyond the classes of the training part "
            f"({values[0].item()} to {values[-1].item()}, {len(values)} classes); give training images of it "
            "or remove those test rows"
        )
    if test.shape[1:] != images.shape[1:]:
        raise InputError(
            f"{where}: test images are {_size(test)}, training images {_size(images)}; make them the same size"
        )
    return _assemble(name, images, ids, test, torch.searchsorted(values, test_labels), names, source)


def npz(path: str | Path) -> Data:
    """Data from a NumPy archive with `x_train`, `y_train` and, if there is a test part, `x_test`, `y_test`.

    Shapes and ranges as in `from_arrays`. Nothing in the file is executed (`allow_pickle=False`).

    Raises:
        InputError: no such file, not an archive, missing arrays, and all that `from_arrays` refuses.
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such file")
    wanted = ("x_train", "y_train", "x_test", "y_test")
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {info.filename.removesuffix(".npy"): info.file_size for info in archive.infolist()}
            if missing := [key for key in wanted[:2] if key not in sizes]:
                raise InputError(
                    f"{path}: no array named {missing[0]} (it holds {', '.join(sizes) or 'nothing'}); "
                    "save it with np.savez(path, x_train=..., y_train=..., x_test=..., y_test=...)"
                )
            bounded(sum(sizes.get(key, 0) for key in wanted), f"{path}: its arrays")
            arrays = [_array(archive, key) if key in sizes else None for key in wanted]
    except InputError:
        raise
    except Exception as error:  # a stranger's file: whatever zip, its packings and NumPy can fail with
        raise InputError(
            f"{path}: not a readable .npz archive of number arrays ({type(error).__name__}); "
            "save it again with np.savez"
        ) from error
    return from_arrays(*arrays, source=path, name=path.stem)


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    # no more is unpacked than the archive says, which was bounded; NumPy warns of headers that Python 2 wrote
    with archive.open(f"{name}.npy") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def from_dataset(
    train: Any, test: Any = None, *, class_names: Sequence[str] | None = None, name: str = "dataset"
) -> Data:
    """Data from any map-style torch `Dataset` of (image, label) pairs, such as torchvision's.

    Arguments:
        train, test: `len` and indexing; an image is a PIL picture, or an array or tensor as in `from_arrays`
            without the first axis. Read once into memory.
        class_names: one name per class; `train.classes` where it has them.
        name: what tables call it.

    Raises:
        InputError: not a map-style dataset of pairs, an empty one, images that differ in size, and all that
            `from_arrays` refuses.
    """

    def gather(dataset: Any, part: str) -> tuple[np.ndarray, np.ndarray]:
        if hasattr(dataset, "dataset") and hasattr(dataset, "batch_size"):
            raise InputError(f"{name}: {part} is a DataLoader; give the dataset that it loads ({part}.dataset)")
        if isinstance(dataset, str) or not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            raise InputError(
                f"{name}: {part} is {type(dataset).__name__}; give a map-style dataset, with len() and indexing"
            )
        pairs = [dataset[i] for i in range(len(dataset))]
        if not pairs:
            raise InputError(f"{name}: the dataset is empty ({part})")
        try:
            images, labels = zip(*((np.asarray(image), int(label)) for image, label in pairs), strict=True)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{name}: {part} holds no pairs of an image and an integer label ({error})") from error
        if len({image.shape for image in images}) > 1:
            raise InputError(f"{name}: images differ in size ({part}); resize them in the dataset's transform")
        return np.stack(images), np.asarray(labels)

    parts = gather(train, "train") + (gather(test, "test") if test is not None else (None, None))
    names = class_names or (tuple(map(str, train.classes)) if hasattr(train, "classes") else None)
    return from_arrays(*parts, class_names=names, name=name)


def _assemble(
    name: str,
    images: Tensor,
    ids: Tensor,
    test: Tensor,
    test_ids: Tensor,
    class_names: tuple[str, ...],
    source: Path | None = None,
) -> Data:
    if not len(test):
        raise InputError(f"{source or name}: no test rows, nor a class with two images to hold one out of; give some")
    if len(class_names) < 2:
        raise InputError(f"{source or name}: one class only ({class_names[0]}); a classifier needs two or more")
    flat = images.transpose(0, 1).flatten(1)
    if bool((flat.amax(1).float() - flat.amin(1).float() < 1e-6).all()):
        raise InputError(f"{source or name}: all training images are the same flat color; there is nothing to learn")
    train = RealSet.measured(images, ids, len(class_names))
    test_set = TestSet(test, test_ids, train.space, train.dtype, train.device)
    return Data(plain(name), train, test_set, class_names, source)


def _names(names: Sequence[str], where: str) -> tuple[str, ...]:
    """Class names, one different from the other, that a file can hold and a terminal can show."""
    for name in names:
        if not isinstance(name, str) or not name.strip() or len(name) > 256 or any(map(unprintable, name)):
            raise InputError(f"{where}: class name {name!r} is not printable text of 1 to 256 characters; rename it")
    if twice := {name for name in names if list(names).count(name) > 1}:
        raise InputError(f"{where}: two classes are named {min(twice)}; rename one")
    return tuple(names)


def _size(images: Tensor) -> str:
    channels, height, width = images.shape[1:]
    return f"{channels}x{height}x{width}"


def _images(x: Any, where: str) -> Tensor:
    """(N, channels, height, width), uint8 or float32 in [0, 1]."""
    array = np.asarray(x)
    if array.dtype.kind not in "uif" or array.ndim not in (3, 4) or not array.size:
        raise InputError(
            f"{where}: images must be numbers of shape (N, height, width[, channels]), got {array.dtype} {array.shape}"
        )
    if array.ndim == 3:
        array = array[:, None]
    elif array.shape[-1] in (1, 3):
        array = array.transpose(0, 3, 1, 2)
    elif array.shape[1] not in (1, 3):
        raise InputError(f"{where}: shape {array.shape} has neither 1 nor 3 channels, first or last")
    if array.dtype == np.uint8:
        return torch.from_numpy(np.array(array))
    with np.errstate(all="ignore"):  # what overflows is infinite, and found below
        values = array.astype(np.float32)
    if not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0][0])
        raise InputError(f"{where}: image {row} holds NaN or infinity; remove or repair it")
    if values.min() < 0 or values.max() > 1:
        raise InputError(
            f"{where}: values run from {values.min():g} to {values.max():g}; "
            "give uint8 (0 to 255) or floats between 0 and 1"
        )
    return torch.from_numpy(np.array(values))


def _labels(y: Any, rows: int, where: str) -> Tensor:
    array = np.asarray(y)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or array.dtype.kind not in "ui":
        raise InputError(f"{where}: labels must be integers of shape (N,), got {array.dtype} {array.shape}")
    if len(array) != rows:
        raise InputError(f"{where}: {len(array)} labels for {rows} images")
    return torch.from_numpy(array.astype(np.int64))
