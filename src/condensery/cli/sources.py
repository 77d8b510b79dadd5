"""The data that a command reads, by name or path. torch is imported only when data is read."""

import difflib
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from condensery.errors import InputError
from condensery.fields import as_options

if TYPE_CHECKING:
    import torch

    from condensery.data import Data

__all__ = ["EMBEDDED", "FILES", "NAMED", "Source", "absolute", "applied", "merged", "read", "words_of"]

NAMED: dict[str, tuple[str, tuple[str, ...]]] = {
    "digits": ("1,797 handwritten digits, 8 x 8, gray", ()),
    "mnist": ("70,000 handwritten digits, 28 x 28, gray", ("MNIST/raw", "MNIST")),
    "fashionmnist": ("70,000 pieces of clothing, 28 x 28, gray", ("FashionMNIST/raw", "FashionMNIST")),
    "usps": ("9,298 handwritten digits, 16 x 16, gray", ("USPS", "usps")),
    "svhn": ("99,289 house numbers, 32 x 32, color", ("SVHN", "svhn")),
    "cifar10": ("60,000 photos of 10 classes, 32 x 32, color", ("cifar-10-batches-bin", "cifar-10-batches-py")),
    "cifar100": ("60,000 photos of 100 classes, 32 x 32, color", ("cifar-100-binary", "cifar-100-python")),
    "imagenet10": ("photos of 10 classes of ImageNet, 224 x 224, color", ("ImageNet", "imagenet")),
    "imagenet100": ("photos of 100 classes of ImageNet, 224 x 224, color", ("ImageNet", "imagenet")),
}
"""What each data set with a name is, and the folders in which its files may be; without folders it is embedded."""
EMBEDDED = tuple(name for name, (_, folders) in NAMED.items() if not folders)
FILES = tuple(name for name, (_, folders) in NAMED.items() if folders)
_PICTURES = ("imagenet10", "imagenet100")


@dataclass(frozen=True)
class Source:
    """Options that select the data and the device."""

    data: str
    """Data set: digits, mnist, fashionmnist, usps, svhn, cifar10, cifar100, imagenet10, imagenet100, a folder of
    pictures or of sound clips (wav, flac), an .npz file, or hub:NAME (Hugging Face: mnist, cifar10, owner/name, or a
    folder of parquet files)."""
    data_dir: str | None = None
    """Folder that contains MNIST/, FashionMNIST/, USPS/, SVHN/, cifar-10-batches-bin/, cifar-100-binary/ (or the Python
    versions, cifar-10-batches-py/ and cifar-100-python/) or ImageNet/; by default the environment variable
    CONDENSERY_DATA."""
    size: int | None = None
    """Side in pixels to which the central square of every picture in a folder is resized; by default 224 for ImageNet,
    and pictures of other folders stay as they are and must have one size."""
    config: str | None = None
    """With hub:NAME, the configuration, if there are several."""
    image: str | None = None
    """With hub:NAME, the column of pictures; by default the first that holds pictures or clips."""
    label: str | None = None
    """With hub:NAME, the column of classes; by default the first that holds classes, or one named label, labels,
    target or class."""
    test: str | None = None
    """With hub:NAME, the split that is the test part; by default test, validation or valid."""
    flip: Literal["auto", "yes", "no"] = "auto"
    """Whether a mirrored image still belongs to its class, so that augmentations may flip images; auto: yes, but no for
    mnist, svhn, usps and digits."""
    zca: bool = False
    """Whether to whiten the images (ZCA, computed on the training part); the condensed set stores the transform."""
    device: str = "auto"
    """Device: cpu, cuda, ...; auto uses a GPU if there is one."""


def absolute(source: Source) -> Source:
    """The same source, whose paths mean the same in every folder and shell. As in `read`, a name is no path."""

    def everywhere(path: str, names: Collection[str]) -> str:
        return os.path.abspath(path) if os.path.exists(path) and path.lower() not in names else path

    if source.data.startswith("hub:"):
        from condensery.data.hub import HUB

        data = f"hub:{everywhere(source.data.removeprefix('hub:'), HUB)}"
    else:
        data = everywhere(source.data, NAMED)
    folder = source.data_dir or (os.environ.get("CONDENSERY_DATA") if source.data.lower() in FILES else None)
    return replace(source, data=data, data_dir=folder and everywhere(folder, ()))


def merged(started: Source, given: Source) -> Source:
    """The source of a run, with the options that are given now in place of its own."""
    usual = Source("auto")
    return replace(started, **{k: v for k, v in asdict(given).items() if v != getattr(usual, k)})


