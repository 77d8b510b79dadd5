"""Pictures for a page: images as data URIs, and the real images that are nearest to synthetic ones."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from condensery.data import RealSet
from condensery.runs.condensed import Condensed

__all__ = ["Nearest", "nearest", "preview", "uri"]

_LOSSLESS = 2**20  # a page keeps images without loss as long as they have no more values than this together
_PREVIEW = 720  # the longest side of a preview, in pixels


@dataclass(frozen=True)
class Nearest:
    """The real training row that is nearest to a synthetic row.

    Arguments:
        pixels: uint8, shape (channels, height, width).
        label: its class.
        distance: the root mean square of the differences of the pixels, as a fraction of white.
    """

    pixels: Tensor
    label: int
    distance: float


@torch.no_grad()
def nearest(condensed: Condensed, real: RealSet, rows: Sequence[int]) -> list[Nearest]:
    """For some decoded rows of a set, the nearest rows of the whole training part, in the space of pixels.

    Arguments:
        rows: indices of the rows, in the order of `condensed.tensors()`.
    """
    own = condensed.tensors(space="unit")[0][list(rows)].flatten(1).float()
    best, place = torch.full((len(own),), torch.inf), torch.zeros(len(own), dtype=torch.long)
    step = max(1, 2**26 // own.shape[1])
    for start in range(0, len(real), step):
        unit = real.space.unit(real.read(slice(start, start + step))).clamp(0, 1).flatten(1).float().cpu()
        distance, index = torch.cdist(own, unit).min(1)
        closer = distance < best
        best, place = torch.where(closer, distance, best), torch.where(closer, index + start, place)
    pixels, labels = real.space.uint8(real.read(place)).cpu(), real.labels[place].tolist()
    scale = own.shape[1] ** -0.5
    return [Nearest(*each) for each in zip(pixels, labels, (best * scale).tolist(), strict=True)]


def uri(pixels: Tensor, many: int = 1) -> str:
    """An image as a data URI: PNG, or WebP with little loss if the page has too many images for PNG.

    Arguments:
        pixels: uint8, shape (channels, height, width).
        many: the number of values of all images of the page.
    """
    array = pixels.movedim(0, 2).numpy()
    picture = Image.fromarray(np.ascontiguousarray(array[:, :, 0] if array.shape[2] == 1 else array))
    if many <= _LOSSLESS:
        return _encoded(picture, "PNG", optimize=True)
    return _encoded(picture, "WEBP", quality=80)


def preview(path: Path) -> str:
    """A preview of a run as a data URI, made smaller if it is large."""
    with Image.open(path, formats=("PNG",)) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((_PREVIEW, _PREVIEW), Image.Resampling.BOX)
    return _encoded(picture, "WEBP", quality=75)


def _encoded(picture: Image.Image, kind: str, **options: int | bool) -> str:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
