"""DenseNet: every layer sees the maps of all layers before it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from condensery.networks.net import Net

if TYPE_CHECKING:
    from torch import nn

    from condensery.networks.network import Network

__all__ = ["DenseNet"]


@dataclass(frozen=True)
class DenseNet(Net):
    """Blocks of densely connected layers with poolings in between, then a linear classifier; DenseNet-121 by default.

    A layer is norm, ReLU, 1 x 1 convolution, norm, ReLU, 3 x 3 convolution. Before the first block stands a 3 x 3
    convolution (images up to 64 pixels), or a 7 x 7 convolution and a pooling that leave a quarter of each side.

    References:
        Huang et al. 2017.
    Departs: images under 16 pixels are halved less often, so that the norms see at least 2 pixels a side.
    """

    family: ClassVar[str] = "densenet"

    growth: Annotated[int, Meta(ge=1, le=128)] = 32
    """Maps that every layer adds."""
    blocks: Annotated[tuple[Annotated[int, Meta(ge=1, le=64)], ...], Meta(min_length=1, max_length=4)] = (6, 12, 24, 16)
    """Layers of each block."""
    norm: Literal["instance", "batch"] = "batch"
    """Normalization before each convolution."""

    def network(self, shape: tuple[int, int, int], classes: int) -> "Network":
        """Make the network for rows of `shape` (channels, height, width)."""
        from torch import nn

        from condensery.networks.blocks import Joined, Mean, halvings
        from condensery.networks.network import Network

        channels = 2 * self.growth
        stem: list[nn.Module] = [nn.Conv2d(shape[0], channels, 3, padding=1, bias=False)]
        if min(shape[1:]) > 64:
            stem = [nn.Conv2d(shape[0], channels, 7, stride=2, padding=3, bias=False)]
            stem += [*self._activated(channels), nn.MaxPool2d(3, stride=2, padding=1)]
        stages = [nn.Sequential(*stem)]
        for block, layers in enumerate(self.blocks):
            if block:
                halved = [nn.AvgPool2d(2)] if block <= halvings(*shape[1:]) else []
                thinned = nn.Conv2d(channels, channels // 2, 1, bias=False)
                stages.append(nn.Sequential(*self._activated(channels), thinned, *halved))
                channels //= 2
            stages.append(nn.Sequential(*(Joined(self._layer(channels + self.growth * i)) for i in range(layers))))
            channels += self.growth * layers
        return Network([*stages, nn.Sequential(*self._activated(channels)), Mean()], nn.Linear(channels, classes))

    def _layer(self, channels: int) -> "nn.Module":
        from torch import nn

        inner = 4 * self.growth
        return nn.Sequential(
            *self._activated(channels), nn.Conv2d(channels, inner, 1, bias=False),
            *self._activated(inner), nn.Conv2d(inner, self.growth, 3, padding=1, bias=False),
        )  # fmt: skip

    def _activated(self, channels: int) -> "tuple[nn.Module, nn.Module]":
        from torch import nn

        from condensery.networks.blocks import norm

        return norm(self.norm, channels), nn.ReLU()
