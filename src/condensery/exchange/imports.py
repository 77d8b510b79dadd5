"""Condensed sets in the files of the papers' released programs.

The files do not say in which pixel space their images are, so each layout states what its program writes, and where
the program writes several, you must say which.
"""

import os
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from condensery.data import Data
from condensery.data.archives import archive
from condensery.decoders import Decoder, Uniform
from condensery.errors import InputError, bounded
from condensery.runs.condensed import Condensed
from condensery.runs.run import origin
from condensery.synthetic import SyntheticSet

__all__ = ["Layout", "Space", "import_set"]

Layout = Literal["vico", "idc", "mtt", "kip"]
Space = Literal["normalized", "unit", "zca"]

_SPACES: dict[str, Space | None] = {"vico": "normalized", "idc": "unit", "mtt": None, "kip": None}
"""The pixel space that a program writes. None: it depends on the options of the run."""
_PROGRAMS = "check which program wrote it (vico, idc, mtt or kip)"
_METHODS = {"vico": "dc", "idc": "idc", "mtt": "mtt", "kip": "kip"}


def import_set(
    path: str | Path,
    layout: Layout,
    data: Data,
    *,
    space: Space | None = None,
    labels: str | Path | None = None,
    factor: int | None = None,
    experiment: int = 0,
    method: str | None = None,
) -> Condensed:
    """Read a condensed set that a released program of a paper has written. Nothing in the file is executed.

    Arguments:
        path: the file.
        layout: `"vico"`: the programs of DC, DSA and DM, `res_*.pt`: several experiments, normalized pixels;
            `"idc"`: `data.pt` or `data_best.pt`: pixels from 0 to 1, several rows per image;
            `"mtt"`: `images_*.pt` with `labels_*.pt` beside it: normalized or whitened pixels;
            `"kip"`: `*.npz` with `images` and `labels`: normalized or whitened pixels.
        data: the data set that it was condensed from. It gives names to the classes and normalizes the rows.
        space: the pixel space of the images; needed for mtt and kip. `"zca"`: normalized and then whitened.
        labels: mtt: the file of the labels. None: that of the images with `labels` in its name for `images`.
        factor: idc: cells along each side of a stored image, from 1 to 32. None: 2.
        experiment: vico: which of the experiments in the file.
        method: the name of the method in tables. None: dc, idc, mtt or kip.

    Raises:
        InputError: the file does not exist, is damaged, too large or has another layout, its images or classes are not
            those of the data, classes have different numbers of images, `space` is missing or unknown, the data are
            whitened and the file is not, or an option belongs to another layout.

    Departs: whitening is computed from the training part as `Data.whitened` does, which regularizes it in another way
        than the programs of MTT and KIP; KIP's labels, which are targets of a regression, become hard labels.
    """
    if layout not in get_args(Layout):
        raise InputError(f"unknown layout {layout!r}; give one of {', '.join(get_args(Layout))}")
    options = {"factor": ("idc", factor is not None), "labels": ("mtt", labels is not None),
               "experiment": ("vico", experiment != 0)}  # fmt: skip
    for name, (owner, given) in options.items():
        if given and layout != owner:
            raise InputError(f"`{name}` belongs to the layout {owner}, not to {layout}; leave it out")
    if (written := space or _SPACES[layout]) is None:
        raise InputError(f"{path}: the file does not say how its pixels are scaled; give `space`: normalized or zca")
    if written not in get_args(Space):
        raise InputError(f"unknown pixel space {written!r} (`space`); give one of {', '.join(get_args(Space))}")
    if data.train.space.whitening and written != "zca":
        raise InputError(
            f"{data.name} is whitened, and the images of the file are {written}; leave out `zca`, or give `space`: zca"
        )
    path = Path(path)
    if layout == "kip":
        images, targets = _of_kip(path)
    else:
        images, targets = _of_torch(path, layout, labels, experiment)
    if written == "zca":
        data = data.whitened()
    rows = _sorted(path, images, targets, data)
    factor = 2 if factor is None else factor
    decoder: Decoder | None = Uniform(factor) if layout == "idc" and factor != 1 else None
    stored: Literal["normalized", "unit"] = "unit" if written == "unit" else "normalized"
    real = data.train
    about = {"name": method or _METHODS[layout], "ipc": rows.shape[1], "layout": layout, "file": path.name}
    synthetic = SyntheticSet(rows, replace(real.space, stored=stored), decoder)
    return Condensed(synthetic, data.class_names, about, 0, origin(real))


