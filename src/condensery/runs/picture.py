"""Pictures of a synthetic set."""

import io
from math import isqrt

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from condensery.decoders import Factorized
from condensery.synthetic import SyntheticSet

__all__ = ["grid"]

_PIXELS = 2**24  # of a sheet, where images are enlarged


def grid(synthetic: SyntheticSet, least: int = 64, most: int = 16) -> bytes:
    """A PNG in true colors: a row of pictures per class, what its stored images decode to side by side.

    Of codes x decoders, a block for every class: the same code down, the same decoder across.

    Arguments:
        synthetic: the set.
        least: pixels; smaller images are enlarged by a whole factor until their sides are at least this, where that
            makes no sheet of many millions of pixels.
        most: pictures of a class, or codes and decoders, and 16 times as many classes; further ones are left out.
    """
    with torch.no_grad():
        shown = range(min(16 * most, synthetic.classes))
        pictures = synthetic.space.uint8(synthetic(shown, images=min(most, synthetic.bases_per_class)).x).cpu()
    crossed = isinstance(synthetic.decoder, Factorized)
    bases = min(most, synthetic.bases_per_class) if crossed else 1
    pictures = pictures.unflatten(1, (bases, -1))[:, :, :most]
    pictures = pictures.transpose(1, 2) if crossed else pictures  # (classes, down, across, channels, height, width)
    room = isqrt(_PIXELS // (pictures.numel() // pictures.shape[3]))
    zoom = max(1, min(-(-least // min(pictures.shape[-2:])), room))
    pictures = pictures.repeat_interleave(zoom, 4).repeat_interleave(zoom, 5)
    pictures = F.pad(pictures, (1, 1, 1, 1), value=128)  # a gray line between pictures
    classes, down, across, channels, height, width = pictures.shape
    blocks = pictures.permute(0, 3, 1, 4, 2, 5).reshape(classes, channels, down * height, across * width)
    if crossed:
        blocks = F.pad(blocks, (6, 6, 6, 6), value=128)
    columns = min(classes, max(1, round((classes * blocks.shape[2] / blocks.shape[3]) ** 0.5))) if crossed else 1
    blocks = F.pad(blocks, (0, 0, 0, 0, 0, 0, 0, -classes % columns), value=128).unflatten(0, (-1, columns))
    sheet = blocks.permute(0, 3, 1, 4, 2).flatten(0, 1).flatten(1, 2).numpy()
    file = io.BytesIO()
    Image.fromarray(np.squeeze(sheet, 2) if channels == 1 else sheet).save(file, "PNG")
    return file.getvalue()
