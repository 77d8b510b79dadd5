"""A reader for a folder of pictures with one subfolder per class."""

import io
import logging
import os
import time
import warnings
from collections.abc import Sequence, Set
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from condensery.data.arrays import from_arrays
from condensery.data.facts import Facts
from condensery.data.sets import Data
from condensery.errors import InputError, bounded

__all__ = ["files_of", "folders_of", "image_folder", "parts_of", "picture_of", "stacked"]

log = logging.getLogger("condensery")

logging.getLogger("PIL").addHandler(logging.NullHandler())  # keeps Pillow quiet: a bad picture gets one of our messages

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
# Pillow would start external programs for some other formats
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
_PIXELS = 2**26  # the most pixels of one picture; reading takes up to 13 bytes per pixel
_DEEP = {"I;16", "I;16B", "I;16L", "I", "F"}  # modes of more than 8 bits per channel, which Pillow would clip
_TRAIN, _TEST = ("train", "training"), ("test", "testing", "val", "valid", "validation")  # lowercase
_SECONDS = 5.0  # between two progress messages


def image_folder(path: str | Path, size: int | None = None) -> Data:
    """Read pictures from `<path>/<class>/*`, or from `<path>/train/<class>/*` with `test`, `val`, ... beside `train`.

    Images are gray if every picture is gray, and RGB otherwise; transparency is dropped. A photo is turned as its
    orientation tag says. Without a test part, one fifth of each class (at least one image) is held out by a stratified
    split with a fixed seed, and a log message reports it.

    Arguments:
        path: the folder.
        size: side of the images in pixels; the middle square of every picture is resized to it (bilinear,
            antialiased). Required if the pictures differ in size.

    Raises:
        InputError: the folder does not exist, a class has no pictures, a file is not a readable picture, sizes differ
            and `size` is None, the test part has a class that the training part lacks, or the pictures would take
            more memory than `errors.bounded` allows.
    """
    path = Path(path)
    if not os.path.isdir(path):
        raise InputError(f"{path}: no such folder; check the path")
    train_part, test_part = parts_of(path)
    names = tuple(folder.name for folder in folders_of(train_part))
    if not names:
        raise InputError(f"{train_part}: no class folders in it; put the pictures of each class in a subfolder")
    for folder in folders_of(test_part) if test_part is not None else ():
        if folder.name not in names:
            raise InputError(
                f"{folder}: this class has no folder in the training part; add training pictures or remove this folder"
            )
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
    if size is not None and size < 1:
        raise InputError(f"`size` must be at least 1 pixel, got {size}")
    files, labels = files_of(train_part, names)
    test_files, test_labels = files_of(test_part, names) if test_part is not None else ([], [])
    if test_part is not None and not test_files:
        raise InputError(f"{test_part}: no class folders in it; add test pictures or remove this folder")
    if size is not None:
        bounded(3 * len(files + test_files) * size**2, f"{path}: {len(files + test_files)} pictures of `size={size}`")
    pictures = _pictures(files + test_files, size, path)
    n = len(files)
    test = (pictures[n:], np.array(test_labels)) if test_part is not None else (None, None)
    return from_arrays(pictures[:n], np.array(labels), *test, class_names=names, source=path, name=name, facts=facts)


def folders_of(part: Path) -> list[Path]:
    """The class folders of a part of a data set, in the order of their names."""
    return sorted(p for p in part.iterdir() if p.is_dir() and not p.name.startswith("."))


