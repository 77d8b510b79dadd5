"""A folder of pictures, one sub-folder a class."""

import logging
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from condensery.data.memory import from_arrays
from condensery.data.sets import Data
from condensery.errors import InputError

__all__ = ["image_folder"]

log = logging.getLogger("condensery")

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
_DEEP = {"I;16", "I;16B", "I;16L", "I", "F"}  # more than 8 bits a channel: Pillow would cut them off


def image_folder(path: str | Path, size: int | None = None) -> Data:
    """Data from `<path>/<class>/*`, or `<path>/train/<class>/*` with `test` or `val` beside `train`.

    Grey if every picture is grey, RGB otherwise (transparency is dropped). Without a test part a fifth of every
    class is held out (seeded, stratified, said aloud).

    Arguments:
        path: the folder.
        size: pixels; every picture's shorter side is resized to it (bilinear, antialiased), then the middle square
            is cut out. Needed where sizes differ.

    Raises:
        InputError: no such folder, a class without pictures, a file that is no picture, sizes that differ
            without `size`, a class in the test part that the training part lacks.
    """
    path = Path(path)
    if not path.is_dir():
        raise InputError(f"{path}: no such folder")
    if size is not None and size < 1:
        raise InputError(f"--size must be at least 1 pixel, got {size}")
    train_part = path / "train"
    test_part = next((path / part for part in ("test", "val") if (path / part).is_dir()), None)
    if (path / "test").is_dir() and (path / "val").is_dir():
        log.info(f"{path}: test/ is the test part; val/ is left alone")
    if not train_part.is_dir():
        if test_part is not None:
            raise InputError(f"{path}: has {test_part.name}/ but no train/; name the training part train/")
        train_part = path
    names = tuple(sorted(p.name for p in train_part.iterdir() if p.is_dir() and not p.name.startswith(".")))
    if not names:
        raise InputError(f"{train_part}: no class folders in it; put each class's pictures in a sub-folder of its own")

    files, labels = _list(train_part, names)
    test_files, test_labels = _list(test_part, names) if test_part is not None else ([], [])
    pictures = [_open(file, size) for file in files + test_files]
    shapes = {picture.shape[:2]: file for picture, file in zip(pictures, files + test_files, strict=True)}
    if len(shapes) > 1:
        (a, first), (b, second) = list(shapes.items())[:2]
        raise InputError(
            f"{path}: pictures differ in size ({first} is {a[1]}x{a[0]}, {second} {b[1]}x{b[0]}); "
            "give one size, for example --size 32"
        )
    if test_part is not None and not test_files:
        raise InputError(f"{test_part}: no class folders in it; add test pictures or remove it")
    if any(picture.ndim == 3 for picture in pictures):
        pictures = [p if p.ndim == 3 else np.repeat(p[:, :, None], 3, axis=2) for p in pictures]
    stack = np.stack(pictures)
    n = len(files)
    test = (stack[n:], np.array(test_labels)) if test_part is not None else (None, None)
    return from_arrays(path.resolve().name, stack[:n], np.array(labels), *test, class_names=names, source=path)


def _list(part: Path, names: tuple[str, ...]) -> tuple[list[Path], list[int]]:
    files: list[Path] = []
    labels: list[int] = []
    for folder in sorted(p for p in part.iterdir() if p.is_dir() and not p.name.startswith(".")):
        if folder.name not in names:
            raise InputError(
                f"{folder}: this class has no folder in the training part; its label is beyond the classes"
            )
        found = sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES and not p.name.startswith("."))
        if not found:
            raise InputError(f"{folder}: no picture in this class; add some or remove the folder")
        files += found
        labels += [names.index(folder.name)] * len(found)
    return files, labels


def _open(file: Path, size: int | None) -> np.ndarray:
    """(height, width) uint8 for a grey picture, (height, width, 3) otherwise."""
    try:
        with Image.open(file) as opened:
            if opened.mode in _DEEP:
                raise InputError(f"{file}: more than 8 bits a channel ({opened.mode}); convert it to 8 bits first")
            grey = opened.mode in ("1", "L", "LA")
            palette = opened.convert("RGBA") if opened.mode == "P" and "transparency" in opened.info else opened
            picture = palette.convert("L" if grey else "RGB")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{file}: not a readable picture ({type(error).__name__}); replace or remove it") from error
    if size is not None:
        scale = size / min(picture.size)
        width, height = (max(size, round(side * scale)) for side in picture.size)
        left, top = (width - size) // 2, (height - size) // 2
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        picture = picture.crop((left, top, left + size, top + size))
    return np.asarray(picture)
