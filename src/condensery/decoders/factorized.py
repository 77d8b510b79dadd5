"""Factorization into codes and decoders: a base is a latent code, and each decoder turns it into a row (KFS)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from condensery.decoders.decoder import Decoder
from condensery.errors import InputError

__all__ = ["Encoder", "Factorized"]


class Factorized(Decoder):
    """D small decoders shared by all codes of all classes: n codes become n · D rows, grouped by code.

    A decoder is a chain of transposed convolutions, each of which doubles the sides, followed by a sigmoid, so rows are
    in the unit range. The result is cropped in the center to the sides of a row, for example from 32 to 28 pixels.

    Arguments:
        shape: (channels, height, width) of a row.
        channels: channels of a code, then channels after every layer but the last: one number per layer. The paper has
            three layers for Low-R, with (12, 9, 6), and two layers for High-R.
        decoders: number of decoders D.
        kernel: kernel size of the transposed convolutions, 2 (in the paper for 32 and 64 pixels) or 4 (for 224).
        activation: activation between the layers: `"none"` (the paper), `"relu"` or `"leaky_relu"`.
        styles: whether each decoder adds its own learned vector, with one number per channel, to the code.

    Raises:
        InputError: an argument is out of range, or there are more layers than the sides of a row allow.

    References:
        KFS section 3.1, tables 4, 5, 7 and 8.
    """

    def __init__(
        self,
        shape: Sequence[int],
        channels: Sequence[int],
        decoders: int,
        kernel: int = 2,
        activation: str = "none",
        styles: bool = False,
    ):
        super().__init__()
        if kernel not in (2, 4):
            raise InputError(f"`kernel` must be 2 or 4, got {kernel}")
        if not channels or min(*channels, decoders) < 1:
            raise InputError(f"`channels` and `decoders` must be at least 1, got {channels} and {decoders}")
        if activation not in _ACTIVATIONS:
            raise InputError(f"unknown `activation` {activation!r}; choose one of {', '.join(_ACTIVATIONS)}")
        if 2 ** (len(channels) - 1) >= max(shape[1:]) > 1:
            raise InputError(
                f"`channels={channels}`: {len(channels) - 1} layers are enough to make images of "
                f"{shape[1]} x {shape[2]} pixels from codes of one pixel; give fewer numbers"
            )
        self.shape = (shape[0], shape[1], shape[2])
        self.channels, self.decoders = tuple(channels), decoders
        self.kernel, self.activation = kernel, activation
        layers = pairwise((*channels, shape[0]))
        self.layers = nn.ModuleList(_Layer(decoders, i, o, kernel) for i, o in layers)
        self.styles = nn.Parameter(torch.zeros(decoders, channels[0])) if styles else None
        self._encoder: list[Encoder] = []  # a list, so that its weights are not registered in this module

    def with_encoder(self, encoder: "Encoder") -> "Factorized":
        """Set the encoder that `encode` uses, and return these decoders. The encoder is not stored."""
        self._encoder[:] = [encoder]
        return self

    @property
    def encoder(self) -> "Encoder | None":
        """The encoder that `encode` uses; None: there is none, as after these decoders have been read from a file."""
        return self._encoder[0] if self._encoder else None

    @property
    def arguments(self) -> dict[str, Any]:
        return {
            "shape": list(self.shape), "channels": list(self.channels), "decoders": self.decoders,
            "kernel": self.kernel, "activation": self.activation, "styles": self.styles is not None,
        }  # fmt: skip

    @property
    def code_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of a code."""
        scale = 2 ** len(self.channels)
        return self.channels[0], -(-self.shape[1] // scale), -(-self.shape[2] // scale)

    def base_shape(self, shape: tuple[int, int, int]) -> tuple[int, ...]:
        if tuple(shape) != self.shape:
            raise InputError(
                f"these decoders make rows of shape {self.shape}, not {tuple(shape)}; make decoders for this shape"
            )
        return self.code_shape

    def encode(self, rows: Tensor) -> Tensor:
        if self.encoder is None:
            raise InputError("these decoders have no encoder to make codes; train one with autoencoder.pretrained")
        encoder = self.encoder.to(rows.device, rows.dtype)
        with torch.no_grad():
            return torch.cat([encoder(part) for part in rows.flatten(0, 1).split(1024)]).unflatten(0, rows.shape[:2])

    def forward(self, bases: Tensor) -> Tensor:
        codes = bases.flatten(0, 1)[:, None].expand(-1, self.decoders, *bases.shape[2:])
        if self.styles is not None:
            codes = codes + self.styles[:, :, None, None]
        x = codes.flatten(1, 2)
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i < len(self.layers) - 1:
                x = _ACTIVATIONS[self.activation](x)
        rows = _middle(x.sigmoid(), self.shape[1], self.shape[2]).unflatten(1, (self.decoders, self.shape[0]))
        return rows.flatten(0, 1).unflatten(0, (len(bases), -1))


_ACTIVATIONS = {"none": lambda x: x, "relu": F.relu, "leaky_relu": lambda x: F.leaky_relu(x, 0.2)}


class _Layer(nn.Module):
    """D transposed convolutions side by side: (n, D · inputs, h, w) to (n, D · outputs, 2 h, 2 w)."""

    def __init__(self, decoders: int, inputs: int, outputs: int, kernel: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(decoders, inputs, outputs, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(decoders, outputs))
        bound = (inputs * (kernel // 2) ** 2) ** -0.5  # 1 / sqrt(number of inputs to an output pixel)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        decoders, _, _, kernel, _ = self.weight.shape
        return F.conv_transpose2d(
            x, self.weight.flatten(0, 1), self.bias.flatten(), 2, (kernel - 2) // 2, groups=decoders
        )


class Encoder(nn.Module):
    """The mirror image of one decoder: strided convolutions that turn rows (n, channels, height, width) into codes.

    Leaky ReLUs stand between the convolutions.

    Arguments:
        shape, channels: see `Factorized`.
        width: ratio of the hidden channels to those of a decoder. Since the encoder is not stored, it can be wider.
    """

    def __init__(self, shape: Sequence[int], channels: Sequence[int], width: int = 4):
        super().__init__()
        self.scale = 2 ** len(channels)
        inner = [shape[0], *(width * c for c in reversed(channels[1:])), channels[0]]
        self.layers = nn.ModuleList(nn.Conv2d(i, o, 2, 2) for i, o in pairwise(inner))

    def forward(self, rows: Tensor) -> Tensor:
        height, width = rows.shape[-2:]
        down, across = -height % self.scale, -width % self.scale
        around = (across // 2, across - across // 2, down // 2, down - down // 2)
        x = F.pad(rows, around, mode="replicate") if any(around) else rows
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i < len(self.layers) - 1:
                x = F.leaky_relu(x, 0.2)
        return x


def _middle(x: Tensor, height: int, width: int) -> Tensor:
    top, left = (x.shape[-2] - height) // 2, (x.shape[-1] - width) // 2
    return x[..., top : top + height, left : left + width]
