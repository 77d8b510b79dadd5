"""The synthetic set S, and the rows and label logits that it starts from."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import log, prod

import torch
from torch import Tensor, nn
from torch.func import functional_call

from condensery.data import Batch, RealSet
from condensery.data.pixels import PixelSpace
from condensery.decoders import Decoder, Pixels
from condensery.decoders.memory import AT_ONCE, decoding
from condensery.errors import InputError, bounded
from condensery.fields import Format
from condensery.formats import Grid, rounded, size
from condensery.randomness import rng

__all__ = ["SyntheticSet", "check_ipc", "class_logits", "noise", "random_real"]


class SyntheticSet(nn.Module):
    """Stored bases and the decoder that turns them into rows. Its parameters are what is learned and stored.

    Arguments:
        bases: the bases, shape `(C, ipc, *base_shape)`, in the stored pixel space.
        space: the stored pixel space and the statistics for normalization.
        decoder: the decoder. None: `Pixels`, so that each base is an image and a row.
        labels: logits of the learned labels, shape (C, ipc, K), one label per base. None: labels are not learned, and
            each row has the label of its class.
        format: the number format in which the set is stored. None: that of `bases`.
        grids: with the format uint8, the grid of every parameter by its name. None: the numbers are not rounded to
            grids yet; see `quantize`.

    Raises:
        InputError: `labels` is given, and the decoder makes different numbers of rows from different bases.
    """

    def __init__(
        self,
        bases: Tensor,
        space: PixelSpace,
        decoder: Decoder | None = None,
        labels: Tensor | None = None,
        format: Format | None = None,
        grids: Mapping[str, Grid] | None = None,
    ):
        super().__init__()
        if labels is not None and decoder is not None and not decoder.even:
            raise InputError(
                "learned labels need a decoder that makes the same number of rows from every stored image; "
                "use another decoder"
            )
        self.bases = nn.Parameter(bases)
        self.labels = None if labels is None else nn.Parameter(labels)
        self.decoder = (decoder or Pixels()).to(bases.device, bases.dtype)
        self.space, self.format, self.grids = space, format, dict(grids or {})
        self.fake_quantized = False
        """Whether rows are decoded from rounded numbers, while the parameters keep the numbers that are learned."""
        self.frozen = torch.zeros(len(bases), dtype=torch.long)
        """The number of leading bases of each class that no step changes, shape (C,)."""
        self.decoder_freezes = True
        """Whether the decoder, which all bases share, stays unchanged as soon as any base is frozen."""

    def extra_repr(self) -> str:
        """The text that `repr` shows before the decoder."""
        return f"{self.classes} classes, {self.bases_per_class} stored bases per class, {self.floats} floats"

    @classmethod
    def from_rows(
        cls, rows: Tensor, space: PixelSpace, decoder: Decoder | None = None, labels: Tensor | None = None
    ) -> "SyntheticSet":
        """Build a set whose bases are encoded from normalized rows.

        Arguments:
            rows: normalized rows, shape (C, decoder.initial_rows(ipc), channels, height, width). They may come from
                another synthetic set; multi-formation then shrinks them, which is IDC's baseline of post-downsampling.
            space, decoder, labels: see `SyntheticSet`.

        Raises:
            InputError: the decoder cannot make rows of this shape, or the number of rows does not fill whole bases.
        """
        decoder = decoder or Pixels()
        channels, height, width = rows.shape[2:]
        decoder.base_shape((channels, height, width))
        return cls(decoder.encode(space.encode(rows)), space, decoder, labels)

    @torch.no_grad()
    def start_from(self, rows: Tensor) -> None:
        """Replace the stored bases, in place, by those encoded from normalized rows.

        Arguments:
            rows: shape (C, decoder.initial_rows(ipc), channels, height, width).

        Raises:
            InputError: the number of rows does not fill whole bases.
        """
        self.bases.copy_(self.decoder.encode(self.space.encode(rows)))

    def forward(self, classes: Sequence[int] | None = None, images: int | None = None) -> Batch:
        """Decode the stored bases to normalized rows.

        Arguments:
            classes: ids of C' classes. None: all classes.
            images: the number of bases per class to decode, the first ones. None: all bases.

        Returns:
            The batch with x (C', N, channels, height, width) and y (C', N). The N rows of a class are in the order of
            its bases. If the set has learned labels, `soft` has their probabilities (C', N, K).
        """
        ids = torch.as_tensor(range(len(self.bases)) if classes is None else classes, device=self.bases.device)
        x = self._rows(self.bases[ids, :images])
        y = ids[:, None].expand(x.shape[:2])
        if self.labels is None:
            return Batch(x, y)
        logits = self._as_stored("labels", self.labels[ids, :images])
        return Batch(x, y, logits.softmax(2).repeat_interleave(x.shape[1] // logits.shape[1], 1))

    @torch.no_grad()
    def decoded(self, classes: Sequence[int] | None = None, images: int | None = None) -> Batch:
        """What `forward` returns, without gradients, if there is memory for it: the set may be a stranger's.

        Raises:
            InputError: the rows would take more memory than `errors.bounded` allows.
        """
        shape, largest = decoding(self.decoder, self.bases[: None if classes is None else len(classes), :images])
        bounded(largest * AT_ONCE, f"decoding {shape[0] * shape[1]:,} rows at once")
        return self(classes, images)

    def rows_of(self, bases: Tensor) -> Batch:
        """Decode the bases with the given indices, from any classes.

        Arguments:
            bases: indices of m bases, counted class after class, shape (m,). The decoder is even.

        Returns:
            The batch with the rows of every base: x (m, k, channels, height, width) and y (m, k).
        """
        ids, place = bases // self.bases_per_class, bases % self.bases_per_class
        x = self._rows(self.bases[ids, place][:, None])
        y = ids.to(x.device)[:, None].expand(x.shape[:2])
        if self.labels is None:
            return Batch(x, y)
        return Batch(
            x, y, self._as_stored("labels", self.labels[ids, place]).softmax(1)[:, None].expand(-1, x.shape[1], -1)
        )

    def _as_stored(self, name: str, part: Tensor) -> Tensor:
        """A part of the parameter `name`, rounded if `fake_quantized`; gradients pass through unchanged."""
        if not self.fake_quantized or self.format is None:
            return part
        return rounded(part.detach(), self.format, self.grids.get(name)) + (part - part.detach())

    def _rows(self, bases: Tensor) -> Tensor:
        """Normalized rows of some bases."""
        bases = self._as_stored("bases", bases)
        if not self.fake_quantized:
            return self.space.decode(self.decoder(bases))
        weights = {name: self._as_stored(f"decoder.{name}", weight) for name, weight in self.decoder.named_parameters()}
        return self.space.decode(functional_call(self.decoder, weights, (bases,)))

    def fake_quantize(self) -> None:
        """From now on, decode rows from rounded numbers; with uint8, on the grids of the present parameters."""
        self.fake_quantized = True
        if self.format == "uint8":
            self.grids = {name: self._grid(name, parameter) for name, parameter in self.named_parameters()}

    @torch.no_grad()
    def quantize(self, grids: Mapping[str, Grid] | None = None) -> None:
        """Round every parameter in place to the number that is stored in its place; see `format`.

        Arguments:
            grids: with the format uint8, the grids of some parameters by name. The others get the grid from their
                smallest to their largest number.
        """
        if self.format is None:
            return
        for name, parameter in self.named_parameters():
            if self.format == "uint8":
                self.grids[name] = (grids or {}).get(name) or self._grid(name, parameter)
            parameter.copy_(rounded(parameter, self.format, self.grids.get(name)))
        self.fake_quantized = False

    def _grid(self, name: str, parameter: Tensor) -> Grid:
        """The grid from the smallest to the largest number of a parameter.

        One that is not learned keeps its grid: a second one, of rounded numbers, might round them differently.
        """
        kept = None if parameter.requires_grad else self.grids.get(name)
        return kept or Grid.of(parameter)

    @torch.no_grad()
    def clamp(self) -> None:
        """Clamp the stored pixels to [0, 1] in place (the projection of IDC)."""
        self.bases.copy_(self.space.clamp(self.bases))

    @contextmanager
    def held(self) -> Iterator[None]:
        """A context that restores the frozen bases, their labels and, if frozen too, the decoder to the exact bits."""
        mask = (torch.arange(self.bases_per_class) < self.frozen[:, None]).to(self.bases.device)
        if not mask.any():
            yield
            return
        by_base = [p for p in (self.bases, self.labels) if p is not None]
        shared = list(self.decoder.parameters()) if self.decoder_freezes else []
        before = [p.detach()[mask] for p in by_base], [p.detach().clone() for p in shared]
        yield
        with torch.no_grad():
            for parameter, kept in zip(by_base, before[0], strict=True):
                parameter[mask] = kept
            for parameter, kept in zip(shared, before[1], strict=True):
                parameter.copy_(kept)

    @property
    def classes(self) -> int:
        """The number of classes C."""
        return len(self.bases)

    @property
    def bases_per_class(self) -> int:
        """The number of stored bases (images or codes) per class."""
        return self.bases.shape[1]

    @property
    def rows_per_class(self) -> int:
        """The number of decoded rows per class."""
        return self.decoded_shape[0]

    @property
    def decoded_shape(self) -> tuple[int, int, int, int]:
        """(rows per class, channels, height, width) of what is decoded, found without decoding."""
        _, rows, channels, height, width = decoding(self.decoder, self.bases[:1])[0]
        return rows, channels, height, width

    def rows_of_first(self, images: int) -> int:
        """The number of rows per class that the first `images` bases make, found without decoding."""
        return decoding(self.decoder, self.bases[:1, :images])[0][1]

    @property
    def floats(self) -> int:
        """The number of stored floats: those of the bases, the learned labels and the decoder."""
        labels = 0 if self.labels is None else self.labels.numel()
        return self.bases.numel() + labels + self.decoder.floats

    @property
    def bytes(self) -> int:
        """The size of all stored parameters in bytes, in the number format in which they are stored."""
        return sum(size(p, self.format, self.grids.get(name)) for name, p in self.named_parameters())


def noise(real: RealSet, ipc: int, seed: int) -> Tensor:
    """Draw `ipc` standard normal rows per class.

    Arguments:
        real: the real set, for its classes, the shape of its rows, its precision and its device.
        ipc: rows per class.
        seed: seed of the random draws.

    Returns:
        Normalized rows, shape (C, ipc, channels, height, width).

    Raises:
        InputError: the rows would take more memory than `errors.bounded` allows.

    References:
        DC appendix A.
    """
    bounded(4 * real.classes * ipc * prod(real.shape), f"`ipc={ipc}`: the initial images")
    rows = [torch.randn(ipc, *real.shape, generator=rng(seed, "noise", c)) for c in range(real.classes)]
    return torch.stack(rows).to(real.device, real.dtype)


def random_real(real: RealSet, ipc: int, seed: int, decoder: Decoder | None = None) -> Tensor:
    """Draw random real rows to start `ipc` bases per class from.

    Rows of a class repeat only if it has fewer than are needed.

    Arguments:
        real: the real set.
        ipc: bases per class.
        seed: seed of the random draws.
        decoder: the decoder of the bases. None: a base is a row.

    Returns:
        Normalized rows, shape (C, N, channels, height, width), with N = `ipc`, or `decoder.initial_rows(ipc)` if there
        is a decoder (the number of tiles for multi-formation).

    Raises:
        InputError: a class has fewer than `ipc` rows, or the rows would take more memory than `errors.bounded` allows.

    Departs: IDC's program takes the first rows of the data set.
    """
    check_ipc(real, ipc)
    rows = decoder.initial_rows(ipc) if decoder else ipc
    bounded(4 * real.classes * rows * prod(real.shape), f"`ipc={ipc}`: the initial images")
    return real.sample(rows, range(real.classes), lambda c: rng(seed, "random real", c)).x


def class_logits(classes: int, ipc: int, like: Tensor, own: float = 0.9) -> Tensor:
    """Logits (C, ipc, C) of labels with probability `own` for their class and equal probabilities for the others."""
    logits = torch.eye(classes, device=like.device, dtype=like.dtype) * log(own * max(classes - 1, 1) / (1 - own))
    return logits[:, None].repeat(1, ipc, 1)


def check_ipc(real: RealSet, ipc: int) -> None:
    """Check that each class has at least `ipc` real rows.

    Raises:
        InputError: a class has fewer than `ipc` rows.
    """
    smallest = min(real.sizes)
    if ipc > smallest:
        name = real.class_names[real.sizes.index(smallest)]
        raise InputError(
            f"`ipc={ipc}` is too large: class {name!r} has only {smallest} training images; give at "
            f"most `ipc={smallest}`, or a method that can start from noise (dc with `init=noise`)"
        )
