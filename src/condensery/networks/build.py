"""From a description to a network."""

from condensery.net import Net
from condensery.networks.convnet import ConvNet
from condensery.networks.mlp import MLP
from condensery.networks.network import Network

__all__ = ["build"]


def build(net: Net, shape: tuple[int, int, int], classes: int) -> Network:
    """The network that `net` describes, for rows of `shape` (channels, height, width).

    Raises:
        InputError: images too small for the network.
    """
    if net.family == "mlp":
        return MLP(shape, classes, net.width)
    return ConvNet(shape, classes, net.width, net.depth, net.norm, net.activation, net.pooling)
