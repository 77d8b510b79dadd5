"""Pictures in files or in memory as one array of pixels, which is kept in a file if it is larger than memory allows."""

import hashlib
import io
import logging
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from PIL import Image
from PIL import __version__ as pillow

from condensery.errors import InputError, bounded, memory_limit
from condensery.runs import storage

__all__ = ["Encoded", "decoded"]

log = logging.getLogger("condensery")

logging.getLogger("PIL").addHandler(logging.NullHandler())  # keeps Pillow quiet: a bad picture gets one of our messages

# Pillow would start external programs for some other formats
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
_PIXELS = 2**26  # the most pixels of one picture; reading takes up to 13 bytes per pixel
_DEEP = ("I;16", "I;16B", "I;16L", "I")  # modes of gray with 16 bits per pixel, which Pillow would clip
_GRAY = ("1", "L", "LA", *_DEEP)
_ORIENTATION, _BITS, _PHOTOMETRIC = 274, 258, 262  # tags of EXIF and of TIFF
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
"""What turns a picture upright, by its orientation tag."""
_VERSION = 2
"""To be increased whenever pictures are decoded to other pixels than before; kept ones are then decoded again."""
_ROOM = 100  # this many pictures of a set that is larger than memory must fit, for minibatches
_SECONDS = 5.0  # between two progress messages
_SAVED = 30.0  # seconds between two times that the decoded part of a large set is written to disk


@dataclass(frozen=True)
class Encoded:
    """A picture that has not been decoded: a file, or its content in memory.

    Arguments:
        where: the file; or what messages call the content.
        content: gives the bytes of the picture. None: `where` is a file.
    """

    where: Path | str
    content: Callable[[], bytes] | None = None

    def opened(self) -> Image.Image:
        """The picture, of which only the head has been read.

        Raises:
            InputError: it has too many pixels, or they are floating-point numbers.
            Exception: the content is damaged; decoders raise many kinds of errors.
        """
        try:
            picture = Image.open(io.BytesIO(self.content()) if self.content else self.where, formats=_FORMATS)
        except Image.DecompressionBombError as error:
            raise InputError(f"{self.where}: too many pixels ({error}); make it smaller or remove it") from error
        wrong = None
        if picture.width * picture.height > _PIXELS:
            size = f"{picture.width} x {picture.height} pixels"
            wrong = f"{size}; the limit is {_PIXELS / 1e6:.0f} million; make it smaller or remove it"
        if picture.mode == "F":
            wrong = "its pixels are floating-point numbers; convert it to 8 or 16 bits"
        if wrong:
            picture.close()
            raise InputError(f"{self.where}: {wrong}")
        return picture


def decoded(pictures: Sequence[Encoded], size: int | None, where: str, fingerprint: Callable[[], str]) -> np.ndarray:
    """The uint8 pixels of pictures: (N, height, width) if all are gray, (N, height, width, 3) otherwise.

    Transparency is dropped, and a photo is turned as its orientation tag says. Gray of 16 bits is reduced to 8 bits,
    which a log message reports.

    An array that would take more memory than `errors.bounded` allows is mapped from a file of the cache folder (see
    CONDENSERY_CACHE), into which the pictures are decoded once; its shape is then (N, channels, height, width).
    Decoding that is interrupted goes on where it stopped. A hundred pictures must fit into memory.

    Arguments:
        size: side in pixels, to which the middle square of every picture is resized; None: no resizing.
        where: the folder or data set, for messages.
        fingerprint: returns a text that identifies the pictures, as the name of the file depends on it.

    Raises:
        InputError: a picture cannot be read, pictures differ in size and `size` is None, `size` is below 1, or the
            array is too large, and caching is off or the disk is full.
    """
    if size is not None and size < 1:
        raise InputError(f"`size` must be at least 1 pixel, got {size}")
    reader = _Reader(where, size, len(pictures))
    sides = reader.sides(pictures) if size is None else (size, size)
    needed = 3 * len(pictures) * prod(sides)
    cache = storage.cache("pictures")
    if memory_limit() < needed and 3 * prod(sides) < memory_limit() / _ROOM and cache is not None:
        about = f"{fingerprint()}, {len(pictures)} at {size}, {_VERSION}, {pillow}"
        key = hashlib.blake2b(os.fsencode(about), digest_size=16).hexdigest()
        return _mapped(pictures, cache / key, sides, reader)
    bounded(needed, f"{where}: {len(pictures)} pictures" + ("" if size is None else f" of `size={size}`"))
    reader.begin()
    images = np.empty((len(pictures), *sides), np.uint8)  # filled in place, since a list would take the memory twice
    damaged: list[_Damaged] = []
    for n, picture in enumerate(pictures):
        try:
            pixels = reader.read(picture)
        except _Damaged as error:  # the rest is read, too, so that one message names all that are damaged
            damaged.append(error)
            continue
        if pixels.ndim == 3 and images.ndim == 3:  # the first picture in color
            gray, images = images[:n], np.empty((*images.shape, 3), np.uint8)
            images[:n] = gray[..., None]
        images[n] = pixels if pixels.ndim == images.ndim - 1 else pixels[..., None]
    if len(damaged) == 1:
        raise damaged[0]
    if damaged:
        some = ", ".join("/".join(Path(each.picture.where).parts[-2:]) for each in damaged[:10])
        more = f" and {len(damaged) - 10} others" if len(damaged) > 10 else ""
        what = f"{where}: {len(damaged)} pictures are not readable, perhaps damaged or truncated"
        raise InputError(f"{what}: {some}{more}; replace or remove them")
    return images


