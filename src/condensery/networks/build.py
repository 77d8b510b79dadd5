"""From a description to a network."""

import torch

from condensery.memory import bounded
from condensery.net import Net
from condensery.networks.convnet import ConvNet
from condensery.networks.mlp import MLP
from condensery.networks.network import Network

__all__ = ["build"]


def build(net: Net, shape: tuple[int, int, int], classes: int) -> Network:
    """The network that `net` describes, for rows of `shape` (channels, height, width).

    Raises:
        InputError: images too small for the network, or a network too large for `memory.bounded`.
    """

    def made() -> Network:
        if net.family == "mlp":
            return MLP(shape, classes, net.width)
        return ConvNet(shape, classes, net.width, net.depth, net.norm, net.activation, net.pooling)

    with torch.device("meta"):  # to see its size before it takes room
        weights = sum(parameter.numel() for parameter in made().parameters())
    bounded(3 * 4 * weights, f"training a network of {weights:,} weights ({net.family} of width {net.width})")
    return made()
