"""Readers for data that is already in arrays: scikit-learn's digits, `.npz` files and any torch `Dataset`."""

import logging
from collections import Counter
from collections.abc import Sequence
from functools import cache
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from condensery.data.archives import archive
from condensery.data.facts import FACTS, Facts
from condensery.data.rows import RealSet, TestSet, stratified
from condensery.data.sets import Data
from condensery.errors import InputError, plain, quoted, unprintable

__all__ = ["digits", "from_arrays", "from_dataset", "held_out", "npz"]

log = logging.getLogger("condensery")


def digits() -> Data:
    """The handwritten digits that come with scikit-learn: 1797 gray images of 8 x 8 pixels, 10 classes.

    The split is fixed and stratified: one fifth of each class is the test part. No download is needed. The 17 shades of
    gray are spread over the 256 of an 8-bit image.

    References:
        UCI ML hand-written digits, test part, https://archive.ics.uci.edu/dataset/80
    """
    images, labels = _raw_digits()
    held = stratified(labels, 0.2, seed=0)
    return _assemble(
        "digits", images[~held], labels[~held], images[held], labels[held], tuple("0123456789"), FACTS["digits"]
    )


@cache
def _raw_digits() -> tuple[Tensor, Tensor]:
    """The images (1797, 1, 8, 8) in 256 shades, and their labels."""
    from sklearn.datasets import load_digits

    raw = load_digits()
    return torch.from_numpy(raw.images * 255 / 16).round().byte()[:, None], torch.from_numpy(raw.target)


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
        x_train, x_test: images; shape (N, height, width), (N, height, width, channels) or (N, channels, height, width)
            with 1 or 3 channels, on one of these axes only. Integers from 0 to 255, 16-bit integers (uint16), floats in
            [0, 1], or floats from 0 to 255 (if the largest training value is above 128); the same in both, unless
            x_test is uint8. Floats that are all multiples of 1/255 of white are stored as 8-bit integers again. Lists
            and tensors on any device are copied. Arrays of uint8 that are mapped from a file with
            `np.load(..., mmap_mode="c")` stay in the file if their rows are in the order of the labels, and there is a
            test part.
        y_train, y_test: labels, integers or text, shape (N,). Any integers or texts are allowed; in increasing order,
            they become the class ids 0, 1, ...
        class_names: one name per class, all different, in the order of the labels. None: the labels themselves.
        source: the file or folder that the arrays were read from, named in messages.
        name: the name of the data set in tables.
        facts: what recipes and protocols must know about the data, such as whether images may be flipped.

    Without a test part, one fifth of each class (at least one image) is held out by a stratified split with a fixed
    seed, and a log message reports it.

    Raises:
        InputError: the images differ in size, may have channels on either of two axes, contain NaN or values of another
            range, x_test has another range than x_train, the numbers of images and labels differ, a test label does not
            occur in the training labels, there is only one class, all images are the same flat color, or a class name
            is not printable text.
    """
    where = str(source or name)
    x_train, y_train = _as_array(x_train, f"{where}: x_train"), _as_array(y_train, f"{where}: y_train")
    x_test = None if x_test is None else _as_array(x_test, f"{where}: x_test")
    y_test = None if y_test is None else _as_array(y_test, f"{where}: y_test")
    scale = _scale(x_train)
    images = _images(x_train, scale, f"{where}: x_train")
    y_train, y_test, texts = _numbered(y_train, y_test, where)
    class_names = texts if class_names is None else class_names
    labels = _labels(y_train, len(x_train), f"{where}: y_train")
    values = labels.unique()
    class_names = tuple(str(v) for v in values.tolist()) if class_names is None else class_names
    if len(class_names) != len(values):
        raise InputError(
            f"{where}: {len(class_names)} class names for {len(values)} classes in the training labels; "
            "give one name per class"
        )
    names, ids = _names(class_names, where), torch.searchsorted(values, labels)
    if (x_test is None) != (y_test is None):
        raise InputError(f"{where}: only one of x_test and y_test is given; give both or neither")
    if x_test is None:
        held = torch.tensor(held_out(ids.tolist(), where))
        return _assemble(name, images[~held], ids[~held], images[held], ids[held], names, facts, source)
    test = _images(x_test, scale, f"{where}: x_test")
    # values from 0 to 1 where 255 is white, or to 255 where 65535 is white, would be read as nearly black images
    if x_test.dtype != np.uint8 and scale > 1 and (largest := x_test.max()) <= scale / 255:
        raise InputError(
            f"{where}: x_test has values up to {largest:g} only, but in x_train {scale:g} is white; give both parts "
            "in the same range"
        )
    test_labels = _labels(y_test, len(x_test), f"{where}: y_test")
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


def held_out(labels: Sequence[int], where: str) -> list[bool]:
    """For each label, whether its image is held out as a test image, which a log message reports."""
    held: list[bool] = stratified(torch.tensor(labels), 0.2, seed=0).tolist()
    log.info(
        f"{where}: no test part; {sum(held)} of {len(labels)} images are held out as test images "
        "(one fifth of each class, at least one image)"
    )
    return held


_NAMES = (("x_train", "y_train", "x_test", "y_test"), ("images", "labels", "test_images", "test_labels"))
"""The names that arrays may have in an archive: those of the training part, then those of the test part."""


def npz(path: str | Path) -> Data:
    """Read a NumPy archive of images and labels, and say in one line what it holds.

    Its arrays are `x_train`, `y_train` and, if there is a test part, `x_test` and `y_test`; or `images`, `labels`,
    `test_images` and `test_labels`. An array of texts `class_names` names the classes. Shapes and ranges are those of
    `from_arrays`. Nothing in the file is executed (`allow_pickle=False`).

    Raises:
        InputError: the file does not exist, is not an archive or lacks an array, or `from_arrays` refuses its arrays.
    """
    path = Path(path)
    arrays = archive(path, *_NAMES, also=("class_names",))
    names = next(names for names in _NAMES if names[0] in arrays)
    x, y, *test = (arrays.get(name) for name in names)
    texts = arrays.get("class_names")
    class_names = None if texts is None else [str(name) for name in texts.reshape(-1)]
    data = from_arrays(x, y, *test, class_names=class_names, source=path, name=path.stem)
    assert x is not None
    log.info(
        f"{path}: {len(x):,} images of {_size(data.train.images)} (channels, height, width), {x.dtype} from 0 to "
        f"{_scale(x):g}; {len(data.class_names)} classes: {', '.join(data.class_names[:5])}"
        + (", ..." if len(data.class_names) > 5 else "")
    )
    return data


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
            images, labels = zip(
                *((_as_array(_picture(image), f"{name}: an image"), index(label)) for image, label in pairs),
                strict=True,
            )
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{name}: {part} must give pairs of an image and an integer label ({error})") from error
        if len({image.shape for image in images}) > 1:
            raise InputError(
                f"{name}: images differ in size or in channels ({part}); resize or convert them in the dataset's "
                "transform"
            )
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
    if bool((images.amax((0, 2, 3)).float() - images.amin((0, 2, 3)).float() < 1e-6).all()):
        raise InputError(f"{source or name}: all training images are the same flat color; give images that differ")
    train = RealSet.measured(images, ids, len(class_names), facts)
    test_set = TestSet(test, test_ids, train.space, train.dtype, train.device)
    return Data(plain(name), train, test_set, class_names, source)


def _names(names: Sequence[str], where: str) -> tuple[str, ...]:
    """The class names, after checking that they all differ and that a file can store and a terminal can show them."""
    for name in names:
        if not isinstance(name, str) or not name.strip() or len(name) > 256 or any(map(unprintable, name)):
            raise InputError(f"{where}: class name {name!r} is not printable text of 1 to 256 characters; rename it")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(f"{where}: two classes are both named {min(twice)}; rename one")
    return tuple(names)


def _size(images: Tensor) -> str:
    channels, height, width = images.shape[1:]
    return f"{channels}x{height}x{width}"


def _picture(x: Any) -> Any:
    """A PIL image in gray or RGB, if its pixels are places in a palette, for example; anything else as it is."""
    from PIL import Image

    if not isinstance(x, Image.Image) or x.mode in ("L", "RGB", "F") or x.mode.startswith("I"):
        return x
    if "transparency" in x.info:
        x = x.convert("RGBA")
    return x.convert("L" if x.mode in ("1", "LA") else "RGB")


def _as_array(x: Any, where: str) -> np.ndarray:
    """Anything like an array as an array: lists of one shape, and tensors of any device and number format too.

    Raises:
        InputError: it is not like an array.
    """
    if isinstance(x, Tensor):
        x = x.detach().cpu()
        x = x.float() if x.dtype == torch.bfloat16 else x  # which NumPy does not know
    try:
        return np.asarray(x)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{where}: not an array ({quoted(error)}); give images of one size, or one label each"
        ) from error


def _scale(array: np.ndarray) -> float:
    """The number that stands for white in an array of images: 1, 255 or 65535, from its type and its largest value."""
    if array.dtype == np.uint8:
        return 255.0
    largest = float(array.max()) if array.dtype.kind in "uif" and array.size else 0.0
    if largest > 128 if array.dtype.kind == "f" else largest > 1:
        return 65535.0 if array.dtype == np.uint16 and largest > 255 else 255.0
    return 1.0


def _images(array: np.ndarray, scale: float, where: str) -> Tensor:
    """Images of shape (N, channels, height, width), as uint8 or as float32 in [0, 1]; `scale` is white.

    Floats that are multiples of 1/255 of white, as those of a picture file divided by 255 are, become uint8 again.
    """
    if array.dtype.kind not in "uif" or array.ndim not in (3, 4) or not array.size:
        raise InputError(
            f"{where}: images must be numbers of shape (N, height, width[, channels]), got {array.dtype} {array.shape}"
        )
    if array.ndim == 3:
        array = array[:, None]
    elif array.shape[1] in (1, 3) and array.shape[-1] in (1, 3):
        raise InputError(
            f"{where}: shape {array.shape} may have its channels on the second or on the last axis; give images of "
            "other sides, or gray ones as (N, height, width)"
        )
    elif array.shape[-1] in (1, 3):
        array = array.transpose(0, 3, 1, 2)
    elif array.shape[1] not in (1, 3):
        raise InputError(
            f"{where}: shape {array.shape} has neither 1 nor 3 channels on its second or last axis; "
            "give gray or RGB images"
        )
    if array.dtype == np.uint8:
        return torch.from_numpy(array if _in_file(array) else np.array(array, order="C"))
    with np.errstate(all="ignore"):  # values that overflow become infinite and are refused below
        values = array.astype(np.float32)
    if not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0][0])
        raise InputError(f"{where}: image {row} holds NaN or infinity; remove or repair it")
    if values.min() < 0 or values.max() > scale:
        raise InputError(
            f"{where}: values range from {values.min():g} to {values.max():g}; give integers from 0 to 255, or floats "
            "between 0 and 1, or between 0 and 255 with some above 128; or divide them by the value of white"
        )
    if scale < 65535:
        levels = values * np.float32(255 / scale)
        eight = np.rint(levels)
        nearest = 0.07 if array.dtype == np.float16 else 1e-3  # half precision is that coarse near white
        if np.abs(levels - eight, out=levels).max() < nearest:
            return torch.from_numpy(eight.astype(np.uint8))
    return torch.from_numpy(values / np.float32(scale))


def _in_file(array: Any) -> bool:
    """Whether an array is a part of a file that is mapped into memory, and can be written to without changing it."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap) and array.mode == "c":
            return True
        array = array.base
    return False


