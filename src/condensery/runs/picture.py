"""Pictures of a synthetic set."""

import io
import unicodedata
from collections.abc import Sequence
from math import ceil, isqrt

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F

from condensery.decoders import Factorized
from condensery.errors import plain
from condensery.synthetic import SyntheticSet

__all__ = ["ROWS", "classes_shown", "grid", "png"]

ROWS = 16  # a picture shows at most this many classes for each column of images

_GRAY, _LINE = 128, 16  # the color between pictures, and the height of a line of text
_PIXELS = 2**24  # images are enlarged only as far as the whole picture stays below this many pixels


def grid(synthetic: SyntheticSet, names: Sequence[str] = (), least: int = 64, most: int = 16) -> Image.Image:
    """A picture of the decoded images in their true colors, one row per class.

    For codes and decoders, one block per class instead, with a column for each code and a row for each decoder.

    Arguments:
        synthetic: the synthetic set.
        names: the names of the classes, written to the left of the rows or above the blocks; none: no names.
        least: side in pixels to which smaller images are enlarged, by an integer factor that is limited so that the
            whole picture stays below 2^24 pixels.
        most: largest number of images per class, or of codes and of decoders; `classes_shown` limits the classes.

    Raises:
        InputError: the images would take more memory than `errors.bounded` allows.
    """
    crossed = isinstance(synthetic.decoder, Factorized)
    needed = min(most, synthetic.bases_per_class) if crossed else _enough(synthetic, most)
    shown = range(min(classes_shown(most), synthetic.classes))
    pictures = torch.cat([_pictures(synthetic, c, needed, crossed)[:, :, :most] for c in shown])
    pictures = pictures.transpose(1, 2) if crossed else pictures  # (classes, down, across, channels, height, width)
    room = isqrt(_PIXELS // (pictures.numel() // pictures.shape[3]))
    zoom = max(1, min(-(-least // min(pictures.shape[-2:])), room))
    pictures = pictures.repeat_interleave(zoom, 4).repeat_interleave(zoom, 5)
    pictures = F.pad(pictures, (1, 1, 1, 1), value=_GRAY)  # a gray line between pictures
    classes, down, across, channels, height, width = pictures.shape
    blocks = pictures.permute(0, 3, 1, 4, 2, 5).reshape(classes, channels, down * height, across * width)
    if crossed:
        blocks = F.pad(blocks, (6, 6, 6 + (_LINE if names else 0), 6), value=_GRAY)
    columns = min(classes, max(1, round((classes * blocks.shape[2] / blocks.shape[3]) ** 0.5))) if crossed else 1
    blocks = F.pad(blocks, (0, 0, 0, 0, 0, 0, 0, -classes % columns), value=_GRAY).unflatten(0, (-1, columns))
    sheet = blocks.permute(0, 3, 1, 4, 2).flatten(0, 1).flatten(1, 2).numpy()
    image = Image.fromarray(np.squeeze(sheet, 2) if channels == 1 else sheet)
    if not names:
        return image
    side, step = (0 if crossed else _width(names[:classes]) + 8), (blocks.shape[3], blocks.shape[4])
    canvas = Image.new("L", (image.width + side, image.height), _GRAY if crossed else 255).convert(image.mode)
    canvas.paste(image, (side, 0))
    pen = ImageDraw.Draw(canvas)
    for i, name in enumerate(names[:classes]):
        top, left = (i // columns) * step[0], (i % columns) * step[1]
        place, anchor = ((left + 8, top + _LINE), "ls") if crossed else ((side - 4, top + step[0] // 2), "rm")
        pen.text(place, _short(name), fill=0 if image.mode == "L" else (0, 0, 0), font=_font(), anchor=anchor)
    return canvas


def _pictures(synthetic: SyntheticSet, c: int, bases: int, crossed: bool) -> Tensor:
    """The pictures (1, blocks, rows, ...) of the first bases of a class: a block for each code, or one for all."""
    decoded = synthetic.decoded(range(c, c + 1), images=bases).x  # class by class, which takes less memory
    return synthetic.space.uint8(decoded).cpu().unflatten(1, (bases if crossed else 1, -1))


def _enough(synthetic: SyntheticSet, most: int) -> int:
    """The smallest number of leading bases that make at least `most` rows per class; all of them if there is none."""
    bases = synthetic.bases_per_class
    return next((n for n in range(1, bases) if synthetic.rows_of_first(n) >= most), bases)


def classes_shown(most: int) -> int:
    """The largest number of classes in a picture with at most `most` images per class: 256, or more if `most` > 16."""
    return ROWS * max(most, 16)


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(12)


def _short(name: str) -> str:
    """The name as one line of at most 24 characters, without the accents that the font lacks."""
    words = plain(" ".join(unicodedata.normalize("NFKD", name).split()))
    words = "".join(character for character in words if not unicodedata.combining(character))
    return words if len(words) <= 24 else f"{words[:21]}..."


def _width(names: Sequence[str]) -> int:
    """The width in pixels of the longest name."""
    return max(ceil(_font().getlength(_short(name))) for name in names)


def png(picture: Image.Image) -> bytes:
    """The bytes of a PNG file with the picture."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
