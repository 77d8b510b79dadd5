"""The artifact: one safetensors file that holds a condensed set and everything needed to use it.

Its tensors are the parameters of the synthetic set; one metadata key holds JSON. It contains no date, duration or
device, so that the same recipe, seed and data give the same bytes. Loading executes nothing from the file (no pickle).
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from inspect import signature
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
import torch
from msgspec import Meta, Struct
from torch import Tensor

from condensery import __version__
from condensery.data.pixels import PixelSpace, Whitening
from condensery.decoders import Bound, Decoder, Factorized, Learnable, MultiScale, Pixels, Uniform
from condensery.decoders.memory import AT_ONCE, decoding
from condensery.errors import InputError, bounded, look_up, quoted
from condensery.fields import Format, shallow
from condensery.formats import Grid
from condensery.networks.names import recorded
from condensery.runs.condensed import Condensed
from condensery.runs.storage import checked, read_tensors, tensor_file, write
from condensery.synthetic import SyntheticSet

__all__ = ["FORMAT", "NAME", "load", "save"]

FORMAT = 1
NAME = "condensed.safetensors"
"""The file name of the artifact in the folder of a run."""
_DECODERS: dict[str, type[Decoder]] = {
    "pixels": Pixels, "uniform": Uniform, "multi-scale": MultiScale, "learnable": Learnable, "bound": Bound,
    "factorized": Factorized,
}  # fmt: skip


_PRECISIONS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
Count = Annotated[int, Meta(ge=0, le=2**53)]
Side = Annotated[int, Meta(ge=1, le=2**16)]
Positive = Annotated[float, Meta(gt=0)]


class _Space(Struct, forbid_unknown_fields=True):
    stored: Literal["normalized", "unit"]
    mean: list[float]
    std: list[Positive]
    whitened: bool


class _Origin(Struct, forbid_unknown_fields=True):
    name: str
    fingerprint: str
    rows: Count
    zca: bool = False
    flip: bool = True


class _Recipe(Struct):
    """The fields of a recipe that are checked when it is read; all others are kept as they are."""

    name: str
    net: dict[str, Any] | None = None
    base: "_Recipe | None" = None


class _Numbers(Struct, forbid_unknown_fields=True):
    """How the tensors of a set that is stored in fewer bits become floating-point numbers."""

    format: Format
    dtype: Literal["float32", "float64"]
    grids: dict[str, tuple[float, float]]


class _Head(Struct, forbid_unknown_fields=True):
    """Schema of the head of an artifact, its JSON."""

    format: int
    version: str
    class_names: list[str]
    space: _Space
    decoder: dict[str, Any]
    shape: tuple[Side, Side, Side]
    recipe: dict[str, Any]
    steps: Count
    floats: Count
    bytes: Count
    data: _Origin
    stored_as: _Numbers | None = None


def save(condensed: Condensed, path: str | Path) -> Path:
    """Write a condensed set to the file `path` and return `path`.

    An existing file is replaced in one step, or left unchanged.

    Raises:
        InputError: `load` would refuse the file, for example because a value is not finite, or the set has a decoder
            of a class that is not the library's. Nothing is written.
        OSError: the file could not be written.
    """
    if not isinstance(condensed, Condensed):
        raise InputError(f"save takes a condensed set and then a path, not a {type(condensed).__name__} first")
    synthetic, space = condensed.synthetic, condensed.space
    decoder = next((name for name, kind in _DECODERS.items() if type(synthetic.decoder) is kind), None)
    if decoder is None:
        raise InputError(
            f"a file cannot hold a {type(synthetic.decoder).__name__}; store the decoded `tensors()` instead"
        )
    head = {
        "format": FORMAT,
        "version": condensed.version,
        "class_names": list(condensed.class_names),
        "space": {
            "stored": space.stored,
            "mean": list(space.mean),
            "std": list(space.std),
            "whitened": space.whitening is not None,
        },
        "decoder": {"name": decoder, **synthetic.decoder.arguments},
        "shape": list(synthetic(range(1), 1).x.shape[2:]),
        "recipe": condensed.recipe,
        "steps": condensed.steps,
        "floats": synthetic.floats,
        "bytes": synthetic.bytes,
        "data": condensed.data,
    }
    if synthetic.format is not None:
        head["stored_as"] = {
            "format": synthetic.format,
            "dtype": str(synthetic.bases.dtype).removeprefix("torch."),
            "grids": {name: [grid.low, grid.width] for name, grid in synthetic.grids.items()},
        }
    tensors = {name: _stored(synthetic, name, tensor) for name, tensor in synthetic.state_dict().items()}
    if space.whitening:
        tensors |= {"whitening.center": space.whitening.center, "whitening.matrix": space.whitening.matrix}
    content = tensor_file(tensors, head)
    read = {name: tensor.cpu() for name, tensor in tensors.items()}
    _assembled(Path(path), head, read, "correct the set, because its file could not be loaded")
    write(path := Path(path), content)
    return path


def _stored(synthetic: SyntheticSet, name: str, tensor: Tensor) -> Tensor:
    """A tensor of a set, in the number format in which it is stored.

    Raises:
        InputError: the set is stored on grids, but it has none; a number is not finite.
    """
    if synthetic.format is None:
        return tensor
    if not torch.isfinite(tensor).all():
        raise InputError("NaN or infinity in images, labels or decoder weights")
    if synthetic.format == "float16":
        return tensor.half()
    if name not in synthetic.grids:
        raise InputError("the numbers of the set are not rounded to their grids yet; call `synthetic.quantize()`")
    return synthetic.grids[name].quantize(tensor)


def _numbers(head: _Head, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as floating-point numbers; the inverse of `_stored`.

    Raises:
        ValueError: the tensors do not have the number format that the head names, or the grids are not theirs.
    """
    own = {name: tensor for name, tensor in tensors.items() if not name.startswith("whitening.")}
    about, types = head.stored_as, {name: tensor.dtype for name, tensor in tensors.items()}
    of_whitening = {types[name] for name in types if name not in own}
    if not of_whitening | ({types[name] for name in own} if about is None else set()) <= _PRECISIONS:
        raise ValueError(f"tensors of {', '.join(map(str, set(types.values())))}")
    if about is None:
        return tensors
    if {types[name] for name in own} != {getattr(torch, about.format)}:
        raise ValueError(f"tensors of {', '.join(map(str, set(types.values())))} in place of {about.format}")
    if set(about.grids) != (set(own) if about.format == "uint8" else set()):
        raise ValueError("grids that are not those of its tensors")
    dtype = getattr(torch, about.dtype)
    if about.format == "float16":
        return tensors | {name: tensor.to(dtype) for name, tensor in own.items()}
    return tensors | {name: Grid(*about.grids[name]).dequantize(tensor, dtype) for name, tensor in own.items()}


