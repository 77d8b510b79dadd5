"""A condensed set in formats that other programs read.

They have no decoders, so the rows are decoded, and every file says how much is stored and how much the rows take.
"""

import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save as safetensors
from torch import Tensor

from condensery.data.facts import FACTS
from condensery.data.pixels import PixelSpace
from condensery.errors import InputError, look_up
from condensery.evaluation.figures import figures_in
from condensery.exchange.card import card
from condensery.runs import storage
from condensery.runs.condensed import Condensed
from condensery.runs.picture import png

__all__ = ["Exported", "Format", "export", "measured"]

Format = Literal["images", "npz", "hf", "torch", "ddranking"]
_LOSSY = ("images", "hf")  # formats with 8 bits per pixel

LOADER = """\
import json
import torch
from safetensors import safe_open
from torch.utils.data import TensorDataset

with safe_open({path}, "pt") as file:
    tensors, about = {{name: file.get_tensor(name) for name in file.keys()}}, json.loads(file.metadata()["about"])
mean, std = (torch.tensor(about[key])[:, None, None] for key in ("mean", "std"))

def rows(images):  # test images too, with pixels from 0 to 1
    x = (images - mean) / std
    return {rows}

train = TensorDataset(rows(tensors["images"]), tensors["{labels}"])
"""
"""Reads the torch format without this library."""
_WHITENED = '((x.flatten(1) - tensors["whitening_center"]) @ tensors["whitening_matrix"]).view_as(x)'


@dataclass(frozen=True)
class Exported:
    """What `export` has written.

    Arguments:
        files: the files, in alphabetical order.
        rows: the number of exported rows.
        stored: size in bytes of what the condensed set itself stores.
        notes: what the format does not hold.
        loader: Python code that reads the file without this library; only of the torch format.
    """

    files: tuple[Path, ...]
    rows: int
    stored: int
    notes: tuple[str, ...] = ()
    loader: str | None = None

    @property
    def bytes(self) -> int:
        """The size in bytes of all files."""
        return sum(path.stat().st_size for path in self.files)


@dataclass(frozen=True)
class _Rows:
    """The decoded rows of a condensed set, on the CPU.

    Arguments:
        condensed: the set.
        unit: the rows for pixels from 0 to 1, not clamped, shape (N, channels, height, width).
        labels: the class of each row, shape (N,).
        soft: probabilities (N, classes), if labels were learned.
        about: what a file says about the set, as JSON.
    """

    condensed: Condensed
    unit: Tensor
    labels: Tensor
    soft: Tensor | None
    about: dict[str, Any]

    def pixels(self) -> np.ndarray:
        """The rows as uint8, shape (N, height, width) if they are gray, (N, height, width, 3) otherwise."""
        pixels = (self.unit.clamp(0, 1) * 255).round().to(torch.uint8)
        return (pixels[:, 0] if pixels.shape[1] == 1 else pixels.movedim(1, 3)).numpy()


