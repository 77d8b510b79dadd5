"""VGG for small images."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from condensery.networks.net import Net

if TYPE_CHECKING:
    from condensery.networks.network import Network

__all__ = ["VGG"]

_CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3)}


@dataclass(frozen=True)
class VGG(Net):
    """Five stages of 3 x 3 convolutions with norm and ReLU, each with max pooling at its end, then one linear layer.

    Images of one channel and at least 28 pixels a side are enlarged by 4 pixels by the first convolution.

    References:
        Simonyan & Zisserman 2015; the program of DC and DSA, for images of 32 pixels.
    Departs: the classifier sees means over pixels if more than one pixel is left. Images under 32 pixels are halved
        less often, so that the norms see at least 2 pixels a side.
    """

    family: ClassVar[str] = "vgg"

    depth: Literal[11, 13, 16] = 11
    """Number of layers with weights in the original network, which has three linear layers."""
    width: Annotated[int, Meta(ge=1, le=256)] = 64
    """Filters of the first stage; the others have 2, 4, 8 and 8 times as many."""
    norm: Literal["instance", "batch"] = "instance"
    """Normalization after each convolution."""

    def network(self, shape: tuple[int, int, int], classes: int) -> "Network":
        """Make the network for rows of `shape` (channels, height, width)."""
        from torch import nn

        from condensery.networks.blocks import Mean, halvings, norm, padded
        from condensery.networks.network import Network

        padding = 3 if padded(shape) else 1
        channels, *sides = shape
        most = halvings(*(side + 2 * padding - 2 for side in sides))
        stages: list[nn.Module] = []
        for stage, count in enumerate(_CONVOLUTIONS[self.depth]):
            layers: list[nn.Module] = []
            for _ in range(count):
                filters = self.width * min(2**stage, 8)
                layers += [nn.Conv2d(channels, filters, 3, padding=padding), norm(self.norm, filters), nn.ReLU()]
                channels, padding = filters, 1
            if stage < most or stage == 4:
                layers.append(nn.MaxPool2d(2))
            stages.append(nn.Sequential(*layers))
        return Network([*stages, Mean()], nn.Linear(channels, classes))
