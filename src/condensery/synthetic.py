"""The synthetic set S, and what it starts from."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import log, prod

import torch
from torch import Tensor, nn

from condensery.data import Batch, RealSet
from condensery.data.pixels import PixelSpace
from condensery.decoders import Decoder, Pixels
from condensery.errors import InputError, bounded
from condensery.randomness import rng

__all__ = ["SyntheticSet", "class_logits", "noise", "random_real"]


class SyntheticSet(nn.Module):
    """Stored bases and the decoder that turns them into rows; its parameters are what is learned and stored.

    Arguments:
        bases: shape `(C, ipc, *base_shape)`, in the stored pixel space.
        decoder: base to rows; `Pixels` where an image is stored as it is.
        space: the stored pixel space and the statistics that normalize it.
        labels: where labels are learned too, the logits (C, ipc, K) of every base's; None: its class.

    Raises:
        InputError: labels with a decoder whose bases make unequal numbers of rows.
    """

    def __init__(self, bases: Tensor, space: PixelSpace, decoder: Decoder | None = None, labels: Tensor | None = None):
        super().__init__()
        if labels is not None and decoder is not None and not decoder.even:
            raise InputError("learned labels need a decoder that makes as many rows of every stored image")
        self.bases = nn.Parameter(bases)
        self.labels = None if labels is None else nn.Parameter(labels)
        self.decoder = (decoder or Pixels()).to(bases.device, bases.dtype)
        self.space = space
        self.frozen = torch.zeros(len(bases), dtype=torch.long)
        """(C,), the leading bases of each class that no step moves."""
        self.decoder_freezes = True
        """Whether the decoder, which all bases share, stands still as soon as one base does."""

    def extra_repr(self) -> str:
        """What `repr` shows beside the decoder."""
        return f"{self.classes} classes, {self.bases_per_class} stored bases per class, {self.floats} floats"

    @classmethod
    def from_rows(
        cls, rows: Tensor, space: PixelSpace, decoder: Decoder | None = None, labels: Tensor | None = None
    ) -> "SyntheticSet":
        """The set whose bases are those of normalized `rows`.

        Arguments:
            rows: (C, decoder.initial_rows(ipc), channels, height, width); those of another synthetic set, say, which
                multi-formation then shrinks after the fact (IDC's baseline of post-downsampling).
            space, decoder, labels: the set's.

        Raises:
            InputError: the decoder cannot make rows of this shape, or not so many.
        """
        decoder = decoder or Pixels()
        channels, height, width = rows.shape[2:]
        decoder.base_shape((channels, height, width))
        return cls(decoder.encode(space.encode(rows)), space, decoder, labels)

    @torch.no_grad()
    def start_from(self, rows: Tensor) -> None:
        """Make the stored bases anew, in place, of normalized `rows`; see `from_rows`."""
        self.bases.copy_(self.decoder.encode(self.space.encode(rows)))

    def forward(self, classes: Sequence[int] | None = None, images: int | None = None) -> Batch:
        """Decoded, normalized rows of `classes` (all by default), from their first `images` stored bases.

        Returns:
            x (C', N, channels, height, width) and y (C', N), the N rows of a class base after base, with learned
            labels (C', N, K) where the set has them.
        """
        ids = torch.as_tensor(range(len(self.bases)) if classes is None else classes, device=self.bases.device)
        x = self.space.decode(self.decoder(self.bases[ids, :images]))
        y = ids[:, None].expand(x.shape[:2])
        if self.labels is None:
            return Batch(x, y)
        logits = self.labels[ids, :images]
        return Batch(x, y, logits.softmax(2).repeat_interleave(x.shape[1] // logits.shape[1], 1))

    @torch.no_grad()
    def clamp(self) -> None:
        """Move stored pixels outside [0, 1] to its ends, in place (the projection of IDC)."""
        self.bases.copy_(self.space.clamp(self.bases))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Whatever happens inside, frozen bases and what decodes them are afterwards what they were, to the bit."""
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
        """Stored bases per class: images, or codes."""
        return self.bases.shape[1]

    @property
    def floats(self) -> int:
        """Everything stored, decoder and learned labels included: the budget is counted, not claimed."""
        labels = 0 if self.labels is None else self.labels.numel()
        return self.bases.numel() + labels + self.decoder.floats

    @property
    def bytes(self) -> int:
        """The size of what is stored, in its own precision."""
        return sum(p.numel() * p.element_size() for p in self.parameters())


def noise(real: RealSet, ipc: int, seed: int, decoder: Decoder | None = None) -> Tensor:
    """Standard normal rows to make `ipc` bases a class of, normalized, shape (C, N, channels, height, width).

    N is `ipc`, or what the decoder takes; see `random_real`.

    References:
        DC appendix A.
    """
    count = decoder.initial_rows(ipc) if decoder else ipc
    bounded(4 * real.classes * count * prod(real.shape), f"`ipc={ipc}`: the initial images")
    rows = [torch.randn(count, *real.shape, generator=rng(seed, "noise", c)) for c in range(real.classes)]
    return torch.stack(rows).to(real.device, real.dtype)


def random_real(real: RealSet, ipc: int, seed: int, decoder: Decoder | None = None) -> Tensor:
    """Random real rows to make `ipc` bases a class of, normalized, shape (C, N, channels, height, width).

    N is `ipc`, or what the decoder takes (the tiles of multi-formation). Rows differ as long as the class has others.

    Raises:
        InputError: a class with fewer than `ipc` rows.

    Departs: IDC's program takes the first rows of the data set.
    """
    check_ipc(real, ipc)
    rows = decoder.initial_rows(ipc) if decoder else ipc
    bounded(4 * real.classes * rows * prod(real.shape), f"`ipc={ipc}`: the initial images")
    return real.sample(rows, range(real.classes), lambda c: rng(seed, "random real", c)).x


def class_logits(classes: int, ipc: int, like: Tensor, own: float = 0.9) -> Tensor:
    """Logits (C, ipc, C) of labels that are their class with probability `own`, and any other one alike."""
    logits = torch.eye(classes, device=like.device, dtype=like.dtype) * log(own * max(classes - 1, 1) / (1 - own))
    return logits[:, None].repeat(1, ipc, 1)


def check_ipc(real: RealSet, ipc: int) -> None:
    """Refuse to take more real rows of a class than it has.

    Raises:
        InputError: a class with fewer than `ipc` rows.
    """
    smallest = min(real.sizes)
    if ipc > smallest:
        raise InputError(
            f"ipc {ipc} is above the training images of class {real.sizes.index(smallest)}, {smallest} after the "
            f"split; give at most `ipc={smallest}`, or a method that can start from noise (dc with `init=noise`)"
        )