def applicable(source: Source) -> Source:
    """The source without options that do not apply to it, where several data sets are read with the same options."""
    if source.data.startswith("hub:"):
        return source
    plain = replace(source, config=None, image=None, label=None, test=None)
    sized = source.data.lower() in _PICTURES or (source.data.lower() not in NAMED and os.path.isdir(source.data))
    return plain if sized else replace(plain, size=None)


def applied(sources: Sequence[Source]) -> list[Source]:
    """The sources, each without the options that do not apply to it but to another one of them."""
    plain = [applicable(source) for source in sources]
    unused = {k: v for k, v in asdict(sources[0]).items() if all(getattr(each, k) != v for each in plain)}
    return [replace(plain[0], **unused), *plain[1:]]  # `read` refuses what applies to none


def words_of(source: Source) -> list[str]:
    """The words of a command line that name the same data. Whitening is left out: a condensed set knows its own."""
    return as_options({k: v for k, v in asdict(source).items() if v != "auto" and k != "zca"})


def read(source: Source, option: str = "--data") -> "Data":
    """The data set that the options name; `option` is the one with its name or path, for messages.

    Raises:
        InputError: the data does not exist or is unreadable, or the device is unavailable.
    """
    from condensery import data as readers

    side = 224 if source.size is None else source.size
    named: dict[str, Callable[[], Data]] = {
        "digits": readers.digits,
        "mnist": lambda: readers.mnist(source.data_dir),
        "fashionmnist": lambda: readers.fashion_mnist(source.data_dir),
        "usps": lambda: readers.usps(source.data_dir),
        "svhn": lambda: readers.svhn(source.data_dir),
        "cifar10": lambda: readers.cifar10(source.data_dir),
        "cifar100": lambda: readers.cifar100(source.data_dir),
        "imagenet10": lambda: readers.imagenet10(source.data_dir, side),
        "imagenet100": lambda: readers.imagenet100(source.data_dir, side),
    }
    path = Path(source.data)
    kind, _, rest = source.data.partition(":")
    if kind == "hub":
        found = readers.hub(
            rest, config=source.config, image=source.image, label=source.label, test=source.test, size=source.size
        )
        return _prepared(found, source)
    if other := [name for name in ("config", "image", "label", "test") if getattr(source, name) is not None]:
        raise InputError(f"--{other[0]} is for data of the hub, and {source.data} is not (hub:NAME); leave it out")
    pictures = source.data.lower() in _PICTURES if source.data.lower() in named else os.path.isdir(path)
    if source.size is not None and not pictures and (source.data.lower() in named or os.path.exists(path)):
        raise InputError(f"--size applies to a folder of pictures, and {source.data} is not a folder; leave it out")
    if source.data.lower() in named:
        data = named[source.data.lower()]()
    elif os.path.isdir(path):
        data = _of_folder(path, source.size, option)
    elif path.suffix == ".npz":
        data = readers.npz(path)
    else:
        near = difflib.get_close_matches(source.data.lower(), named, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        if os.path.isfile(path):
            raise InputError(
                f"{option} {source.data}: a file, but not an .npz; write its images and labels with "
                "np.savez(FILE, x_train=images, y_train=labels), or give them to condensery.from_arrays in Python"
            )
        what = "neither a name nor a path that exists"
        raise InputError(
            f"{option} {source.data}: {what}; {hint}give one of {', '.join(named)}, a folder of pictures or of clips, "
            "or an .npz file"
        )
    return _prepared(data, source)


def _prepared(data: "Data", source: Source) -> "Data":
    """The data on the device and with the facts that the options name."""
    data = data.to(device=device(source.device))
    if source.flip != "auto":
        data = data.having(flip=source.flip == "yes")
    return data.whitened() if source.zca else data


def _of_folder(path: Path, size: int | None, option: str) -> "Data":
    """The data in a folder of pictures or of sound clips; a few of its files tell which."""
    from condensery import data as readers
    from condensery.data.audio import SOUNDS

    files = chain.from_iterable(islice(path.glob(depth), 200) for depth in ("*", "*/*", "*/*/*"))
    suffixes = {file.suffix.lower() for file in files}
    if suffixes & SOUNDS:
        if size is not None:
            raise InputError(f"--size applies to pictures, and {path} has sound clips; leave it out")
        return readers.audio_folder(path)
    if ".parquet" in suffixes and not any(part.is_dir() and part.name != "data" for part in path.iterdir()):
        raise InputError(f"{option} {path}: a folder of parquet files; give {option} hub:{path}")
    return readers.image_folder(path, size)


def device(name: str) -> "torch.device":
    """The torch device called `name`; "auto" is a GPU if there is one, else the CPU.

    Raises:
        InputError: this machine or this build of torch does not have the device.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(name)
        torch.zeros(1, device=chosen).tolist()
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {name} is unavailable ({str(error).splitlines()[0]}); try --device cpu") from error
    return chosen