def load(path: str | Path) -> Condensed:
    """Read an artifact, from its file or from the folder of the run that wrote it.

    Nothing in the file is executed, and the memory that it needs is checked before it is allocated.

    Raises:
        InputError: the file does not exist, is truncated or damaged, is not an artifact, has another format version, or
            decodes to more memory than `errors.bounded` allows.
    """
    path = Path(path)
    if os.path.isdir(path):
        try:
            if not (path / NAME).is_file():
                raise InputError(f"{path} contains no {NAME}; {_instead(path)}")
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror or error}); check its permissions") from error
        path = path / NAME
    if not os.path.exists(path):
        raise InputError(f"{path}: no such file; give a condensed set or the folder of a run")
    head, tensors = read_tensors(path)
    if "format" not in head:
        raise InputError(f"{path}: a checkpoint, not a condensed set; repeat the command of its run to finish it")
    if head["format"] != FORMAT:
        raise InputError(
            f"{path}: format {head['format']}, written by condensery {head.get('version')}; this version "
            f"({__version__}) reads format {FORMAT}, so install the version that wrote the file"
        )
    return _assembled(path, head, tensors)


def _instead(folder: Path) -> str:
    """Advice for a folder that contains no artifact."""
    if (folder / "run.json").is_file():
        return "the run has not finished, repeat its command to resume it"
    if runs := sorted(str(found.parent) for found in folder.glob(f"*/{NAME}")):
        return f"it contains several runs, give one of them, for example {runs[0]}"
    return "give the folder of a finished run, or a file"


def _assembled(
    path: Path, raw: dict[str, Any], tensors: dict[str, Tensor], advice: str = "create or copy it again"
) -> Condensed:
    """The condensed set in a file, after checking that its head and tensors fit together.

    Arguments:
        advice: what to do if they do not.

    Raises:
        InputError: they do not, or decoding them takes too much memory.
    """
    fitting = partial(_fitting, path, advice)
    with fitting():
        if not shallow(raw):
            raise ValueError("a head that is nested too deeply")
        head = checked(raw, _Head)
        recipe = checked(head.recipe, _Recipe)
        while recipe.base:
            recipe = recipe.base
        if recipe.net is not None and "factory" not in recipe.net:
            recorded(recipe.net)
    if head.stored_as:  # as floating-point numbers, they take several times as much memory as in the file
        size = getattr(torch, head.stored_as.dtype).itemsize * sum(tensor.numel() for tensor in tensors.values())
        bounded(2 * size, f"{path}: its numbers")
    with fitting():
        if "bases" not in tensors:
            raise ValueError("no images")
        tensors = _numbers(head, tensors)
        decoder = _decoder(head.decoder).to(tensors["bases"].dtype)
        largest = _largest(head, decoder, tensors)
    bounded(largest * AT_ONCE, f"{path}: decoding one of its bases per class")
    with fitting():
        return _filled(head, decoder.to_empty(device="cpu"), tensors)


