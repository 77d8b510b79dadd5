"""The multilayer perceptron."""

from math import prod

from torch import nn

from condensery.networks.network import Network

__all__ = ["MLP"]


class MLP(Network):
    """Two hidden layers with ReLU, then a linear classifier.

    Arguments:
        shape: (channels, height, width) of a row.
        classes: the number of logits.
        width: units of each hidden layer.

    References:
        DC section 3.1: "two nonlinear hidden layers, each has 128 units".
    """

    def __init__(self, shape: tuple[int, int, int], classes: int, width: int = 128):
        super().__init__()
        sizes = [prod(shape), width, width]
        first = nn.Sequential(nn.Flatten(), nn.Linear(sizes[0], sizes[1]), nn.ReLU())
        self.stages = nn.ModuleList([first, nn.Sequential(nn.Linear(sizes[1], sizes[2]), nn.ReLU())])
        self.head = nn.Linear(width, classes)
