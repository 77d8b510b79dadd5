"""A reader for data sets of the Hugging Face hub, and for folders of parquet files with the same columns."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from condensery.data.arrays import from_arrays, held_out
from condensery.data.audio import spectrograms
from condensery.data.decoding import Encoded, decoded
from condensery.data.facts import FACTS, Facts
from condensery.data.imagenet import CLASSES
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
        repository: `owner/name`.
        facts: the key of `facts.FACTS`, if there is one.
        title: the name of the data set in tables. None: that of the facts, or else the one that it is asked for by.
        config: the name of the configuration; None: the only one.
        revision: the branch; None: the main one.
        image, label: the columns; None: the first of pictures, and the first of classes.
        test: the split that is the test part.
        classes: the names of the classes to read, in this order; a mapping also gives their ids on the hub, where they
            have other names. Empty: all classes.
        size: side of the pictures in pixels, if they differ in size.
    """

    repository: str
    facts: str | None = None
    title: str | None = None
    config: str | None = None
    revision: str | None = None
    image: str | None = None
    label: str | None = None
    test: str = "test"
    classes: Mapping[str, int] | Sequence[str] = ()
    size: int | None = None


_IMAGENET, _TEN = "ILSVRC/imagenet-1k", dict(list(CLASSES.items())[:10])
_WORDS = ("down", "go", "left", "no", "right", "stop", "up", "yes")


HUB: dict[str, Hub] = {
    "mnist": Hub("ylecun/mnist", "MNIST"),
    "fashionmnist": Hub("zalando-datasets/fashion_mnist", "FashionMNIST"),
    "usps": Hub("flwrlabs/usps", "USPS"),
    "svhn": Hub("ufldl-stanford/svhn", "SVHN", config="cropped_digits"),
    "cifar10": Hub("uoft-cs/cifar10", "CIFAR10", image="img"),
    "cifar100": Hub("uoft-cs/cifar100", "CIFAR100", image="img", label="fine_label"),
    "tinyimagenet": Hub("zh-plus/tiny-imagenet", title="TinyImageNet", test="valid"),
    "imagenet10": Hub(_IMAGENET, "ImageNet10", test="validation", classes=_TEN, size=224),
    "imagenet100": Hub(_IMAGENET, "ImageNet100", test="validation", classes=CLASSES, size=224),
    "speechcommands": Hub(
        "google/speech_commands", facts="speech", title="speechcommands", config="v0.01",
        revision="refs/convert/parquet", image="audio", label="label", classes=_WORDS,
    ),
}  # fmt: skip
"""The benchmarks of the papers.

The hub shows ImageNet only to users who are logged in and have accepted its terms. Of the speech commands, the eight
words of IDC are read, with the hub's own test part; IDC's thousand clips a word are a part of these.
"""


