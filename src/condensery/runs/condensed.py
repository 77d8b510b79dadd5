"""What `condense`, `run` and `load` return: a condensed set, and how to use it."""

from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass, replace
from html import escape
from typing import Any, Literal

from PIL import Image
from torch import Tensor
from torch.utils.data import TensorDataset

from condensery import __version__
from condensery.data.pixels import PixelSpace
from condensery.errors import InputError
from condensery.fields import byte_count
from condensery.formats import itemsize
from condensery.networks.names import packaged, recorded
from condensery.networks.net import Factory, Net
from condensery.runs.picture import grid, png
from condensery.synthetic import SyntheticSet

__all__ = ["Condensed"]


@dataclass(frozen=True)
class Condensed:
    """A condensed set and its provenance.

    Arguments:
        synthetic: the learned (or chosen) set.
        class_names: the names of the classes, in the order of their labels.
        recipe: the name and fields of the recipe: `{"name": "dc", "ipc": 1, ...}`.
        steps: number of updates.
        data: name, fingerprint and number of rows of the real training set, and whether it was whitened (`zca`).
        version: version of the library that condensed it.
    """

    synthetic: SyntheticSet
    class_names: tuple[str, ...]
    recipe: dict[str, Any]
    steps: int
    data: dict[str, Any]
    version: str = __version__

    def __repr__(self) -> str:
        return (
            f"<{self.method} of {self.data['name']}: {len(self.class_names)} classes x {self.bases_per_class} stored, "
            f"{self.bytes:,} bytes>"
        )

    @property
    def bases_per_class(self) -> int:
        """The number of stored bases per class: images, or codes (KFS)."""
        return self.synthetic.bases_per_class

    @property
    def rows_per_class(self) -> int:
        """The number of decoded rows per class."""
        return self.synthetic.rows_per_class

    @property
    def floats(self) -> int:
        """The number of stored floats, including decoders and soft labels."""
        return self.synthetic.floats

    @property
    def bytes(self) -> int:
        """Size of everything that is stored, in its own number format."""
        return self.synthetic.bytes

    @property
    def space(self) -> PixelSpace:
        """The mean and std that normalize the inputs of networks, and the space in which the images are stored."""
        return self.synthetic.space

    @property
    def net(self) -> Net | Factory | None:
        """The network with which it was condensed.

        None: a user-defined network, of which only the name is stored, or one of a package that is not installed.
        """
        described = self.layers[0].get("net") or {"family": "convnet"}
        if "factory" not in described:
            return recorded(described)
        with suppress(InputError):
            return packaged(described)
        return None

    @property
    def layers(self) -> list[dict[str, Any]]:
        """The innermost recipe, then its wrappers from the inside out, each with its own fields."""
        inside = [self.recipe]
        while inside[0].get("base"):
            inside.insert(0, inside[0]["base"])
        return [{key: value for key, value in recipe.items() if key != "base"} for recipe in inside]

    @property
    def method(self) -> str:
        """The names of the recipe and its wrappers, and "labels" if labels were learned, joined by "+"."""
        names = [recipe["name"] for recipe in self.layers]
        return "+".join([*names, *["labels"] * (self.synthetic.labels is not None)])

    def subset(self, first: int | None = None, *, bytes: int | str | None = None) -> "Condensed":
        """A condensed set of the first stored bases of each class. Give exactly one of `first` and `bytes`.

        Arguments:
            first: the number of bases per class.
            bytes: the most bytes that the subset may store, a shared decoder included: a number, or text such as
                "40 KB" or "1.5 MB" (thousands and millions of bytes).

        Raises:
            InputError: `first` is below one or above the number of stored bases; `bytes` does not hold one base per
                class; both or neither are given.
        """
        if (first is None) == (bytes is None):
            raise InputError(
                "a subset needs a number of stored images per class or a number of bytes; give one of the two"
            )
        if bytes is not None:
            own = [p[:, :1] for p in (self.synthetic.bases, self.synthetic.labels) if p is not None]
            each = sum(p.numel() * itemsize(p.dtype, self.synthetic.format) for p in own)
            shared = self.synthetic.bytes - self.bases_per_class * each
            room = byte_count(bytes)
            first = min((room - shared) // each, self.bases_per_class)
            if first < 1:
                raise InputError(
                    f"{room} bytes hold no stored image per class; the smallest subset takes {shared + each} bytes"
                )
        most = self.bases_per_class
        if not isinstance(first, int) or isinstance(first, bool) or not 1 <= first <= most:
            raise InputError(f"a subset of this set has 1 to {most} stored images per class, not {first!r}")
        whole = self.synthetic
        labels = None if whole.labels is None else whole.labels.detach()[:, :first].clone()
        bases = whole.bases.detach()[:, :first].clone()
        kept = SyntheticSet(bases, self.space, whole.decoder, labels, whole.format, whole.grids)
        return replace(self, synthetic=kept)

    def tensors(
        self, first: int | None = None, space: Literal["normalized", "unit", "uint8"] = "normalized"
    ) -> tuple[Tensor, Tensor]:
        """Decoded rows (N, channels, height, width) and labels (N,), or learned label probabilities (N, classes).

        Arguments:
            first: number of stored bases per class; None: all of them.
            space: value range of the rows. `"normalized"`: (x - mean) / std, as in training; `"unit"`: 0 to 1, clamped;
                `"uint8"`: 0 to 255.

        Raises:
            InputError: an unknown space, more bases per class than are stored, or the rows would take more memory than
            `errors.bounded` allows.
        """
        if space not in ("normalized", "unit", "uint8"):
            raise InputError(f"unknown `space` {space!r}; give 'normalized', 'unit' or 'uint8'")
        chosen = self.synthetic if first is None else self.subset(first).synthetic
        x, y = chosen.decoded().flat()
        if space == "uint8":
            x = self.space.uint8(x)
        elif space == "unit":
            x = self.space.unit(x).clamp(0, 1)
        return x, y.detach().clone()

    def dataset(self, first: int | None = None) -> TensorDataset:
        """A torch `Dataset` of pairs (normalized row, label), for a `DataLoader`; `first` as in `tensors`."""
        return TensorDataset(*self.tensors(first))

    def show(self, columns: int = 16) -> Image.Image:
        """A picture of the decoded images, one row per class with its name (see `runs.picture.grid`).

        Arguments:
            columns: the most images per class, or codes and decoders, that are shown.

        Raises:
            InputError: `columns` is below 1.
        """
        if columns < 1:
            raise InputError(f"`columns` must be at least 1, got {columns}")
        return grid(self.synthetic, self.class_names, most=columns)

    def _repr_html_(self) -> str:
        """What a notebook shows: the picture, and a table of what is stored."""
        picture = b64encode(png(self.show())).decode()
        facts = {
            "method": self.method, "real data": f"{self.data['name']}, {self.data['rows']:,} rows",
            "stored": f"{self.bases_per_class} per class, {self.floats:,} floats, {self.bytes:,} bytes",
            "decoded": f"{self.rows_per_class} rows per class",
        }  # fmt: skip
        rows = "".join(f"<tr><th>{name}</th><td>{escape(value)}</td></tr>" for name, value in facts.items())
        alt = f"The images of the classes {', '.join(self.class_names[:20])}"
        return f'<table>{rows}</table><img alt="{escape(alt)}" src="data:image/png;base64,{picture}">'