def _mapped(pictures: Sequence[Encoded], folder: Path, sides: tuple[int, ...], reader: "_Reader") -> np.ndarray:
    """The pictures as an array that is mapped from a file in `folder`, which is written first if it is not there."""
    done = folder / "pictures.npy"
    if not os.path.isfile(done):
        folder.mkdir(parents=True, exist_ok=True)
        with storage.locked(folder, wait=True):
            if not done.is_file():  # another process may have written it meanwhile
                _write(done, pictures, sides, reader)
    mapped: np.ndarray = np.load(done, mmap_mode="c")
    return mapped


def _write(done: Path, pictures: Sequence[Encoded], sides: tuple[int, ...], reader: "_Reader") -> None:
    """Decode the pictures into the file `done`, going on where an interrupted process stopped."""
    folder = done.parent
    part, count = folder / "part.npy", folder / "decoded"
    gray = all(reader.gray(picture) for picture in pictures)
    shape = (len(pictures), 1 if gray else 3, *sides)
    start = int(count.read_text()) if part.is_file() and count.is_file() else 0
    missing = prod(shape) - (part.stat().st_blocks * 512 if start else 0)
    if missing > shutil.disk_usage(folder).free:
        raise InputError(
            f"{reader.where}: {prod(shape) / 2**30:,.1f} GB of decoded pictures do not fit on the disk of "
            f"{folder.parent}; set CONDENSERY_CACHE to a folder on a larger disk"
        )
    log.info(f"{reader.where}: its pictures are decoded once, into {done} ({prod(shape) / 2**30:,.1f} GB)")
    array = np.lib.format.open_memmap(part, "r+" if start else "w+", np.uint8, shape)
    saved = time.monotonic()
    reader.begin(start)
    for n in range(start, len(pictures)):
        pixels = reader.read(pictures[n])
        array[n] = pixels if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        if time.monotonic() - saved > _SAVED:
            array.flush()
            storage.write(count, str(n + 1).encode())
            saved = time.monotonic()
    array.flush()
    os.replace(part, done)
    count.unlink(missing_ok=True)


