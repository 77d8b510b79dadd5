"""Pictures of a synthetic set."""

import io

import numpy as np
import torch
from PIL import Image

from condensery.synthetic import SyntheticSet

__all__ = ["grid"]


def grid(synthetic: SyntheticSet, least: int = 64, most: int = 16) -> bytes:
    """A PNG in true colours: a row of pictures for every class, what its stored images decode to side by side.

    Arguments:
        synthetic: the set.
        least: pixels; smaller images are enlarged by a whole factor until their sides are at least this.
        most: pictures of a class; further ones are left out.
    """
    with torch.no_grad():
        pictures = synthetic.space.uint8(synthetic(images=min(most, synthetic.ipc)).x[:, :most]).cpu()
    zoom = max(1, -(-least // min(pictures.shape[-2:])))
    pictures = pictures.repeat_interleave(zoom, 3).repeat_interleave(zoom, 4)
    pictures = torch.nn.functional.pad(pictures, (1, 1, 1, 1), value=128)  # a grey line between pictures
    classes, n, channels, height, width = pictures.shape
    sheet = pictures.permute(0, 3, 1, 4, 2).reshape(classes * height, n * width, channels).numpy()
    file = io.BytesIO()
    Image.fromarray(np.squeeze(sheet, 2) if channels == 1 else sheet).save(file, "PNG")
    return file.getvalue()