@contextmanager
def _fitting(path: Path, advice: str) -> Iterator[None]:
    """Turn all errors in the block into an `InputError`.

    The file is untrusted: a constructor or a shape can fail in any way.
    """
    try:
        yield
    except Exception as error:
        raise InputError(f"{path}: its parts do not fit together ({quoted(error)}); {advice}") from error


def _decoder(described: Mapping[str, Any]) -> Decoder:
    """The decoder with the name and the arguments in `described`, on the meta device (without memory for weights)."""
    kind = look_up(_DECODERS, described.get("name", ""), "decoder")
    hints = get_type_hints(kind.__init__) if kind.__init__ is not torch.nn.Module.__init__ else {}
    names = [name for name in signature(kind.__init__).parameters if name in hints]
    fields = [(name, hints[name], msgspec.field(default=None)) for name in names]
    arguments = {name: value for name, value in described.items() if name != "name"}
    checked(arguments, msgspec.defstruct("Arguments", fields, forbid_unknown_fields=True))
    numbers = [n for value in arguments.values() for n in (value if isinstance(value, list) else [value])]
    if any(isinstance(n, int) and not isinstance(n, bool) and not 1 <= n <= 2**12 for n in numbers):
        raise ValueError(f"a decoder with arguments {arguments}")
    with torch.device("meta"):
        return kind(**arguments)


def _largest(head: _Head, decoder: Decoder, tensors: Mapping[str, Tensor]) -> int:
    """The size in bytes of the largest tensor in decoding one base per class, from shapes only.

    Raises:
        ValueError: head, decoder and tensors do not fit together.
    """
    bases, labels, classes = tensors["bases"], tensors.get("labels"), len(head.class_names)
    channels, *_ = head.shape
    if channels not in (1, 3):
        raise ValueError(f"images with {channels} channels")
    if bases.ndim != 5 or bases.shape[0] != classes or not bases.shape[1]:
        raise ValueError(f"bases of shape {tuple(bases.shape)} for {classes} classes")
    if tuple(bases.shape[2:]) != decoder.base_shape(head.shape):
        raise ValueError(f"bases of shape {tuple(bases.shape)} for rows of {head.shape}")
    if not channels == len(head.space.mean) == len(head.space.std):
        raise ValueError(f"{channels} channels, {len(head.space.mean)} means and {len(head.space.std)} deviations")
    if labels is not None and labels.shape != (classes, bases.shape[1], classes):
        raise ValueError(f"labels of shape {tuple(labels.shape)}")
    expected = {f"decoder.{name}": tuple(weight.shape) for name, weight in decoder.state_dict().items()}
    expected |= {name: tuple(t.shape) for name, t in (("bases", bases), ("labels", labels)) if t is not None}
    if head.space.whitened:
        values = prod(head.shape)
        expected |= {"whitening.center": (values,), "whitening.matrix": (values, values)}
    if expected != {name: tuple(tensor.shape) for name, tensor in tensors.items()}:
        raise ValueError("its tensors are not those of its decoder and pixel space")
    shape, _ = decoding(decoder, bases)
    if shape[2:] != head.shape:
        raise ValueError(f"rows of shape {shape[2:]}")
    return decoding(decoder, bases[:, :1])[1]


def _filled(head: _Head, decoder: Decoder, tensors: dict[str, Tensor]) -> Condensed:
    """The condensed set of a checked file.

    Raises:
        ValueError: a number is not finite, or counts in the head are wrong.
    """
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        raise ValueError("NaN or infinity in images, labels or decoder weights")
    about, own = head.space, {name: t for name, t in tensors.items() if not name.startswith("whitening.")}
    whitening = Whitening(tensors["whitening.center"], tensors["whitening.matrix"]) if about.whitened else None
    space = PixelSpace(tuple(about.mean), tuple(about.std), about.stored, whitening)
    numbers = head.stored_as
    grids = {name: Grid(*grid) for name, grid in numbers.grids.items()} if numbers else {}
    format = numbers.format if numbers else None
    synthetic = SyntheticSet(tensors["bases"], space, decoder, tensors.get("labels"), format, grids)
    synthetic.load_state_dict(own)
    if (synthetic.floats, synthetic.bytes) != (head.floats, head.bytes):
        raise ValueError(f"{synthetic.floats} floats, but {head.floats} in its head")
    with torch.no_grad():
        if not torch.isfinite(space.unit(synthetic(range(1), 1).x)).all():
            raise ValueError("decoded rows are not finite")
    data = msgspec.to_builtins(head.data)
    return Condensed(synthetic, tuple(head.class_names), head.recipe, head.steps, data, head.version)
