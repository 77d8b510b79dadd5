"""Two variants of AlexNet for small images."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from msgspec import Meta

from condensery.networks.net import Net

if TYPE_CHECKING:
    from condensery.networks.network import Network

__all__ = ["AlexCifarNet", "AlexNet"]


@dataclass(frozen=True)
class AlexNet(Net):
    """Five convolutions with ReLU and three max poolings, then one linear layer; DC's variant for small images.

    Images of one channel and at least 28 pixels a side are enlarged by 4 pixels by the first convolution.

    References:
        Krizhevsky et al. 2012; the program of DC and DSA.
    """

    family: ClassVar[str] = "alexnet"

    width: Annotated[int, Meta(ge=2, le=1024)] = 128
    """Filters of the first convolution; the others have 3/2, 2, 3/2 and 3/2 times as many."""

    def network(self, shape: tuple[int, int, int], classes: int) -> "Network":
        """Make the network for rows of `shape` (channels, height, width), of at least 8 pixels a side."""
        from torch import nn

        from condensery.networks.blocks import padded
        from condensery.networks.network import Network

        wider, first = 3 * self.width // 2, padded(shape)
        sides = [(side + 4 * first) // 8 for side in shape[1:]]

        def convolution(channels: int, filters: int, kernel: int, padding: int) -> list[nn.Module]:
            return [nn.Conv2d(channels, filters, kernel, padding=padding), nn.ReLU()]

        stages = [
            nn.Sequential(*convolution(shape[0], self.width, 5, 4 if first else 2), nn.MaxPool2d(2)),
            nn.Sequential(*convolution(self.width, wider, 5, 2), nn.MaxPool2d(2)),
            nn.Sequential(
                *convolution(wider, 2 * self.width, 3, 1),
                *convolution(2 * self.width, wider, 3, 1),
                *convolution(wider, wider, 3, 1),
                nn.MaxPool2d(2),
            ),
        ]
        return Network(stages, nn.Linear(wider * sides[0] * sides[1], classes))


@dataclass(frozen=True)
class AlexCifarNet(Net):
    """Two 5 x 5 convolutions with overlapping max pooling and local response norm, then three linear layers.

    References:
        Wang et al. 2018 (dataset distillation), and its program, for images of 3 x 32 x 32.
    Departs: initial weights are PyTorch's defaults, not Xavier's.
    """

    family: ClassVar[str] = "alexcifarnet"

    width: Annotated[int, Meta(ge=1, le=1024)] = 64
    """Filters of each convolution; the hidden linear layers have 6 and 3 times as many units."""

    def network(self, shape: tuple[int, int, int], classes: int) -> "Network":
        """Make the network for rows of `shape` (channels, height, width)."""
        from torch import nn

        from condensery.networks.network import Network

        def local() -> nn.Module:
            return nn.LocalResponseNorm(4, alpha=0.001 / 9, beta=0.75, k=1)

        def pooling() -> nn.Module:
            return nn.MaxPool2d(3, stride=2, padding=1)

        width, sides = self.width, [(side + 3) // 4 for side in shape[1:]]
        stages = [
            nn.Sequential(nn.Conv2d(shape[0], width, 5, padding=2), nn.ReLU(), pooling(), local()),
            nn.Sequential(nn.Conv2d(width, width, 5, padding=2), nn.ReLU(), local(), pooling()),
            nn.Sequential(nn.Flatten(), nn.Linear(width * sides[0] * sides[1], 6 * width), nn.ReLU()),
            nn.Sequential(nn.Linear(6 * width, 3 * width), nn.ReLU()),
        ]
        return Network(stages, nn.Linear(3 * width, classes))