def hub(
    name: str,
    *,
    config: str | None = None,
    image: str | None = None,
    label: str | None = None,
    test: str | None = None,
    size: int | None = None,
) -> Data:
    """Read a data set of pictures or of sound clips from the hub, its cache here, or a folder of parquet files.

    Nothing of the data set is executed. Pictures are gray if all are gray, and RGB otherwise. Clips become spectrograms
    (see `audio_folder`).

    Arguments:
        name: a key of `HUB`; `owner/name`; or a folder whose parquet files the library `datasets` can load.
        config: the name of the configuration, if there are several.
        image: the column of pictures or clips. None: the first one of pictures, or else of clips.
        label: the column of classes. None: the first column of classes, or one called label, labels, target or class.
        test: the split that is the test part. None: `test`, or else `validation` or `valid`; if there is none, a fifth
            of every class is held out.
        size: see `image_folder`; None: 224 for ImageNet.

    Raises:
        InputError: the library `datasets` is not installed or older than 4 (or for clips, soundfile is not installed);
            there is no such data set, or no network; a column is missing; there are no training rows; or pictures or
            clips are unreadable, or pictures differ in size.
    """
    library = _datasets()
    known = HUB.get(name.lower(), Hub(name, test=""))
    place = known.repository
    if name.lower() not in HUB and not os.path.isdir(name) and name.count("/") != 1:
        raise InputError(f"{name!r} is no folder and no owner/name; known by name: {', '.join(HUB)}")
    train, held = _parts(library, known, config, test)
    columns = ("image", "img", "picture", "audio")
    content = _column(place, train, image or known.image, columns, (library.Image, library.Audio))
    target = _column(place, train, label or known.label, ("label", "labels", "target", "class"), library.ClassLabel)
    sound = isinstance(train.features[content], library.Audio)
    log.info(f"{place}: {'clips' if sound else 'pictures'} from the column {content}, classes from {target}")
    feature = train.features[target]
    names = tuple(feature.names) if isinstance(feature, library.ClassLabel) else None
    ids = _Ids(place, target, names, known.classes)
    train, held = _arranged(train, held, ids, place)
    y, y_test = ids(train), ids(held)
    x = _images(library, train, held, content, place, known.size if size is None else size)
    names = tuple(known.classes) or names
    if names is not None and len(present := sorted(set(y.tolist()))) < len(names):
        log.info(f"{place}: {len(present)} of {len(names)} classes have training images")
        names = tuple(names[c] for c in present)
    facts = FACTS[known.facts] if known.facts else FACTS["speech"] if sound else Facts()
    title = known.title or known.facts or Path(name).name
    tests = (x[len(y) :], y_test) if len(y_test) else (None, None)
    return from_arrays(x[: len(y)], y, *tests, class_names=names, name=title, facts=facts)


def _parts(library: "ModuleType", known: Hub, config: str | None, test: str | None) -> tuple[Any, Any]:
    """The training part and the test part, which is None if there is none; a warning says if the set is condensed.

    Raises:
        InputError: the data set cannot be loaded, or it has no training part or no split `test`.
    """
    place = known.repository
    try:
        with _quietly():
            parts = library.load_dataset(place, config or known.config, revision=known.revision)
    except Exception as error:  # the library raises many kinds of errors for no network, no such set, a wrong config
        words = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InputError(
            f"{place}: cannot be loaded ({words}); without a network, put a copy of its parquet files into a folder "
            "and give that folder in its place (hub:FOLDER)"
        ) from error
    train = parts.get("train")
    if train is None:
        raise InputError(f"{place}: has no split 'train' (but {', '.join(parts)}); it needs one")
    wanted = test or known.test
    usual = next((parts[name] for name in ("test", "validation", "valid") if name in parts), None)
    held = parts.get(wanted) if wanted else usual
    if test and held is None:
        raise InputError(f"{place}: has no split {test!r} (but {', '.join(parts)}); give one of them as `test`")
    card = Path(place, "README.md")
    if held is None and card.is_file() and "dataset-condensation" in card.read_text(errors="replace"):
        log.warning(
            f"{place} holds a condensed set; part of it becomes the test part, which says nothing about real images"
        )
    return train, held


def _arranged(train: Any, held: Any, ids: "_Ids", place: str) -> tuple[Any, Any]:
    """The rows of the wanted classes, with some held out if there is no test part; training rows class after class.

    Raises:
        InputError: no training rows are left.
    """
    train, held = ids.chosen(train), held and ids.chosen(held)
    if not len(train):
        raise InputError(f"{place}: its split 'train' has no rows of the classes to read; give another data set")
    if held is None:
        out = np.array(held_out(np.unique(ids(train), return_inverse=True)[1].tolist(), place))
        train, held = train.select(np.flatnonzero(~out)), train.select(np.flatnonzero(out))
    return train.select(np.argsort(ids(train), kind="stable")), held  # so that a class stands together in a mapped file


