"""Readers for data that is already in arrays: scikit-learn's digits, `.npz` files and any torch `Dataset`."""

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

from condensery.data.facts import FACTS, Facts
from condensery.data.sets import Data, RealSet, TestSet, stratified
from condensery.errors import InputError, bounded, plain, unprintable

__all__ = ["digits", "from_arrays", "from_dataset", "npz"]

log = logging.getLogger("condensery")


def digits() -> Data:
    """The handwritten digits that come with scikit-learn: 1797 gray images of 8 x 8 pixels, 10 classes.

    The split is fixed and stratified: one fifth of each class is the test part. No download is needed.

    References:
        UCI ML hand-written digits, test part, https://archive.ics.uci.edu/dataset/80
    """
    from sklearn.datasets import load_digits

    raw = load_digits()
    images, labels = torch.from_numpy(raw.images).float()[:, None] / 16, torch.from_numpy(raw.target)
    held = stratified(labels, 0.2, seed=0)
    return _assemble(
        "digits", images[~held], labels[~held], images[held], labels[held], tuple("0123456789"), FACTS["digits"]
    )


def from_arrays(
    x_train: Any,
    y_train: Any,
    x_test: Any = None,
    y_test: Any = None,
    *,
    class_names: Sequence[str] | None = None,
    source: Path | None = None,
    name: str = "arrays",
    facts: Facts = Facts(),
) -> Data:
    """Build a data set from arrays of images and labels.

    Arguments:
        x_train, x_test: images, uint8 or floats in [0, 1]; shape (N, height, width), (N, height, width, channels)
            or (N, channels, height, width) with 1 or 3 channels.
        y_train, y_test: integer labels, shape (N,). Any integers are allowed; sorted in increasing order, they become
            the class ids 0, 1, ...
        class_names: one name per class, all different. None: the labels themselves.
        source: the file or folder that the arrays were read from, named in messages.
        name: the name of the data set in tables.
        facts: what recipes and protocols must know about the data, such as whether images may be flipped.

    Without a test part, one fifth of each class (at least one image) is held out by a stratified split with a fixed
    seed, and a log message reports it.

    Raises:
        InputError: the images contain NaN or values outside [0, 1], the numbers of images and labels differ, a test
            label does not occur in the training labels, there is only one class, all images are the same flat color,
            or a class name is not printable text.
    """
    where = str(source or name)
    images, labels = _images(x_train, f"{where}: x_train"), _labels(y_train, len(x_train), f"{where}: y_train")
    values = labels.unique()
    names = tuple(str(v) for v in values.tolist()) if class_names is None else _names(class_names, where)
    if len(names) != len(values):
        raise InputError(
            f"{where}: {len(names)} class names for {len(values)} classes in the training labels; "
            "give one name per class"
        )
    ids = torch.searchsorted(values, labels)
    if (x_test is None) != (y_test is None):
        raise InputError(f"{where}: only one of x_test and y_test is given; give both or neither")
    if x_test is None:
        held = stratified(ids, 0.2, seed=0)
        log.info(
            f"{where}: no test part; {int(held.sum())} of {len(ids)} images are held out as test images "
            "(one fifth of each class, at least one image)"
        )
        return _assemble(name, images[~held], ids[~held], images[held], ids[held], names, facts, source)
    test, test_labels = _images(x_test, f"{where}: x_test"), _labels(y_test, len(x_test), f"{where}: y_test")
    unknown = test_labels[~torch.isin(test_labels, values)]
    if len(unknown):
        raise InputError(
            f"{where}: test label {unknown[0].item()} does not occur in the training labels "
            f"({values[0].item()} to {values[-1].item()}, {len(values)} classes); add training images of this class "
            "or remove those test images"
        )
    if test.shape[1:] != images.shape[1:]:
        raise InputError(
            f"{where}: test images are {_size(test)}, but training images are {_size(images)}; make them the same size"
        )
    return _assemble(name, images, ids, test, torch.searchsorted(values, test_labels), names, facts, source)