def parts_of(path: Path) -> tuple[Path, Path | None]:
    """The folders of the training part and the test part; without a `train` subfolder, the folder itself and None."""
    folders = folders_of(path)
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
        InputError: a class folder has no such files.
    """
    files: list[Path] = []
    labels: list[int] = []
    for label, folder in enumerate(part / name for name in names):
        if not folder.is_dir():
            continue
        listed = sorted(p for p in folder.iterdir() if p.suffix.lower() in suffixes and not p.name.startswith("."))
        found = [p for p in listed if p.is_file()]  # reading a named pipe, for example, would never end
        if left := len(listed) - len(found):
            log.warning(f"{folder}: {left} of its {kind} are not regular files and are ignored")
        if not found:
            raise InputError(f"{folder}: no {kind} of this class; add some or remove the folder")
        files += found
        labels += [label] * len(found)
    return files, labels


def _pictures(files: list[Path], size: int | None, path: Path) -> np.ndarray:
    """All pictures as one array: (N, height, width) if all are gray, (N, height, width, 3) otherwise."""
    start = said = time.monotonic()
    pictures: list[np.ndarray] = []
    for file in files:
        like = (files[0], pictures[0].shape[:2]) if pictures and size is None else None
        picture = _open(file, size, like)
        if like and picture.shape[:2] != like[1]:  # sides swapped by the orientation tag
            raise _differing(like, (file, picture.shape[:2]))
        if not pictures:  # all have this size, and a color picture takes 3 bytes per pixel
            bounded(3 * len(files) * picture.shape[0] * picture.shape[1], f"{path}: its {len(files)} pictures")
        pictures.append(picture)
        if (now := time.monotonic()) - said > _SECONDS:
            said = now
            left = (now - start) / len(pictures) * (len(files) - len(pictures))
            log.info(f"{path}: {len(pictures)} of {len(files)} pictures read, about {left:.0f} s left")
    return stacked(pictures, str(path))


def stacked(pictures: Sequence[np.ndarray], where: str) -> np.ndarray:
    """Pictures as one array: (N, height, width) if all are gray, (N, height, width, 3) otherwise.

    Raises:
        InputError: they differ in size.
    """
    if len(sizes := {picture.shape[:2] for picture in pictures}) > 1:
        (height, width), (other_height, other_width) = sorted(sizes)[:2]
        raise InputError(
            f"{where}: pictures differ in size (one is {width}x{height}, another {other_width}x{other_height}); "
            "give one size for all pictures, for example `size=32`"
        )
    if any(picture.ndim == 3 for picture in pictures):
        pictures = [p if p.ndim == 3 else np.repeat(p[:, :, None], 3, axis=2) for p in pictures]
    return np.stack(pictures)


Sized = tuple[Path | str, tuple[int, ...]]
"""A picture and its (height, width)."""


def _differing(a: Sized, b: Sized) -> InputError:
    (first, (height, width)), (second, (other_height, other_width)) = a, b
    return InputError(
        f"pictures differ in size ({first} is {width}x{height}, {second} {other_width}x{other_height}); "
        "give one size for all pictures, for example `size=32`"
    )


def picture_of(content: bytes, where: str, size: int | None) -> np.ndarray:
    """The uint8 pixels of a picture in memory; see `image_folder`.

    Arguments:
        where: what holds it, for messages.

    Raises:
        InputError: it is not a readable picture.
    """
    return _open(where, size, None, io.BytesIO(content))


def _open(file: Path | str, size: int | None, like: Sized | None, content: io.BytesIO | None = None) -> np.ndarray:
    """The uint8 pixels of a picture: (height, width) if it is gray, (height, width, 3) otherwise.

    Arguments:
        file: the file, or with `content`, which holds the picture, what messages call it.
        like: an earlier picture whose size this one must have, checked before any pixel is decoded. None: no check.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about files that it repairs or finds large
            with Image.open(content or file, formats=_FORMATS) as opened:
                if opened.width * opened.height > _PIXELS:
                    raise InputError(
                        f"{file}: {opened.width} x {opened.height} pixels; the limit is {_PIXELS / 1e6:.0f} million; "
                        "make it smaller or remove it"
                    )
                if like and sorted(opened.size) != sorted(like[1]):
                    raise _differing(like, (file, (opened.height, opened.width)))
                if opened.mode in _DEEP:
                    raise InputError(f"{file}: more than 8 bits per channel ({opened.mode}); convert it to 8 bits")
                gray = opened.mode in ("1", "L", "LA")
                palette = opened.convert("RGBA") if opened.mode == "P" and "transparency" in opened.info else opened
                mode = "L" if gray else "RGB"
                picture = palette if palette.mode == mode else palette.convert(mode)
                ImageOps.exif_transpose(picture, in_place=True)
                if size is not None:
                    picture = _middle(picture, size)
    except InputError:
        raise
    except Exception as error:  # the file is untrusted: decoders raise many kinds of errors
        raise InputError(f"{file}: not a readable picture ({type(error).__name__}); replace or remove it") from error
    return np.asarray(picture)


def _middle(picture: Image.Image, size: int) -> Image.Image:
    """The middle square, resized. Only this square is resized, so that a long strip takes little memory."""
    side = min(picture.size)
    left, top = ((length - side) / 2 for length in picture.size)
    return picture.resize((size, size), Image.Resampling.BILINEAR, (left, top, left + side, top + side))
