"""The multilayer perceptron."""

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Annotated, ClassVar

from msgspec import Meta

from condensery.networks.net import Net

if TYPE_CHECKING:
    from condensery.networks.network import Network

__all__ = ["MLP"]


@dataclass(frozen=True)
class MLP(Net):
    """A multilayer perceptron: two hidden layers with ReLU, then a linear classifier.

    References:
        DC section 3.1: "two nonlinear hidden layers, each has 128 units".
    """

    family: ClassVar[str] = "mlp"

    width: Annotated[int, Meta(ge=1, le=4096)] = 128
    """Units of each hidden layer."""

    def network(self, shape: tuple[int, int, int], classes: int) -> "Network":
        """Make the network for rows of `shape` (channels, height, width)."""
        from torch import nn

        from condensery.networks.network import Network

        first = nn.Sequential(nn.Flatten(), nn.Linear(prod(shape), self.width), nn.ReLU())
        second = nn.Sequential(nn.Linear(self.width, self.width), nn.ReLU())
        return Network([first, second], nn.Linear(self.width, classes), compiled=True)