def npz(path: str | Path) -> Data:
    """Read a NumPy archive with the arrays `x_train`, `y_train` and, if there is a test part, `x_test` and `y_test`.

    Shapes and ranges are those of `from_arrays`. Nothing in the file is executed (`allow_pickle=False`).

    Raises:
        InputError: the file does not exist, is not an archive or lacks an array, or `from_arrays` refuses its arrays.
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such file; check the path")
    wanted = ("x_train", "y_train", "x_test", "y_test")
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {info.filename.removesuffix(".npy"): info.file_size for info in archive.infolist()}
            if missing := [key for key in wanted[:2] if key not in sizes]:
                raise InputError(
                    f"{path}: no array named {missing[0]} (the file holds {', '.join(sizes) or 'nothing'}); "
                    "save it with np.savez(path, x_train=..., y_train=..., x_test=..., y_test=...)"
                )
            bounded(sum(sizes.get(key, 0) for key in wanted), f"{path}: its arrays")
            arrays = [_array(archive, key) if key in sizes else None for key in wanted]
    except InputError:
        raise
    except Exception as error:  # the file is untrusted: zipfile, its decompressors and NumPy raise many kinds of errors
        raise InputError(
            f"{path}: not a readable .npz archive of numeric arrays ({type(error).__name__}); "
            "save it again with np.savez"
        ) from error
    return from_arrays(*arrays, source=path, name=path.stem)


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    # zipfile unpacks no more than the sizes listed in the archive, which are checked by now. NumPy would warn about
    # headers written by Python 2.
    with archive.open(f"{name}.npy") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def from_dataset(
    train: Any, test: Any = None, *, class_names: Sequence[str] | None = None, name: str = "dataset"
) -> Data:
    """Read a map-style torch `Dataset` of (image, label) pairs, for example one from torchvision.

    Arguments:
        train, test: datasets with `len()` and indexing. An image is a PIL image, or an array or tensor as in
            `from_arrays` without the first axis. All images are read into memory once.
        class_names: one name per class. None: `train.classes` if the dataset has it, else the labels themselves.
        name: the name of the data set in tables.

    Raises:
        InputError: the dataset is not a map-style dataset of pairs or is empty, its images differ in size, or
            `from_arrays` refuses them.
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
            raise InputError(f"{name}: the dataset is empty ({part}); give one with images")
        try:
            images, labels = zip(*((np.asarray(image), int(label)) for image, label in pairs), strict=True)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{name}: {part} must give pairs of an image and an integer label ({error})") from error
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
    facts: Facts,
    source: Path | None = None,
) -> Data:
    if not len(test):
        raise InputError(
            f"{source or name}: no test part, and no class has two images so that one can be held out; add test images"
        )
    if len(class_names) < 2:
        raise InputError(f"{source or name}: only one class ({class_names[0]}); a classifier needs at least two")
    flat = images.transpose(0, 1).flatten(1)
    if bool((flat.amax(1).float() - flat.amin(1).float() < 1e-6).all()):
        raise InputError(f"{source or name}: all training images are the same flat color; give images that differ")
    train = RealSet.measured(images, ids, len(class_names), facts)
    test_set = TestSet(test, test_ids, train.space, train.dtype, train.device)
    return Data(plain(name), train, test_set, class_names, source)


def _names(names: Sequence[str], where: str) -> tuple[str, ...]:
    """The class names, after checking that they all differ and that a file can store and a terminal can show them."""
    for name in names:
        if not isinstance(name, str) or not name.strip() or len(name) > 256 or any(map(unprintable, name)):
            raise InputError(f"{where}: class name {name!r} is not printable text of 1 to 256 characters; rename it")
    if twice := {name for name in names if list(names).count(name) > 1}:
        raise InputError(f"{where}: two classes are both named {min(twice)}; rename one")
    return tuple(names)


def _size(images: Tensor) -> str:
    channels, height, width = images.shape[1:]
    return f"{channels}x{height}x{width}"


def _images(x: Any, where: str) -> Tensor:
    """Images of shape (N, channels, height, width), as uint8 or as float32 in [0, 1]."""
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
        raise InputError(
            f"{where}: shape {array.shape} has neither 1 nor 3 channels on its second or last axis; "
            "give gray or RGB images"
        )
    if array.dtype == np.uint8:
        return torch.from_numpy(np.array(array))
    with np.errstate(all="ignore"):  # values that overflow become infinite and are refused below
        values = array.astype(np.float32)
    if not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0][0])
        raise InputError(f"{where}: image {row} holds NaN or infinity; remove or repair it")
    if values.min() < 0 or values.max() > 1:
        raise InputError(
            f"{where}: values range from {values.min():g} to {values.max():g}; "
            "give uint8 values (0 to 255) or floats between 0 and 1"
        )
    return torch.from_numpy(np.array(values))


def _labels(y: Any, rows: int, where: str) -> Tensor:
    array = np.asarray(y)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or array.dtype.kind not in "ui":
        raise InputError(f"{where}: labels must be integers of shape (N,), got {array.dtype} {array.shape}")
    if len(array) != rows:
        raise InputError(f"{where}: {len(array)} labels for {rows} images; give one label per image")
    return torch.from_numpy(array.astype(np.int64))
