"""The artifact: one safetensors file that holds a condensed set and everything needed to use it.

Tensors are the synthetic set's parameters; one metadata key holds JSON. No date, duration or device is in it, so
that the same recipe, seed and data give the same bytes. Nothing in it is executed (no pickle).
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from condensery import __version__
from condensery.decoders import Bound, Decoder, Factorized, Learnable, MultiScale, Pixels, Uniform
from condensery.errors import InputError
from condensery.net import Net
from condensery.pixels import PixelSpace, Whitening
from condensery.storage import read_tensors, write_tensors
from condensery.synthetic import SyntheticSet

__all__ = ["FORMAT", "MORE", "NAME", "Condensed", "load", "save"]

FORMAT = 1
NAME = "condensed.safetensors"
"""What a run calls its artifact."""
MORE = {"representative": "dream", "multisize": "mdc"}
"""A recipe's arguments that are methods of their own, and their names."""
_DECODERS: dict[str, type[Decoder]] = {
    "pixels": Pixels, "uniform": Uniform, "multi-scale": MultiScale, "learnable": Learnable, "bound": Bound,
    "factorized": Factorized,
}  # fmt: skip


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
    def ipc(self) -> int:
        """Stored images a class."""
        return self.synthetic.ipc

    @property
    def floats(self) -> int:
        """Stored floats, all counted."""
        return self.synthetic.floats

    @property
    def space(self) -> PixelSpace:
        """Mean and std that networks' inputs are normalised with, and the space the images are stored in."""
        return self.synthetic.space

    @property
    def net(self) -> Net:
        """The network it was condensed with."""
        return Net(**self.recipe.get("net", {}))

    @property
    def method(self) -> str:
        """The recipe's name, those of the methods that it was combined with, and whether labels were learned."""
        added = [name for field, name in MORE.items() if self.recipe.get(field)]
        return "+".join([self.recipe["name"], *added, *["labels"] * (self.synthetic.labels is not None)])

    def subset(self, ipc: int | None = None, *, bytes: int | None = None) -> "Condensed":
        """The condensed set of the first stored images of every class.

        Arguments:
            ipc: how many.
            bytes: instead, as many as so many stored bytes hold, a shared decoder counted.

        Raises:
            InputError: more images than are stored, or fewer than one; none fits.
        """
        if ipc is None and bytes is not None:
            shared = sum(p.numel() * p.element_size() for p in self.synthetic.decoder.parameters())
            each = (self.synthetic.bytes - shared) // self.ipc
            ipc = min(int(bytes - shared) // each, self.ipc)
            if ipc < 1:
                raise InputError(f"{bytes} bytes hold no stored image a class; the smallest subset has {shared + each}")
        elif ipc is None or bytes is not None:
            raise InputError("a subset by how many images a class (ipc), or by bytes: give one of them")
        if not isinstance(ipc, int) or not 1 <= ipc <= self.ipc:
            raise InputError(f"a subset of {ipc} stored images a class was asked for; this set has 1 to {self.ipc}")
        whole = self.synthetic
        labels = None if whole.labels is None else whole.labels.detach()[:, :ipc].clone()
        kept = SyntheticSet(whole.bases.detach()[:, :ipc].clone(), self.space, whole.decoder, labels)
        return replace(self, synthetic=kept)

    def tensors(
        self, ipc: int | None = None, space: Literal["normalised", "unit", "uint8"] = "normalised"
    ) -> tuple[Tensor, Tensor]:
        """Decoded rows (N, channels, height, width) and labels (N,), or learned label probabilities (N, classes).

        Arguments:
            ipc: only the first stored images of every class.
            space: `"normalised"` as networks were trained on, (x - mean) / std; `"unit"` in [0, 1], clamped;
                `"uint8"` in 0 to 255.

        Raises:
            InputError: no such space, or more images than are stored.
        """
        if space not in ("normalised", "unit", "uint8"):
            raise InputError(f"space is {space!r}; known: 'normalised', 'unit', 'uint8'")
        chosen = self.synthetic if ipc is None else self.subset(ipc).synthetic
        with torch.no_grad():
            x, y = chosen().flat()
        if space == "uint8":
            x = self.space.uint8(x)
        elif space == "unit":
            x = self.space.unit(x).clamp(0, 1)
        return x, y.detach().clone()

    def dataset(self, ipc: int | None = None) -> TensorDataset:
        """A torch `Dataset` of (normalised row, label); wrap it in a `DataLoader` and train any network."""
        return TensorDataset(*self.tensors(ipc))


def save(path: str | Path, condensed: Condensed) -> Path:
    """Write the artifact; an existing file is replaced in one step or left as it was.

    Raises:
        OSError: it could not be written.
    """
    synthetic, space = condensed.synthetic, condensed.space
    decoder = next(name for name, kind in _DECODERS.items() if type(synthetic.decoder) is kind)
    head = {
        "format": FORMAT,
        "version": condensed.version,
        "class_names": condensed.class_names,
        "space": {
            "stored": space.stored,
            "mean": space.mean,
            "std": space.std,
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
        tensors |= {"whitening.centre": space.whitening.centre, "whitening.matrix": space.whitening.matrix}
    write_tensors(path := Path(path), tensors, head)
    return path


def load(path: str | Path) -> Condensed:
    """Read an artifact, from its file or from the folder of the run that wrote it.

    Raises:
        InputError: no such file, cut short, not an artifact, or of another format version.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / NAME).is_file():
            raise InputError(f"{path}: no {NAME} in it; {_instead(path)}")
        path = path / NAME
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    head, tensors = read_tensors(path)
    if "format" not in head:
        raise InputError(f"{path}: a checkpoint, not a condensed set; repeat its run's command to end it")
    if head["format"] != FORMAT:
        raise InputError(
            f"{path}: format {head['format']}, written by condensery {head.get('version')}; this is condensery "
            f"{__version__}, which reads format {FORMAT}: install the version that wrote it"
        )
    try:
        return _assembled(head, tensors)
    except (LookupError, TypeError, ValueError, RuntimeError, AttributeError, InputError) as error:
        raise InputError(f"{path}: its parts do not fit together ({error!r}); make or copy it again") from error


def _instead(folder: Path) -> str:
    """What to do with a folder that holds no artifact."""
    if (folder / "run.json").is_file():
        return "the run has not ended, repeat its command to resume it"
    if runs := sorted(str(found.parent) for found in folder.glob(f"*/{NAME}")):
        return f"it holds several runs; give one, for example {runs[0]}"
    return "it is not a run's folder"


def _assembled(head: dict[str, Any], tensors: dict[str, Tensor]) -> Condensed:
    about = head["space"]
    whitening = (
        Whitening(tensors.pop("whitening.centre"), tensors.pop("whitening.matrix")) if about["whitened"] else None
    )
    space = PixelSpace(tuple(about["mean"]), tuple(about["std"]), about["stored"], whitening)
    kind, arguments = head["decoder"]["name"], {k: v for k, v in head["decoder"].items() if k != "name"}
    with torch.device("meta"):  # nothing is allocated or drawn before the file's own tensors are seen to fit
        decoder = _DECODERS[kind](**arguments)
    there = {k.removeprefix("decoder."): v.shape for k, v in tensors.items() if k.startswith("decoder.")}
    if there != {k: v.shape for k, v in decoder.state_dict().items()}:
        raise ValueError("the decoder's weights have other shapes than its arguments say")
    decoder = decoder.to_empty(device="cpu")
    bases = tensors["bases"]
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        raise ValueError("NaN or infinity among the images or the decoder's weights")
    if not bases.shape[1] or not len(space.mean) == len(space.std) == head["shape"][0]:
        raise ValueError(f"bases of shape {tuple(bases.shape)} with {len(space.mean)} means")
    missing = {"name"} - head["recipe"].keys() | {"name", "rows", "fingerprint"} - head["data"].keys()
    if missing:
        raise KeyError(*missing)
    Net(**head["recipe"].get("net", {}))
    parts = [head["recipe"].get(field) for field in MORE]
    if not isinstance(head["recipe"]["name"], str) or any(part and not isinstance(part, dict) for part in parts):
        raise TypeError("the recipe is not one")
    if tuple(bases.shape[2:]) != decoder.base_shape(tuple(head["shape"])) or len(bases) != len(head["class_names"]):
        raise ValueError(f"bases of shape {tuple(bases.shape)}")
    labels = tensors.get("labels")
    if labels is not None and labels.shape != (*bases.shape[:2], len(bases)):
        raise ValueError(f"labels of shape {tuple(labels.shape)}")
    synthetic = SyntheticSet(bases, space, decoder, labels)
    synthetic.load_state_dict(tensors)
    with torch.no_grad():
        x = synthetic(range(1)).x
        if x.shape[2:] != (*head["shape"],) or not torch.isfinite(space.unit(x)).all():
            raise ValueError(f"rows of shape {tuple(x.shape[2:])}")
    return Condensed(
        synthetic, tuple(head["class_names"]), head["recipe"], head["steps"], head["data"], head["version"]
    )
