"""A reader for a folder of pictures with one subfolder per class."""

import logging
import os
from collections.abc import Sequence, Set
from itertools import compress
from pathlib import Path

import numpy as np

from condensery.data.arrays import from_arrays, held_out
from condensery.data.decoding import Encoded, decoded
from condensery.data.facts import Facts
from condensery.data.files import reading
from condensery.data.sets import Data
from condensery.errors import InputError

__all__ = ["classes_of", "files_of", "image_folder", "read_parts"]

log = logging.getLogger("condensery")

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
_TRAIN, _TEST = ("train", "training"), ("test", "testing", "val", "valid", "validation")  # lowercase


def image_folder(path: str | Path, size: int | None = None) -> Data:
    """Read pictures from `<path>/<class>/*`, or from `<path>/train/<class>/*` with `test`, `val`, ... beside `train`.

    Images are gray if every picture is gray, and RGB otherwise; transparency is dropped. A photo is turned as its
    orientation tag says, and 16-bit gray becomes 8-bit gray. Without a test part, one fifth of each class (at least one
    image) is held out by a stratified split with a fixed seed, and a log message reports it.

    Arguments:
        path: the folder.
        size: side of the images in pixels; the middle square of every picture is resized to it (bilinear,
            antialiased). Required if the pictures differ in size.

    Raises:
        InputError: the folder does not exist, a class has no pictures, a file is not a readable picture, sizes differ
            and `size` is None, the test part has a class that the training part lacks, or the pictures fit neither into
            memory nor into the cache folder (see `decoding.decoded`).
    """
    path = Path(path)
    train_part, test_part, names = classes_of(path)
    return read_parts(path.resolve().name, path, train_part, test_part, names, size)


def read_parts(
    name: str,
    path: Path,
    train_part: Path,
    test_part: Path | None,
    names: tuple[str, ...],
    size: int | None,
    facts: Facts = Facts(),
) -> Data:
    """The pictures in the class folders `names` of each part; the class ids are in the order of `names`.

    Arguments:
        name: the name of the data set in tables.
        path: the folder that holds the parts, named in messages.
        train_part: the folder with the class folders of the training part. All of `names` must be there.
        test_part: the same for the test part, where a class may be missing. None: images are held out.
        names: the names of the class folders.
        size: see `image_folder`.
        facts: what recipes and protocols must know about the pictures.

    Raises:
        InputError: see `image_folder`.
    """
    files, labels = files_of(train_part, names)
    test_files, test_labels = files_of(test_part, names) if test_part is not None else ([], [])
    if test_part is None:  # chosen before decoding, so that the pictures of a part stand beside each other in a file
        held = held_out(labels, str(path))
        test_files, test_labels = list(compress(files, held)), list(compress(labels, held))
        kept = [not out for out in held]
        files, labels = list(compress(files, kept)), list(compress(labels, kept))
    every = [*files, *test_files]

    def fingerprint() -> str:
        facts = ((file.stat(), file.relative_to(path)) for file in every)
        lines = [str(path.resolve()), *(f"{name} {stat.st_size} {stat.st_mtime_ns}" for stat, name in facts)]
        return "\n".join(lines)

    pictures, n = decoded([Encoded(file) for file in every], size, str(path), fingerprint), len(files)
    test = (pictures[n:], np.array(test_labels)) if test_files else (None, None)
    return from_arrays(pictures[:n], np.array(labels), *test, class_names=names, source=path, name=name, facts=facts)


def classes_of(path: Path, kind: str = "pictures") -> tuple[Path, Path | None, tuple[str, ...]]:
    """The folders of the training part and the test part, which may be None, and the names of the class folders.

    Arguments:
        path: the folder that holds the parts.
        kind: what the files are, for messages.

    Raises:
        InputError: the folder does not exist or cannot be read, there are no class folders, or the test part has a
            class that the training part lacks.
    """
    if not os.path.isdir(path):
        raise InputError(f"{path}: no such folder; check the path")
    train_part, test_part = _parts_of(path)
    names = tuple(folder.name for folder in _folders_of(train_part))
    if not names:
        raise InputError(f"{train_part}: no class folders in it; put the {kind} of each class in a subfolder")
    if beside := [p.name for p in train_part.iterdir() if p.is_file() and not p.name.startswith(".")]:
        _tell_ignored(train_part, "in no class folder", sorted(beside))
    for folder in _folders_of(test_part) if test_part is not None else ():
        if folder.name not in names:
            raise InputError(
                f"{folder}: this class has no folder in the training part; add training {kind} or remove this folder"
            )
    return train_part, test_part, names


def _folders_of(part: Path) -> list[Path]:
    """The class folders of a part of a data set, in the order of their names."""
    with reading(part):
        return sorted(p for p in part.iterdir() if p.is_dir() and not p.name.startswith("."))


def _parts_of(path: Path) -> tuple[Path, Path | None]:
    """The folders of the training part and the test part; without a `train` subfolder, the folder itself and None."""
    folders = _folders_of(path)
    train = [p for p in folders if p.name.lower() in _TRAIN]
    tests = sorted((p for p in folders if p.name.lower() in _TEST), key=lambda p: _TEST.index(p.name.lower()))
    if len(train) > 1:
        raise InputError(f"{path}: {train[0].name}/ and {train[1].name}/ are both training parts; keep one")
    if not train:
        if tests:
            raise InputError(
                f"{path}: has {tests[0].name}/ but no train/; rename the folder of the training part to train/"
            )
        return path, None
    used = [*train, *tests[:1]]
    if left := [p.name for p in folders if p not in used]:
        about = f"{tests[0].name}/ is the test part" if tests else "there is no test part"
        log.warning(f"{path}: {about}; ignored: {', '.join(f'{name}/' for name in left)}")
    elif tests and (train[0].name != "train" or tests[0].name not in ("test", "val")):
        log.info(f"{path}: {train[0].name}/ is the training part, {tests[0].name}/ the test part")
    return train[0], tests[0] if tests else None


def files_of(
    part: Path, names: tuple[str, ...], suffixes: Set[str] = _SUFFIXES, kind: str = "pictures"
) -> tuple[list[Path], list[int]]:
    """The files of a part of a data set, class after class in the order of their names, and the class of each.

    Arguments:
        part: the folder that holds the class folders.
        names: the names of the class folders, of which some may be missing.
        suffixes: endings of the files, in lower case.
        kind: what the files are, for messages.

    Raises:
        InputError: there are no class folders, or one has no such files or cannot be read.
    """
    files: list[Path] = []
    labels: list[int] = []
    for label, folder in enumerate(part / name for name in names):
        if not folder.is_dir():
            continue
        with reading(folder):
            every = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
            listed = [p for p in every if p.suffix.lower() in suffixes]
            found = [p for p in listed if p.is_file()]  # reading a named pipe, for example, would never end
        if others := [p.name for p in every if p.suffix.lower() not in suffixes]:
            _tell_ignored(folder, f"not {kind}", others)
        if left := len(listed) - len(found):
            log.warning(f"{folder}: {left} of its {kind} are not regular files and are ignored")
        if not found:
            raise InputError(f"{folder}: no {kind} of this class; add some or remove the folder")
        files += found
        labels += [label] * len(found)
    if not files:
        raise InputError(f"{part}: no class folders in it; add {kind} or remove this folder")
    return files, labels


def _tell_ignored(folder: Path, why: str, names: Sequence[str]) -> None:
    """Log which files of a folder are not read."""
    log.info(f"{folder}: ignored, since they are {why}: {', '.join(names[:3])}{', ...' * (len(names) > 3)}")
