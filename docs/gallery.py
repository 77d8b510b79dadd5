"""Draws the pictures of docs/gallery.md from the sets in results/sets: python docs/gallery.py

A row for each method, a column for each class. A field shows the decoded rows of the first stored image, up to four.
"""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

import condensery as cd

ROOT = Path(__file__).parent.parent
METHODS = ("random", "herding", "dc", "dsa", "dm", "idc-i", "idc", "kfs")
FIELD, LINE, GRAY = 56, 2, 128  # pixels


def field(rows: Tensor) -> Tensor:
    """One row enlarged, or four rows in a square: (channels, FIELD, FIELD) of (n, channels, height, width), uint8."""
    across = 2 if len(rows) >= 4 else 1
    side = FIELD // across
    shown = F.interpolate(rows[: across**2].float(), (side, side), mode="nearest-exact").byte()
    return shown.unflatten(0, (across, across)).permute(2, 0, 3, 1, 4).reshape(rows.shape[1], FIELD, FIELD)


def line(path: Path) -> Tensor:
    """The fields of all classes of a set, side by side."""
    small = cd.load(path)
    x, y = small.tensors(space="uint8")
    fields = [field(x[y == c]) for c in range(len(small.class_names))]
    return torch.cat([F.pad(each, (0, LINE, 0, LINE), value=GRAY) for each in fields], 2)


def draw(folder: Path) -> None:
    """Write the pictures into a folder."""
    for data in ("FashionMNIST", "MNIST"):
        paths = [ROOT / "results" / "sets" / f"{data}-1-{method}.safetensors" for method in METHODS]
        lines = {path.stem.removeprefix(f"{data}-1-"): line(path) for path in paths if path.is_file()}
        sheet = torch.cat(list(lines.values()), 1)[:, :-LINE, :-LINE]
        picture = Image.fromarray(sheet.permute(1, 2, 0).squeeze(2).numpy())
        picture.save(folder / f"gallery-{data}.png", optimize=True)
        print(f"{data}: {', '.join(lines)}")


if __name__ == "__main__":
    draw(ROOT / "docs" / "figures")
