"""The artifact: one safetensors file that holds a condensed set and everything needed to use it.

Tensors are the synthetic set's parameters; one metadata key holds JSON. No date, duration or device is in it, so
that the same recipe, seed and data give the same bytes. Nothing in it is executed (no pickle).
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from inspect import signature
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
import torch
from msgspec import Meta, Struct
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import TensorDataset

from condensery import __version__
from condensery.decoders import Bound, Decoder, Factorized, Learnable, MultiScale, Pixels, Uniform
from condensery.errors import InputError
from condensery.errors import bounded
from condensery.networks.net import Net
from condensery.data.pixels import PixelSpace, Whitening
from condensery.runs.storage import checked, read_tensors, tensor_file, write
from condensery.synthetic import SyntheticSet

__all__ = ["FORMAT", "NAME", "Condensed", "load", "save"]

FORMAT = 1
NAME = "condensed.safetensors"
"""What a run calls its artifact."""
_DECODERS: dict[str, type[Decoder]] = {
    "pixels": Pixels, "uniform": Uniform, "multi-scale": MultiScale, "learnable": Learnable, "bound": Bound,
    "factorized": Factorized,
}  # fmt: skip


_PRECISIONS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
_AT_ONCE = 3  # tensors as large as the largest that decoding holds together
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


class _Recipe(Struct):
    """What is read of a recipe; its other fields are its own."""

    name: str
    net: dict[str, Any] = {}
    base: "_Recipe | None" = None


class _Head(Struct, forbid_unknown_fields=True):
    """The head of an artifact: its JSON, entry by entry."""

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


@dataclass(frozen=True)
class Condensed:
    """A condensed set and where it comes from.

    Arguments:
        synthetic: the learned (or chosen) set.
        class_names: one name a class.
        recipe: the recipe's name and fields; `{"name": "dc", "ipc": 1, ...}`.
        steps: updates done.
        data: name, fingerprint and number of rows of the real training set.
        version: of the library that made it.
    """

    synthetic: SyntheticSet
    class_names: tuple[str, ...]
    recipe: dict[str, Any]
    steps: int
    data: dict[str, Any]
    version: str = __version__

    @property
    def bases_per_class(self) -> int:
        """Stored bases per class: images, or codes (KFS)."""
        return self.synthetic.bases_per_class

    @property
    def floats(self) -> int:
        """Stored floats, all counted."""
        return self.synthetic.floats

    @property
    def space(self) -> PixelSpace:
        """Mean and std that networks' inputs are normalized with, and the space the images are stored in."""
        return self.synthetic.space

    @property
    def net(self) -> Net | None:
        """The network it was condensed with; None for one of the user's own, of which only the name is stored."""
        described = self.layers[0].get("net", {})
        return None if "factory" in described else Net(**described)

    @property
    def layers(self) -> list[dict[str, Any]]:
        """The recipe inside all wrappers, and then these, each with its own fields."""
        inside = [self.recipe]
        while "base" in inside[0]:
            inside.insert(0, inside[0]["base"])
        return [{key: value for key, value in recipe.items() if key != "base"} for recipe in inside]

    @property
    def method(self) -> str:
        """The recipe's name, those of its wrappers, and whether labels were learned."""
        names = [recipe["name"] for recipe in self.layers]
        return "+".join([*names, *["labels"] * (self.synthetic.labels is not None)])

    def subset(self, first: int | None = None, *, bytes: int | str | None = None) -> "Condensed":
        """The condensed set of the first stored bases of every class.

        Arguments:
            first: how many bases per class.
            bytes: instead, the most bytes that the subset may store, a shared decoder included; a number, or "40 KB",
                "1.5 MB" (thousands and millions).

        Raises:
            InputError: more bases than are stored, or fewer than one; not one fits into the bytes.
        """
        if (first is None) == (bytes is None):
            raise InputError("a subset is of so many bases per class (`first`), or of so many `bytes`: give one of them")
        if bytes is not None:
            shared = sum(p.numel() * p.element_size() for p in self.synthetic.decoder.parameters())
            each = (self.synthetic.bytes - shared) // self.bases_per_class
            room = _size(bytes)
            first = min((room - shared) // each, self.bases_per_class)
            if first < 1:
                raise InputError(
                    f"{room} bytes hold no stored image per class; the smallest subset has {shared + each}"
                )
        most = self.bases_per_class
        if not isinstance(first, int) or isinstance(first, bool) or not 1 <= first <= most:
            raise InputError(f"a subset of {first!r} stored images per class was asked for; this set has 1 to {most}")
        whole = self.synthetic
        labels = None if whole.labels is None else whole.labels.detach()[:, :first].clone()
        kept = SyntheticSet(whole.bases.detach()[:, :first].clone(), self.space, whole.decoder, labels)
        return replace(self, synthetic=kept)

    def tensors(
        self, first: int | None = None, space: Literal["normalized", "unit", "uint8"] = "normalized"
    ) -> tuple[Tensor, Tensor]:
        """Decoded rows (N, channels, height, width) and labels (N,), or learned label probabilities (N, classes).

        Arguments:
            first: how many stored bases of every class; None: all of them.
            space: `"normalized"` as networks were trained on, (x - mean) / std; `"unit"` in [0, 1], clamped;
                `"uint8"` in 0 to 255.

        Raises:
            InputError: no such space, or more images than are stored.
        """
        if space not in ("normalized", "unit", "uint8"):
            raise InputError(f"space is {space!r}; known: 'normalized', 'unit', 'uint8'")
        chosen = self.synthetic if first is None else self.subset(first).synthetic
        with torch.no_grad():
            x, y = chosen().flat()
        if space == "uint8":
            x = self.space.uint8(x)
        elif space == "unit":
            x = self.space.unit(x).clamp(0, 1)
        return x, y.detach().clone()

    def dataset(self, first: int | None = None) -> TensorDataset:
        """A torch `Dataset` of (normalized row, label); wrap it in a `DataLoader` and train any network."""
        return TensorDataset(*self.tensors(first))


def save(path: str | Path, condensed: Condensed) -> Path:
    """Write the artifact; an existing file is replaced in one step or left as it was.

    Raises:
        InputError: `load` would refuse it: values that are not finite, say. Nothing is written.
        OSError: it could not be written.
    """
    synthetic, space = condensed.synthetic, condensed.space
    decoder = next(name for name, kind in _DECODERS.items() if type(synthetic.decoder) is kind)
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
    tensors = synthetic.state_dict()
    if space.whitening:
        tensors |= {"whitening.center": space.whitening.center, "whitening.matrix": space.whitening.matrix}
    content = tensor_file(tensors, head)
    _assembled(Path(path), head, {name: tensor.cpu() for name, tensor in tensors.items()})
    write(path := Path(path), content)
    return path


def load(path: str | Path) -> Condensed:
    """Read an artifact, from its file or from the folder of the run that wrote it.

    Whatever is in the file, nothing of it is executed, and what it would take in memory is known before it is taken.

    Raises:
        InputError: no such file, cut short, damaged, not an artifact, of another format version, or of more decoded
            rows than `errors.bounded` allows.
    """
    path = Path(path)
    if os.path.isdir(path):
        if not (path / NAME).is_file():
            raise InputError(f"{path}: no {NAME} in it; {_instead(path)}")
        path = path / NAME
    if not os.path.exists(path):
        raise InputError(f"{path}: no such file")
    head, tensors = read_tensors(path)
    if "format" not in head:
        raise InputError(f"{path}: a checkpoint, not a condensed set; repeat its run's command to end it")
    if head["format"] != FORMAT:
        raise InputError(
            f"{path}: format {head['format']}, written by condensery {head.get('version')}; this is condensery "
            f"{__version__}, which reads format {FORMAT}: install the version that wrote it"
        )
    return _assembled(path, head, tensors)


def _instead(folder: Path) -> str:
    """What to do with a folder that holds no artifact."""
    if (folder / "run.json").is_file():
        return "the run has not ended, repeat its command to resume it"
    if runs := sorted(str(found.parent) for found in folder.glob(f"*/{NAME}")):
        return f"it holds several runs; give one, for example {runs[0]}"
    return "it is not a run's folder"


def _assembled(path: Path, raw: dict[str, Any], tensors: dict[str, Tensor]) -> Condensed:
    """The condensed set of a file's head and tensors, once they are seen to fit together."""
    try:
        head = checked(raw, _Head)
        recipe = checked(head.recipe, _Recipe)
        while recipe.base:
            recipe = recipe.base
        if "factory" not in recipe.net:
            Net(**recipe.net)
        if not {tensor.dtype for tensor in tensors.values()} <= _PRECISIONS:
            raise ValueError("tensors that are not floating-point numbers")
        decoder = _decoder(head.decoder).to(tensors["bases"].dtype)
        rows, largest = _rows(head, decoder, tensors)
    except Exception as error:  # of a stranger's file: whatever a constructor or a shape can fail with
        raise InputError(f"{path}: its parts do not fit together ({error!r}); make or copy it again") from error
    bounded(largest * _AT_ONCE, f"{path}: decoding its {rows} rows")
    try:
        return _filled(head, decoder.to_empty(device="cpu"), tensors)
    except Exception as error:
        raise InputError(f"{path}: its parts do not fit together ({error!r}); make or copy it again") from error


def _decoder(described: Mapping[str, Any]) -> Decoder:
    """The decoder of that name and those arguments, without memory for its weights."""
    kind = _DECODERS[described["name"]]
    hints = get_type_hints(kind.__init__) if kind.__init__ is not torch.nn.Module.__init__ else {}
    names = [name for name in signature(kind.__init__).parameters if name in hints]
    fields = [(name, hints[name], msgspec.field(default=None)) for name in names]
    arguments = {name: value for name, value in described.items() if name != "name"}
    checked(arguments, msgspec.defstruct("Arguments", fields, forbid_unknown_fields=True))
    numbers = [n for value in arguments.values() for n in (value if isinstance(value, list) else [value])]
    if any(isinstance(n, int) and not isinstance(n, bool) and not 1 <= n <= 2**12 for n in numbers):
        raise ValueError(f"a decoder of {arguments}")
    with torch.device("meta"):
        return kind(**arguments)


class _Largest(TorchDispatchMode):
    """Notes the most bytes that an operation inside the block results in."""

    bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for part in result if isinstance(result, tuple | list) else (result,):
            if isinstance(part, Tensor):
                self.bytes = max(self.bytes, part.numel() * part.element_size())
        return result


def _rows(head: _Head, decoder: Decoder, tensors: Mapping[str, Tensor]) -> tuple[int, int]:
    """How many rows a file's bases decode to, and the bytes of the largest tensor on the way, from the shapes alone.

    Raises:
        ValueError: head, decoder and tensors do not fit together.
    """
    bases, labels, classes = tensors["bases"], tensors.get("labels"), len(head.class_names)
    channels, *_ = head.shape
    if channels not in (1, 3):
        raise ValueError(f"images of {channels} channels")
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
        raise ValueError("tensors other than those of its decoder and pixel space")
    with _Largest() as largest:
        decoded = decoder(torch.empty_like(bases, device="meta"))
    if tuple(decoded.shape[2:]) != head.shape:
        raise ValueError(f"rows of shape {tuple(decoded.shape[2:])}")
    return classes * decoded.shape[1], largest.bytes


def _filled(head: _Head, decoder: Decoder, tensors: dict[str, Tensor]) -> Condensed:
    """The condensed set with a file's numbers in it."""
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        raise ValueError("NaN or infinity among the images, labels or the decoder's weights")
    about, own = head.space, {name: t for name, t in tensors.items() if not name.startswith("whitening.")}
    whitening = Whitening(tensors["whitening.center"], tensors["whitening.matrix"]) if about.whitened else None
    space = PixelSpace(tuple(about.mean), tuple(about.std), about.stored, whitening)
    synthetic = SyntheticSet(tensors["bases"], space, decoder, tensors.get("labels"))
    synthetic.load_state_dict(own)
    if (synthetic.floats, synthetic.bytes) != (head.floats, head.bytes):
        raise ValueError(f"{synthetic.floats} floats, and its head says {head.floats}")
    with torch.no_grad():
        if not torch.isfinite(space.unit(synthetic(range(1), 1).x)).all():
            raise ValueError("rows that are not finite")
    data = msgspec.to_builtins(head.data)
    return Condensed(synthetic, tuple(head.class_names), head.recipe, head.steps, data, head.version)


def _size(bytes: int | str) -> int:
    """A number of bytes, as a number or as words such as 40KB.

    Raises:
        InputError: neither.
    """
    words = re.fullmatch(r"(\d+(?:\.\d+)?) *([kKmM]?)(i?)[bB]?", bytes.strip()) if isinstance(bytes, str) else None
    if words:
        return int(float(words[1]) * (1024 if words[3] else 1000) ** ("", "k", "m").index(words[2].lower()))
    if isinstance(bytes, str | bool) or not bytes >= 0:
        raise InputError(f"bytes is {bytes!r}; give a number of at least 0, or words such as '40 KB' or '1.5 MB'")
    return int(bytes)
