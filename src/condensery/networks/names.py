"""The names of networks."""

import ast
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, replace
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

__all__ = ["FAMILIES", "NETWORKS", "named", "packaged", "recorded"]

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
    """The network with a name; the inverse of `net.described`.

    A name is a key of `NETWORKS`, or one of these or of `FAMILIES` with fields behind it, such as
    `convnet width 64 depth 4`; or `torchvision:NAME` or `timm:NAME` if the package is installed.

    Raises:
        InputError: there is no such network (the message suggests a similar name), it has no such field or value, or
            the package is not installed.
    """
    package, colon, model = name.partition(":")
    if colon and package in PACKAGES:
        return Packaged(package, model)
    first, *words = re.split(r" +(?![^(]*\))", name.strip())  # a value may be several numbers, such as (6, 12)
    if not words:
        return look_up(NETWORKS, first, "network", also=[f"{package}:NAME" for package in PACKAGES])
    net = look_up(NETWORKS | {family: kind() for family, kind in FAMILIES.items()}, first, "network")
    known = [field.name for field in fields(net)]
    if len(words) % 2 or (set(words[::2]) - set(known)):
        raise InputError(
            f"{name!r} is no network; after {first}, give pairs of a field and its value, such as {known[0]} "
            f"{getattr(net, known[0])}; fields: {', '.join(known)}"
        )
    return replace(net, **{field: _value(word) for field, word in zip(words[::2], words[1::2], strict=True)})


def _value(word: str) -> Any:
    """What a word stands for: a number, True, False, None, a tuple of these, or itself."""
    with suppress(ValueError, SyntaxError):
        return ast.literal_eval(word)
    return word


def packaged(record: Mapping[str, Any]) -> Factory | None:
    """The network of another package that `net.record` described; None: it is a user-defined one.

    Raises:
        InputError: the package is not installed, or has no such network.
    """
    package, colon, model = str(record.get("factory")).partition(":")
    return Packaged(package, model) if colon and package in PACKAGES else None


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
