"""Blocks that families of networks share."""

from math import sqrt
from typing import Literal

from torch import Tensor, cat, nn

__all__ = ["Joined", "Mean", "NormalConv2d", "Scaled", "Sum", "halvings", "norm", "padded"]


def norm(kind: Literal["instance", "batch"], width: int) -> nn.Module:
    """The layer that normalizes maps of `width` channels.

    `"instance"` is group norm with one channel per group and learned scale and shift, as in the programs of the papers.
    """
    return nn.GroupNorm(width, width) if kind == "instance" else nn.BatchNorm2d(width)


def padded(shape: tuple[int, int, int]) -> bool:
    """Whether the first convolution enlarges images of `shape` (channels, height, width) by 4 pixels a side.

    The programs of the papers do so for images with one channel, whose sides are 28 (digits) or 64 (spectrograms).
    Smaller images did not occur; they are not enlarged.
    """
    return shape[0] == 1 and min(shape[1:]) >= 28


def halvings(*sides: int) -> int:
    """How often maps with the given sides can be halved until less than 2 pixels would be left.

    Networks for 32 pixels halve smaller images less often, because instance norm of a single pixel is constant.
    """
    return max(0, min(sides).bit_length() - 2)


class NormalConv2d(nn.Conv2d):
    """A convolution whose filters are drawn from a normal distribution of variance 2 / (kernel size² x filters)."""

    def reset_parameters(self) -> None:
        """Draw new random filters, and a bias as `nn.Conv2d` does."""
        super().reset_parameters()
        nn.init.normal_(self.weight, std=sqrt(2 / (self.weight[0, 0].numel() * self.out_channels)))


class Sum(nn.Module):
    """The sum of a body and a shortcut."""

    def __init__(self, body: nn.Module, shortcut: nn.Module):
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + self.shortcut(x)


class Joined(nn.Module):
    """The channels of the input, then those of a body."""

    def __init__(self, body: nn.Module):
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return cat([x, self.body(x)], 1)


class Scaled(nn.Module):
    """The input, multiplied by what a body computes from it."""

    def __init__(self, body: nn.Module):
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return x * self.body(x)


class Mean(nn.Module):
    """The mean over the pixels of every map, (n, channels, 1, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3), keepdim=True)