@contextmanager
def _opened(picture: Encoded) -> Iterator[Image.Image]:
    """The picture, of which only the head has been read; any error in the block becomes an `InputError`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about files that it repairs or finds large
            with picture.opened() as opened:
                yield opened
    except InputError:
        raise
    except Exception as error:  # the file is untrusted: decoders raise many kinds of errors
        words = f"not a readable picture, perhaps damaged or truncated ({type(error).__name__})"
        raise _Damaged(f"{picture.where}: {words}; replace or remove it", picture) from error


class _Damaged(InputError):
    """A picture is not readable."""

    def __init__(self, words: str, picture: Encoded):
        super().__init__(words)
        self.picture = picture


class _Reader:
    """Decodes pictures one after another, checks that their sizes agree, and shows progress."""

    def __init__(self, where: str, size: int | None, total: int):
        self.where, self.size, self.total = where, size, total
        self.first: tuple[Path | str, tuple[int, ...]] | None = None
        self.deep = False
        self.begin()

    def begin(self, count: int = 0) -> None:
        """Start to show progress, after `count` pictures that have been read before."""
        self.before = self.count = count
        self.start = self.said = time.monotonic()

    def read(self, picture: Encoded) -> np.ndarray:
        """The uint8 pixels: (height, width) if it is gray, (height, width, 3) otherwise."""
        with _opened(picture) as opened:
            if self.first and sorted(opened.size) != sorted(self.first[1]):  # before any pixel is decoded
                raise self._differing(picture, (opened.height, opened.width))
            pixels = self._pixels(opened, picture)
        if self.size is None:
            self.first = self.first or (picture.where, pixels.shape[:2])
            if pixels.shape[:2] != self.first[1]:  # sides swapped by the orientation tag
                raise self._differing(picture, pixels.shape[:2])
        self.count += 1
        if (now := time.monotonic()) - self.said > _SECONDS:
            self.said = now
            left = (now - self.start) / (self.count - self.before) * (self.total - self.count)
            log.info(f"{self.where}: {self.count} of {self.total} pictures read, about {left:.0f} s left")
        return pixels

    def sides(self, pictures: Sequence[Encoded]) -> tuple[int, ...]:
        """Height and width of the first picture that can be read."""
        for picture in pictures:
            with suppress(_Damaged):
                return self.read(picture).shape[:2]
        return self.read(pictures[0]).shape[:2]  # which is refused

    def gray(self, picture: Encoded) -> bool:
        """Whether a picture is gray, from its head alone."""
        with _opened(picture) as opened:
            return opened.mode in _GRAY

    def _pixels(self, opened: Image.Image, picture: Encoded) -> np.ndarray:
        if opened.mode in _DEEP:
            opened = self._eight_bits(opened, picture)
        if opened.mode == "P" and "transparency" in opened.info:
            opened = opened.convert("RGBA")
        mode = "L" if opened.mode in _GRAY else "RGB"
        image = opened if opened.mode == mode else opened.convert(mode)
        image = _upright(image)
        return np.asarray(image if self.size is None else _middle(image, self.size))

    def _eight_bits(self, opened: Image.Image, picture: Encoded) -> Image.Image:
        """A gray picture of 16 bits with 8 bits, so that 65535 becomes 255."""
        values, tags = np.asarray(opened), getattr(opened, "tag_v2", {})
        bits = min(16, *tags.get(_BITS, (16,)))  # in a TIFF, a pixel may have 12
        white = 2**bits - 1
        if values.min() < 0 or values.max() > white:
            raise InputError(
                f"{picture.where}: has pixels below 0 or above {white}; convert it to 8 bits, or to 16 without a sign"
            )
        if not self.deep:
            self.deep = True
            log.info(f"{self.where}: gray pictures of {bits} bits are reduced to 8 bits ({white} becomes 255)")
        shades = (values.astype(np.uint32) * 255 + white // 2) // white
        reduced = Image.fromarray((255 - shades if tags.get(_PHOTOMETRIC) == 0 else shades).astype(np.uint8))
        reduced.info = opened.info
        return reduced

    def _differing(self, other: Encoded, sides: tuple[int, ...]) -> InputError:
        assert self.first
        (first, (height, width)), (other_height, other_width) = self.first, sides
        return InputError(
            f"pictures differ in size ({first} is {width}x{height}, {other.where} {other_width}x{other_height}); "
            "give one size for all pictures, for example `size=32`"
        )


def _upright(picture: Image.Image) -> Image.Image:
    """The picture, turned as its orientation tag says.

    `ImageOps.exif_transpose` also writes the other tags again, and fails if one of them is not as it should be.
    """
    try:
        turn = _TURNS.get(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # tags that cannot be read turn nothing
        turn = None
    return picture if turn is None else picture.transpose(turn)


def _middle(picture: Image.Image, size: int) -> Image.Image:
    """The middle square, resized. Only this square is resized, so that a long strip takes little memory."""
    side = min(picture.size)
    left, top = ((length - side) / 2 for length in picture.size)
    return picture.resize((size, size), Image.Resampling.BILINEAR, (left, top, left + side, top + side))
