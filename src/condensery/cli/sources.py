"""Data by name or path, as a command's options say; no torch until it is read."""

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from condensery.errors import InputError

if TYPE_CHECKING:
    import torch

    from condensery.data import Data

__all__ = ["EMBEDDED", "FILES", "Source", "read"]

EMBEDDED = ("digits",)
FILES = ("mnist", "fashionmnist", "usps")


@dataclass(frozen=True)
class Source:
    """Which data."""

    data: str
    """digits, mnist, fashionmnist, usps, a folder of pictures, or an .npz file."""
    data_dir: str | None = None
    """Folder that holds MNIST/, FashionMNIST/ or USPS/; CONDENSERY_DATA by default."""
    size: int | None = None
    """Resize a folder's pictures: the shorter side to this many pixels, then the middle square is cut out."""
    zca: bool = False
    """Whiten the rows (ZCA measured on the training part); the condensed set carries it."""
    device: str = "auto"
    """cpu, cuda, ...; auto takes a GPU where there is one."""


def read(source: Source) -> "Data":
    """The data set that the options name.

    Raises:
        InputError: no such data, unreadable, or no such device.
    """
    from condensery import data as readers

    named: dict[str, Callable[[], Data]] = {
        "digits": readers.digits,
        "mnist": lambda: readers.mnist(source.data_dir),
        "fashionmnist": lambda: readers.fashion_mnist(source.data_dir),
        "usps": lambda: readers.usps(source.data_dir),
    }
    path = Path(source.data)
    if source.size is not None and not os.path.isdir(path):
        raise InputError(f"--size resizes the pictures of a folder; {source.data} is none")
    if source.data.lower() in named:
        data = named[source.data.lower()]()
    elif os.path.isdir(path):
        data = readers.image_folder(path, source.size)
    elif path.suffix == ".npz":
        data = readers.npz(path)
    else:
        near = difflib.get_close_matches(source.data.lower(), named, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        what = "a file, but not an .npz" if os.path.isfile(path) else "neither a name nor a path that exists"
        raise InputError(
            f"--data {source.data}: {what}; {hint}give one of {', '.join(named)}, a folder of pictures, or an .npz file"
        )
    data = data.to(device=device(source.device))
    return data.whitened() if source.zca else data


def device(name: str) -> "torch.device":
    """The device of that name; auto takes a GPU where there is one.

    Raises:
        InputError: it is not to be had here.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(name)
        torch.zeros(1, device=chosen).tolist()
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {name}: not to be had here ({str(error).splitlines()[0]}); try cpu") from error
    return chosen