def _numbered(
    y_train: np.ndarray, y_test: np.ndarray | None, where: str
) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...] | None]:
    """Labels that are texts as the numbers of these texts in alphabetical order, and the texts; others as they are.

    Raises:
        InputError: a text of the test part does not occur in the training part.
    """
    train, test = _texts(y_train), None if y_test is None else _texts(y_test)
    if train.dtype.kind != "U":
        return y_train, y_test, None
    texts, numbers = np.unique(train, return_inverse=True)
    if test is not None:
        if len(unknown := np.setdiff1d(test, texts)):
            raise InputError(
                f"{where}: test label {str(unknown[0])!r} does not occur in the training labels; add training images "
                "of this class or remove those test images"
            )
        test = np.searchsorted(texts, test)
    return numbers.reshape(train.shape), test, tuple(str(text) for text in texts)


def _texts(labels: np.ndarray) -> np.ndarray:
    """An array of Python objects that are all texts, as pandas has them, as an array of texts; others as they are."""
    objects = labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels.ravel())
    return labels.astype(str) if objects else labels


def _labels(array: np.ndarray, rows: int, where: str) -> Tensor:
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or array.dtype.kind not in "ui":
        raise InputError(f"{where}: labels must be integers or texts of shape (N,), got {array.dtype} {array.shape}")
    if len(array) != rows:
        raise InputError(f"{where}: {len(array)} labels for {rows} images; give one label per image")
    return torch.from_numpy(array.astype(np.int64))
