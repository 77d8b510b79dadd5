"""LeNet-5."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from condensery.networks.net import Net

if TYPE_CHECKING:
    from condensery.networks.network import Network

__all__ = ["LeNet"]


@dataclass(frozen=True)
class LeNet(Net):
    """[5 x 5 convolution, ReLU, max pooling] x 2 with 6 and 16 filters, then linear layers of 120 and 84 units.

    The first convolution of images of one channel and at least 28 pixels a side is padded by 2, as in DC's program.

    References:
        LeCun et al. 1998; the program of DC.
    Departs: both convolutions are padded by 2 if a side has fewer than 28 pixels, for which the network was not made.
    """

    family: ClassVar[str] = "lenet"

    def network(self, shape: tuple[int, int, int], classes: int) -> "Network":
        """Make the network for rows of `shape` (channels, height, width)."""
        from torch import nn

        from condensery.networks.blocks import padded
        from condensery.networks.network import Network

        small = min(shape[1:]) < 28
        channels, *sides = shape
        stages: list[nn.Module] = []
        for filters, padding in ((6, 2 if small or padded(shape) else 0), (16, 2 if small else 0)):
            convolution = nn.Conv2d(channels, filters, 5, padding=padding)
            stages.append(nn.Sequential(convolution, nn.ReLU(), nn.MaxPool2d(2)))
            channels, sides = filters, [(side + 2 * padding - 4) // 2 for side in sides]
        stages.append(nn.Sequential(nn.Flatten(), nn.Linear(channels * sides[0] * sides[1], 120), nn.ReLU()))
        stages.append(nn.Sequential(nn.Linear(120, 84), nn.ReLU()))
        return Network(stages, nn.Linear(84, classes))