def _sorted(path: Path, images: Tensor, labels: Tensor, data: Data) -> Tensor:
    """The images class after class, shape (C, ipc, channels, height, width).

    Raises:
        InputError: they do not fit the data.
    """
    classes = data.train.classes
    if images.ndim != 4 or tuple(images.shape[1:]) != data.shape:
        raise InputError(
            f"{path}: images of shape {tuple(images.shape)}, but those of {data.name} are {data.shape}; give the data "
            "that it was condensed from"
        )
    if labels.shape != images.shape[:1]:
        raise InputError(
            f"{path}: {len(images)} images and labels {tuple(labels.shape)}, which do not belong together; {_PROGRAMS}"
        )
    if not torch.isfinite(images).all():
        raise InputError(f"{path}: its images contain NaN or infinity")
    order = torch.argsort(labels, stable=True)
    wanted = torch.arange(classes).repeat_interleave(len(labels) // classes)
    if not len(labels) or not torch.equal(labels[order], wanted):
        raise InputError(
            f"{path}: its {len(images)} images are not equally many of each of the {classes} classes of {data.name}"
        )
    return images[order].float().unflatten(0, (classes, -1)).contiguous()


def _of_torch(path: Path, layout: str, labels: str | Path | None, experiment: int) -> tuple[Tensor, Tensor]:
    """Images and labels in a `.pt` file of the program of VICO, IDC or MTT."""
    content = _loaded(path)
    if layout == "mtt":
        if labels is None:
            labels = path.with_name(path.name.replace("images", "labels"))
            if labels == path:
                raise InputError(f"{path}: which file has its labels? give `labels`")
        content = [content, _loaded(Path(labels))]
    elif layout == "vico":
        runs = content.get("data") if isinstance(content, dict) else None
        if not isinstance(runs, list):
            raise InputError(f"{path}: no list of runs in it, so DC's program did not write it; {_PROGRAMS}")
        if not 0 <= experiment < len(runs):
            raise InputError(f"{path}: has experiments 0 to {len(runs) - 1}, not {experiment} (`experiment`)")
        content = runs[experiment]
    match content:
        case [Tensor() as images, Tensor() as targets, *_] if images.is_floating_point() and _dense(images, targets):
            # a few bytes of a file may be repeated to any size
            bounded(8 * (images.numel() + targets.numel()), f"{path}: its images and labels")
            return images.detach(), targets.detach().long()
        case _:
            raise InputError(f"{path}: not images and labels, so another program wrote it; {_PROGRAMS}")


def _dense(*tensors: Tensor) -> bool:
    """Whether tensors are plain arrays of real numbers in memory."""
    return all(
        tensor.layout == torch.strided
        and tensor.device.type == "cpu"
        and not (tensor.is_nested or tensor.is_quantized or tensor.is_complex())
        for tensor in tensors
    )


def _of_kip(path: Path) -> tuple[Tensor, Tensor]:
    """Images and labels in an `.npz` file of KIP."""
    arrays = archive(path, ("images", "labels"))
    images, targets = arrays["images"], arrays["labels"]
    if targets.ndim == 2 and targets.size and targets.dtype.kind in "uif":
        targets = targets.argmax(1)
    if images.dtype.kind != "f" or targets.dtype.kind not in "ui":
        raise InputError(
            f"{path}: images of {images.dtype} and labels of {targets.dtype}, so another program wrote it; {_PROGRAMS}"
        )
    with np.errstate(all="ignore"):  # values that overflow become infinite, which `_sorted` refuses
        x = torch.from_numpy(images.astype(np.float32))
    return x.movedim(-1, 1) if x.ndim == 4 else x, torch.from_numpy(targets.astype(np.int64))


def _loaded(path: Path) -> Any:
    """The tensors, lists, dictionaries and numbers in a file that `torch.save` wrote.

    Raises:
        InputError: there is no such file, or it holds anything else.
    """
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such file; check the path")
    size = path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    bounded(size, f"{path}: its content")
    scalar: Any = np.float64().__reduce__()[
        0
    ]  # what makes the NumPy numbers that DC's program keeps beside the tensors
    numbers: list[Any] = [scalar, np.dtype, np.dtypes.Float64DType, np.dtypes.Float32DType]
    older = (scalar, "numpy.core.multiarray.scalar")  # its name in NumPy 1
    try:
        with torch.serialization.safe_globals([*numbers, older]):
            return torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # the file is untrusted, and torch raises many kinds of errors
        raise InputError(
            f"{path}: holds something other than tensors and numbers, or is damaged; nothing in it was run, so give a "
            "file that the program of the paper wrote"
        ) from error
