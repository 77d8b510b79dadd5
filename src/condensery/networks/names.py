"""The names of networks."""

from collections.abc import Mapping
from typing import Any

from condensery.errors import InputError, look_up
from condensery.networks.alexnet import AlexCifarNet, AlexNet
from condensery.networks.convnet import ConvNet
from condensery.networks.densenet import DenseNet
from condensery.networks.efficientnet import EfficientNet
from condensery.networks.lenet import LeNet
from condensery.networks.mlp import MLP
from condensery.networks.net import Factory, Net
from condensery.networks.packages import PACKAGES, Packaged
from condensery.networks.resnet import ResNet
from condensery.networks.vgg import VGG

__all__ = ["FAMILIES", "NETWORKS", "named", "recorded"]

NETWORKS: dict[str, Net] = {
    "convnet": ConvNet(),
    "convnet4": ConvNet(depth=4),
    "mlp": MLP(),
    "lenet": LeNet(),
    "alexnet": AlexNet(),
    "alexcifarnet": AlexCifarNet(),
    "vgg11": VGG(),
    "resnet10": ResNet(depth=10),
    "resnet18": ResNet(),
    "resnet18ap": ResNet(downsampling="average", features="all"),
    "resnetap10": ResNet(depth=10, downsampling="average", init="normal"),
    "densenet121": DenseNet(),
    "efficientnet-b0": EfficientNet(),
}
"""The networks of the papers, by name."""
FAMILIES = {type(net).family: type(net) for net in NETWORKS.values()}


def named(name: str) -> Net | Factory:
    """The network with a name: a key of `NETWORKS`, or `torchvision:NAME` or `timm:NAME` if the package is installed.

    Raises:
        InputError: there is no such network (the message suggests a similar name), or the package is not installed.
    """
    package, colon, model = name.partition(":")
    if colon and package in PACKAGES:
        return Packaged(package, model)
    return look_up(NETWORKS, name, "network", also=[f"{package}:NAME" for package in PACKAGES])


def recorded(record: Mapping[str, Any]) -> Net:
    """The network that `net.record` described, perhaps in a file from a stranger.

    Raises:
        InputError: the family is unknown, or it has no such field or value.
    """
    family, given = record.get("family"), {name: value for name, value in record.items() if name != "family"}
    if not isinstance(family, str) or family not in FAMILIES:
        raise InputError(f"unknown network family {family!r}; known: {', '.join(FAMILIES)}")
    try:
        return FAMILIES[family](**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})
    except TypeError as error:
        raise InputError(f"a {family} has other fields than {', '.join(map(str, given))} ({error})") from error
