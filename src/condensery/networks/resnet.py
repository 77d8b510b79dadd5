"""Residual networks, and ResNetAP, which averages where others stride."""

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from condensery.networks.net import Net

if TYPE_CHECKING:
    from torch import nn

    from condensery.networks.network import Network

__all__ = ["ResNet"]


@dataclass(frozen=True)
class ResNet(Net):
    """Four stages of residual blocks with two 3 x 3 convolutions each, then a linear classifier.

    Before the stages stands a 3 x 3 convolution (images up to 64 pixels), the same and a pooling (up to 128 pixels), or
    a 7 x 7 convolution and a pooling that together leave a quarter of each side (above).

    References:
        He et al. 2016; the programs of DC (3 x 32 x 32) and IDC (ImageNet).
    Departs: images under 16 pixels are halved less often, so that the norms see at least 2 pixels a side.
    """

    family: ClassVar[str] = "resnet"

    depth: Literal[10, 18] = 18
    """Number of layers with weights: one (10) or two (18) blocks in each stage."""
    width: Annotated[int, Meta(ge=1, le=512)] = 64
    """Filters of the first stage; each further stage has twice as many."""
    norm: Literal["instance", "batch"] = "instance"
    """Normalization after each convolution."""
    downsampling: Literal["stride", "average"] = "stride"
    """How sides are halved: by convolutions of stride 2, or by average pooling after convolutions of stride 1 (AP)."""
    features: Literal["mean", "all"] = "mean"
    """What the classifier sees of the last stage: means over pixels, or all pixels (as in DC's ResNet-18 AP)."""
    init: Literal["default", "normal"] = "default"
    """Random filters: PyTorch's default, or normal with variance 2 / (k² filters) as in IDC's program."""

    def network(self, shape: tuple[int, int, int], classes: int) -> "Network":
        """Make the network for rows of `shape` (channels, height, width)."""
        from torch import nn

        from condensery.networks.blocks import Mean, halvings
        from condensery.networks.network import Network

        stem, sides = self._stem(*shape)
        stages, channels = [stem], self.width
        for stage in range(4):
            filters, halved = self.width * 2**stage, 0 < stage <= halvings(*shape[1:])
            for block in range(self.depth // 8):
                stages.append(self._block(channels, filters, halved and block == 0))
                channels = filters
            sides = self._halved(sides) if halved else sides
        if self.features == "mean":
            stages, sides = [*stages, Mean()], (1, 1)
        return Network(stages, nn.Linear(channels * prod(sides), classes))

    def _stem(self, channels: int, *sides: int) -> "tuple[nn.Module, tuple[int, ...]]":
        """The layers before the first block, and the sides of their maps."""
        from torch import nn

        average, side = self.downsampling == "average", min(sides)
        large = side > 128
        first = self._convolution(channels, self.width, 7 if large else 3, 2 if large and not average else 1)
        if side <= 64:
            return nn.Sequential(*first, nn.ReLU()), sides
        pooling = nn.AvgPool2d(4 if large else 2) if average else nn.MaxPool2d(3, stride=2, padding=1)
        sides = self._halved(sides)
        return nn.Sequential(*first, nn.ReLU(), pooling), self._halved(sides) if large else sides

    def _block(self, channels: int, filters: int, halved: bool) -> "nn.Module":
        from torch import nn

        from condensery.networks.blocks import Sum

        average = [nn.AvgPool2d(2)] if halved and self.downsampling == "average" else []
        stride = 2 if halved and not average else 1
        first, second = self._convolution(channels, filters, 3, stride), self._convolution(filters, filters, 3)
        shortcut: nn.Module = nn.Identity()
        if channels != filters:
            convolution, normalized = self._convolution(channels, filters, 1, stride)
            shortcut = nn.Sequential(convolution, *average, normalized)
        return nn.Sequential(Sum(nn.Sequential(*first, nn.ReLU(), *average, *second), shortcut), nn.ReLU())

    def _convolution(self, channels: int, filters: int, kernel: int, stride: int = 1) -> "tuple[nn.Module, nn.Module]":
        """A convolution that keeps the sides at stride 1, and its norm."""
        from torch import nn

        from condensery.networks.blocks import NormalConv2d, norm

        kind = NormalConv2d if self.init == "normal" else nn.Conv2d
        return kind(channels, filters, kernel, stride, kernel // 2, bias=False), norm(self.norm, filters)

    def _halved(self, sides: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(side // 2 if self.downsampling == "average" else (side + 1) // 2 for side in sides)