def _images(library: "ModuleType", train: Any, held: Any, column: str, place: str, size: int | None) -> np.ndarray:
    """The pictures or spectrograms of the training part and then of the test part; see `decoded`, `spectrograms`."""
    sound = isinstance(train.features[column], library.Audio)
    raw = (library.Audio if sound else library.Image)(decode=False)
    parts = [rows.cast_column(column, raw).select_columns([column]) for rows in (train, held)]
    # a row may name any file on this machine, so it must be one that belongs to a data set
    roots = [Path(root).resolve() for root in (place, library.config.HF_CACHE_HOME, library.config.HF_DATASETS_CACHE)]
    encoded = [_encoded(rows, n, column, place, roots) for rows in parts for n in range(len(rows))]
    if sound:
        return spectrograms(encoded, np.arange(len(encoded)) >= len(train), place)
    return decoded(encoded, size, place, lambda: " ".join(rows._fingerprint for rows in parts))


class _Ids:
    """Gives the class id of every row, counted from 0 in the order of `wanted` if only some classes are wanted.

    Arguments:
        place: the data set, for messages.
        column: the column of classes.
        names: the names of all classes on the hub, if it gives names.
        wanted: see `Hub.classes`.
    """

    def __init__(
        self, place: str, column: str, names: tuple[str, ...] | None, wanted: Mapping[str, int] | Sequence[str]
    ):
        self.place, self.column, self.ids = place, column, None
        if wanted and names:
            places = wanted.values() if isinstance(wanted, Mapping) else map(names.index, wanted)
            self.ids = np.full(len(names), -1)
            self.ids[list(places)] = np.arange(len(wanted))

    def __call__(self, rows: Any) -> np.ndarray:
        labels = rows[self.column][:]
        if None in labels:
            raise InputError(f"{self.place}, row {labels.index(None)} has no {self.column}; leave it out")
        if not all(isinstance(label, int | str) for label in labels):
            raise InputError(f"{self.place}: {self.column} does not have one label per row; name another column")
        return np.array(labels) if self.ids is None else self.ids[labels]

    def chosen(self, rows: Any) -> Any:
        """The rows of the wanted classes."""
        return rows if self.ids is None else rows.select(np.flatnonzero(self(rows) >= 0))


@contextmanager
def _quietly() -> Iterator[None]:
    """A context without the warnings of the hub's client, which warns twice for each try if there is no network."""
    client = logging.getLogger("huggingface_hub")
    before = client.level
    client.setLevel(logging.ERROR)
    try:
        yield
    finally:
        client.setLevel(before)


def _datasets() -> "ModuleType":
    """The library `datasets`.

    Raises:
        InputError: it is not installed, or older than 4.
    """
    try:
        import datasets
    except ImportError:
        raise InputError("the hub needs the library datasets: pip install datasets") from None
    if int(datasets.__version__.partition(".")[0]) < 4:
        raise InputError(
            f"datasets {datasets.__version__} can execute programs that come with a data set: pip install 'datasets>=4'"
        )
    return datasets


def _column(place: str, rows: Any, given: str | None, usual: tuple[str, ...], kinds: Any) -> str:
    """The name of a column: the given one, or the first of one of the kinds, or one with a usual name.

    Raises:
        InputError: there is no such column.
    """
    features = rows.features
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    of_kind = [name for kind in kinds for name, feature in features.items() if isinstance(feature, kind)]
    found = given or next(iter([*of_kind, *(name for name in usual if name in features)]), None)
    if found not in features:
        field = "image" if "image" in usual else "label"
        raise InputError(f"{place}: which of its columns ({', '.join(features)}) is the {field}? give `{field}`")
    return str(found)


def _encoded(rows: Any, number: int, column: str, place: str, roots: Sequence[Path]) -> Encoded:
    """The picture or clip of a row: its bytes, or those of the file in one of the folders `roots` that it names."""
    where = f"{place}, row {number}"

    def content() -> bytes:
        found = rows[number][column] or {}
        if found.get("bytes") is not None:
            given: bytes = found["bytes"]
            return given
        file = Path(found.get("path") or "").resolve()
        if file.is_file() and any(file.is_relative_to(root) for root in roots):
            return file.read_bytes()
        raise InputError(f"{where} has no {column}; leave it out")

    return Encoded(where, content)