def export(
    condensed: Condensed,
    path: str | Path,
    to: Format,
    accuracy: list[dict[str, Any]] | None = None,
    license: str | None = None,
) -> Exported:
    """Write the decoded rows of a condensed set for other programs.

    Rows are ordered class after class. In the formats npz and torch, they are float32 numbers for pixels from 0 to 1
    that are not clamped, because what methods learn may lie outside; the mean and std that normalize them are beside
    them. In images and hf, they are clamped and rounded to 8 bits.

    Arguments:
        path: the file (npz, torch), or the folder, which must be new or empty (images, hf, ddranking).
        to: `"images"`: PNG files in a folder per class, and `about.json`; `"npz"`: numpy arrays `images`, `labels`,
            `class_names`, `mean` and `std`, read without pickle; `"hf"`: a folder with a parquet file and a README
            that the library `datasets` loads (needs pyarrow); `"torch"`: a safetensors file with `images` and
            `labels`, and JSON under `about`; `"ddranking"`: tensors and a configuration for the benchmark of this name.
        accuracy: what `measured` read from the JSON file of `evaluate`, for `about` and the README.
        license: the license of the real data, for `about` and the README.

    Raises:
        InputError: the format is unknown, the folder is not empty, a package is missing, or the benchmark has no such
            data set.
        OSError: a file could not be written.
    """
    writer = look_up(_WRITERS, to, "format")
    if not isinstance(condensed, Condensed):
        raise InputError(f"export takes a condensed set and then a path, not a {type(condensed).__name__} first")
    x, y = (tensor.cpu() for tensor in condensed.tensors())
    unit = condensed.space.unit(x).float()
    soft = y.float() if y.is_floating_point() else None
    labels = torch.arange(condensed.synthetic.classes).repeat_interleave(len(x) // condensed.synthetic.classes)
    rows = _Rows(condensed, unit, labels, soft, _about(condensed, unit, accuracy, license))
    path, notes = Path(path), []
    if to not in ("npz", "torch"):
        _empty(path)
    if to in _LOSSY and (clamped := float(((unit < -0.002) | (unit > 1.002)).float().mean())) > 0:
        notes.append(
            f"{100 * clamped:.1f} % of the pixel values lie outside the range of colors and were clamped; npz and "
            "torch keep them"
        )
    if soft is not None and to == "images":
        notes.append("pictures have no place for the learned soft labels; npz, torch and hf keep them")
    if condensed.space.whitening is not None and to in (*_LOSSY, "ddranking"):
        notes.append("networks were trained on whitened rows (ZCA), and only npz and torch keep the matrix")
    files = []
    for file, content in writer(path, rows).items():
        file.parent.mkdir(parents=True, exist_ok=True)
        storage.write(file, content)
        files.append(file)
    loader = LOADER.format(
        path=repr(str(path)),
        rows=_WHITENED if condensed.space.whitening else "x",
        labels="labels" if soft is None else "soft_labels",
    )
    return Exported(tuple(sorted(files)), len(x), condensed.bytes, tuple(notes), loader if to == "torch" else None)


def measured(condensed: Condensed, path: str | Path) -> list[dict[str, Any]]:
    """The accuracies of a condensed set in the JSON file that `evaluate --json` or `compare --json` wrote.

    Raises:
        InputError: the file does not exist, is not such a file, or has no figure of this set on its own data.
    """
    found = [each for each in figures_in(path) if each.shows(condensed)]
    if found and not any(each.sets == 1 for each in found):
        raise InputError(f"{path}: its figures are means over several sets; measure this one alone")
    if not found:
        raise InputError(
            f"{path}: has the figures of another recipe or of other data; measure this set with evaluate --json"
        )
    own = [each for each in found if each.floats == condensed.floats and each.sets == 1]
    if not own:
        raise InputError(f"{path}: has no figure of a set of {condensed.floats:,} floats; measure this one")
    kept = ("accuracy", "std", "n", "protocol", "network", "date")
    return [{name: getattr(each, name) for name in kept} for each in own]


def _about(
    condensed: Condensed, unit: Tensor, accuracy: list[dict[str, Any]] | None, license: str | None
) -> dict[str, Any]:
    """What every format says about the set."""
    space = condensed.space
    return {
        "method": condensed.method,
        "class_names": list(condensed.class_names),
        "mean": list(space.mean),
        "std": list(space.std),
        "whitened": space.whitening is not None,
        "stored": {
            "per class": condensed.bases_per_class, "floats": condensed.floats, "bytes": condensed.bytes,
        },
        "decoded": {
            "per class": condensed.rows_per_class, "floats": unit.numel(), "bytes": unit.numel() * 4,
            "bytes of 8 bits": unit.numel(),
        },
        "recipe": condensed.recipe,
        "data": condensed.data,
        "license": license,
        "accuracy": accuracy or [],
        "written by": f"condensery {condensed.version}",
    }  # fmt: skip


def _empty(folder: Path) -> None:
    """Check that a folder is new or empty.

    Raises:
        InputError: it is not.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not an empty folder; choose a new one")


def _images(path: Path, rows: _Rows) -> dict[Path, bytes]:
    names = _folders(rows.condensed.class_names)
    places: list[int] = [0] * len(names)
    files = {}
    for picture, label in zip(rows.pixels(), rows.labels.tolist(), strict=True):
        files[path / names[label] / f"{places[label]:04d}.png"] = png(Image.fromarray(picture))
        places[label] += 1
    return {**files, path / "about.json": _json({**rows.about, "folders": names})}


def _folders(class_names: tuple[str, ...]) -> list[str]:
    """A name of a folder for each class, all different: the name of the class where a file system allows it."""
    names: list[str] = []
    for number, name in enumerate(class_names):
        safe = re.sub(r'[\x00-\x1f/\\:*?"<>|]', "_", name).strip(" .")[:60] or "_"
        while safe.lower() in {other.lower() for other in names}:
            safe += f"-{number}"
        names.append(safe)
    return names


def _arrays(rows: _Rows) -> dict[str, Tensor]:
    arrays = {"images": rows.unit, "labels": rows.labels}
    if rows.soft is not None:
        arrays["soft_labels"] = rows.soft
    if whitening := rows.condensed.space.whitening:
        arrays |= {"whitening_center": whitening.center, "whitening_matrix": whitening.matrix}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in arrays.items()}


def _npz(path: Path, rows: _Rows) -> dict[Path, bytes]:
    about, file = rows.about, io.BytesIO()
    arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in _arrays(rows).items()}
    arrays |= {key: np.array(about[key], np.float32) for key in ("mean", "std")}
    arrays |= {"class_names": np.array(about["class_names"]), "about": np.array(json.dumps(about))}
    np.savez_compressed(file, **arrays)
    return {path: file.getvalue()}


def _torch(path: Path, rows: _Rows) -> dict[Path, bytes]:
    return {path: safetensors(_arrays(rows), {"about": json.dumps(rows.about)})}


def _hf(path: Path, rows: _Rows) -> dict[Path, bytes]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise InputError("the format hf needs pyarrow: pip install pyarrow") from None
    names, soft = rows.about["class_names"], rows.soft
    features: dict[str, Any] = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    columns = {
        "image": pa.array(
            [{"bytes": png(Image.fromarray(picture)), "path": None} for picture in rows.pixels()],
            pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        ),
        "label": pa.array(rows.labels.tolist(), pa.int64()),
    }
    if soft is not None:
        features["soft_label"] = {"feature": {"dtype": "float32", "_type": "Value"}, "_type": "List"}
        columns["soft_label"] = pa.array(soft.tolist(), pa.list_(pa.float32()))
    told = {"huggingface": json.dumps({"info": {"features": features}}), "condensery": json.dumps(rows.about)}
    file = io.BytesIO()
    parquet.write_table(pa.table(columns).replace_schema_metadata(told), file)
    table = file.getvalue()
    return {
        path / "data" / "train-00000-of-00001.parquet": table,
        path / "README.md": card(rows.about, rows.unit.shape, soft is not None).encode(),
    }


_BENCHMARK = {"CIFAR10": "CIFAR10", "CIFAR100": "CIFAR10", "TinyImageNet": "ImageNet10"}
"""The data sets of DD-Ranking that we read, and the entry of `FACTS` whose constants it normalizes with."""


def _ddranking(path: Path, rows: _Rows) -> dict[Path, bytes]:
    condensed = rows.condensed
    name = condensed.data["name"]
    if name not in _BENCHMARK:
        raise InputError(f"DD-Ranking has {', '.join(_BENCHMARK)}, and this set was condensed from {name}")
    facts = FACTS[_BENCHMARK[name]]
    assert facts.mean
    assert facts.std
    images = PixelSpace(facts.mean, facts.std).normalize(rows.unit)
    files = {"images.pt": images, "labels.pt": rows.labels if rows.soft is None else rows.soft}
    height, width = images.shape[2:]
    config = (
        "# DD-Ranking 0.2: hand images.pt and labels.pt to an evaluator with this configuration.\n"
        f"# {len(rows.labels) // len(condensed.class_names)} rows per class are decoded from "
        f"{condensed.bases_per_class} stored images per class; ipc is the latter, so\n"
        "# that random images take the same storage.\n"
        f"dataset: {name}\nipc: {condensed.bases_per_class}\nim_size: [{height}, {width}]\n"
        "use_zca: false\nmodel_name: ConvNet-3\n"  # these images are not whitened, whatever the set is
    )
    return {**{path / file: _pt(tensor) for file, tensor in files.items()}, path / "config.yaml": config.encode()}


def _pt(tensor: Tensor) -> bytes:
    file = io.BytesIO()
    torch.save(tensor.clone(), file)
    return file.getvalue()


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()


_WRITERS: dict[str, Callable[[Path, _Rows], dict[Path, bytes]]] = {
    "images": _images, "npz": _npz, "hf": _hf, "torch": _torch, "ddranking": _ddranking,
}  # fmt: skip
assert set(_WRITERS) == set(get_args(Format))
