"""A reader for data sets of the Hugging Face hub, and for folders of parquet files with the same columns."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from condensery.data.arrays import from_arrays, held_out
from condensery.data.decoding import Encoded, decoded
from condensery.data.facts import FACTS, Facts
from condensery.data.sets import Data
from condensery.errors import InputError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["HUB", "Hub", "hub"]

log = logging.getLogger("condensery")


@dataclass(frozen=True)
class Hub:
    """Where a data set stands on the hub.

    Arguments:
        owner: `owner/name`.
        facts: the key of `facts.FACTS`, if there is one.
        config: the name of the configuration; None: the only one.
        image, label: the columns; None: the first of pictures, and the first of classes.
        test: the split that is the test part.
    """

    owner: str
    facts: str | None = None
    config: str | None = None
    image: str | None = None
    label: str | None = None
    test: str = "test"


HUB: dict[str, Hub] = {
    "mnist": Hub("ylecun/mnist", "MNIST"),
    "fashionmnist": Hub("zalando-datasets/fashion_mnist", "FashionMNIST"),
    "usps": Hub("flwrlabs/usps", "USPS"),
    "svhn": Hub("ufldl-stanford/svhn", "SVHN", config="cropped_digits"),
    "cifar10": Hub("uoft-cs/cifar10", "CIFAR10", image="img"),
    "cifar100": Hub("uoft-cs/cifar100", "CIFAR100", image="img", label="fine_label"),
    "tinyimagenet": Hub("zh-plus/tiny-imagenet", test="valid"),
}
"""The benchmarks of the papers. Subsets of ImageNet are read from a folder (`imagenet10`), because the hub keeps it
behind a login and without the names of the class folders."""


def hub(
    name: str,
    *,
    config: str | None = None,
    image: str | None = None,
    label: str | None = None,
    test: str | None = None,
    size: int | None = None,
) -> Data:
    """Read a data set of pictures from the hub, from its cache on this machine, or from a folder of parquet files.

    Nothing of the data set is executed. Pictures are gray if all are gray, and RGB otherwise.

    Arguments:
        name: a key of `HUB`; `owner/name`; or a folder whose parquet files the library `datasets` can load.
        config: the name of the configuration, if there are several.
        image: the column of pictures. None: the first one.
        label: the column of classes. None: the first column of classes, or one called label, labels, target or class.
        test: the split that is the test part. None: `test`, or else `validation` or `valid`; if there is none, a fifth
            of every class is held out.
        size: see `image_folder`.

    Raises:
        InputError: the library `datasets` is not installed; there is no such data set, or no network; a column is
            missing; or pictures are unreadable or differ in size.
    """
    library = _datasets()
    known = HUB.get(name.lower(), Hub(name, test=""))
    place = known.owner
    if name.lower() not in HUB and not os.path.isdir(name) and name.count("/") != 1:
        raise InputError(f"{name!r} is no folder and no owner/name; known by name: {', '.join(HUB)}")
    try:
        parts = library.load_dataset(place, config or known.config)
    except Exception as error:  # the library raises many kinds of errors for no network, no such set, a wrong config
        words = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InputError(
            f"{place}: cannot be loaded ({words}); without a network, put a copy of its parquet files into a folder "
            "and give that"
        ) from error
    train = parts.get("train")
    if train is None:
        raise InputError(f"{place}: has no split `train` (but {', '.join(parts)}); it needs one")
    wanted = test or known.test
    usual = next((parts[name] for name in ("test", "validation", "valid") if name in parts), None)
    held = parts.get(wanted) if wanted else usual
    if test and held is None:
        raise InputError(f"{place}: has no split {test!r} (but {', '.join(parts)}); give one of them as `test`")
    picture = _column(place, train, image or known.image, ("image", "img", "picture"), library.Image)
    target = _column(place, train, label or known.label, ("label", "labels", "target", "class"), library.ClassLabel)
    feature = train.features[target]
    names = tuple(feature.names) if isinstance(feature, library.ClassLabel) else None
    if held is None:
        out = np.array(held_out(np.unique(train[target], return_inverse=True)[1].tolist(), place))
        train, held = train.select(np.flatnonzero(~out)), train.select(np.flatnonzero(out))
    train = train.select(np.argsort(train[target], kind="stable"))  # so that a class stands together in a mapped file
    parts = [rows.cast_column(picture, library.Image(decode=False)).select_columns([picture]) for rows in (train, held)]
    pictures = [_encoded(rows, n, picture, place) for rows in parts for n in range(len(rows))]
    x = decoded(pictures, size, place, lambda: " ".join(rows._fingerprint for rows in parts))
    y, y_test = np.array(train[target]), np.array(held[target])
    tests = (x[len(y) :], y_test) if len(y_test) else (None, None)
    if names is not None and len(present := sorted(set(y.tolist()))) < len(names):
        names = tuple(names[c] for c in present)
        log.info(f"{place}: {len(present)} of {len(feature.names)} classes have training images")
    title = known.facts or Path(name).name
    log.info(f"{place}: pictures from the column {picture}, classes from {target}")
    facts = FACTS[known.facts] if known.facts else Facts()
    return from_arrays(x[: len(y)], y, *tests, class_names=names, name=title, facts=facts)


def _datasets() -> "ModuleType":
    try:
        import datasets
    except ImportError:
        raise InputError("the hub needs the library datasets: pip install 'condensery[hub]'") from None
    return datasets


def _column(place: str, rows: Any, given: str | None, usual: tuple[str, ...], kind: Any) -> str:
    """The name of a column: the given one, or the first of a kind, or one with a usual name.

    Raises:
        InputError: there is no such column.
    """
    features = rows.features
    of_kind = [name for name, feature in features.items() if isinstance(feature, kind)]
    found = given or next(iter([*of_kind, *(name for name in usual if name in features)]), None)
    if found not in features:
        field = "image" if "image" in usual else "label"
        raise InputError(f"{place}: which of its columns ({', '.join(features)}) is the {field}? give `{field}`")
    return str(found)


def _encoded(rows: Any, number: int, picture: str, place: str) -> Encoded:
    """The picture of a row."""
    where = f"{place}, row {number}"

    def content() -> bytes:
        found: bytes | None = rows[number][picture]["bytes"]
        if found is None:
            raise InputError(f"{where} has no picture; leave it out")
        return found

    return Encoded(where, content)
