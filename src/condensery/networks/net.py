"""A network before the data's shape is known: a description of one of ours, or a function that makes one."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Protocol, runtime_checkable

from msgspec import Meta

from condensery.errors import InputError, bounded
from condensery.fields import check, with_fields_in_help

if TYPE_CHECKING:
    from torch import nn

    from condensery.networks.network import Network

__all__ = ["Activation", "Architecture", "Factory", "Family", "Net", "Norm", "Pooling", "build", "described"]

Family = Literal["convnet", "mlp"]
Norm = Literal["instance", "batch", "layer", "group", "none"]
Activation = Literal["relu", "leaky_relu", "sigmoid", "swish"]
Pooling = Literal["avg", "max", "none"]


@dataclass(frozen=True)
class Net:
    """One of the library's networks. The defaults are the papers' ConvNet.

    Raises:
        InputError: a field is not what its annotation says, or group norm has a width that 4 does not divide.
    """

    in_messages: ClassVar[str] = "net."

    family: Family = "convnet"
    """The architecture."""
    width: Annotated[int, Meta(ge=1, le=4096)] = 128
    """Filters of a convolution, or units of a hidden layer."""
    depth: Annotated[int, Meta(ge=1, le=32)] | None = None
    """Blocks of a ConvNet; None: by image size (8 pixels 2, 28 and 32 pixels 3, 64 pixels 4, 128 pixels 5)."""
    norm: Norm = "instance"
    """Normalization in a ConvNet."""
    activation: Activation = "relu"
    """Nonlinearity of a ConvNet."""
    pooling: Pooling = "avg"
    """Pooling in a ConvNet, which halves the sides."""

    def __post_init__(self) -> None:
        check(self)
        if self.norm == "group" and self.width % 4:
            raise InputError(f"`net.width` must be a multiple of 4 with group norm, got {self.width}")


with_fields_in_help(Net)


@runtime_checkable
class Factory(Protocol):
    """A function that makes a network of the user's own, with new random weights at every call.

    Its module maps normalized rows (n, channels, height, width) to logits (n, classes). In evaluation mode a row's
    logits must not depend on the other rows. What embeds a row is the module's method `embed`, which maps rows to
    (n, d); without one, the input of the linear layer that runs last.
    """

    def __call__(self, shape: tuple[int, int, int], classes: int, /) -> "nn.Module":
        """The module for rows of `shape` (channels, height, width)."""
        ...


Architecture = Net | Family | Factory
"""Wherever a network is asked for: a description, the name of a family, or a function that makes a module."""


def build(net: Architecture, shape: tuple[int, int, int], classes: int) -> "Network":
    """The network for rows of `shape` (channels, height, width), on the CPU.

    Raises:
        InputError: images too small for the network, a network too large for `errors.bounded`, no architecture at
            all, or a module of the user's that does not do what `Factory` says.
    """
    import torch

    from condensery.networks.convnet import ConvNet
    from condensery.networks.mlp import MLP
    from condensery.networks.own import Own

    if isinstance(net, str):
        net = Net(net)
    if not isinstance(net, Net):
        if not isinstance(net, Factory):
            raise InputError(
                f"`net` must be a Net, 'convnet', 'mlp' or a function (shape, classes) -> torch.nn.Module; got {net!r}"
            )
        return Own(net, shape, classes)

    def made() -> "Network":
        if net.family == "mlp":
            return MLP(shape, classes, net.width)
        return ConvNet(shape, classes, net.width, net.depth, net.norm, net.activation, net.pooling)

    with torch.device("meta"):  # to see its size before it takes room
        weights = sum(parameter.numel() for parameter in made().parameters())
    bounded(3 * 4 * weights, f"training a network of {weights:,} weights ({net.family} of width {net.width})")
    return made()


def described(net: Architecture) -> str:
    """An architecture in a few words: its family and what differs from the default, or the function's name."""
    if isinstance(net, str):
        return net
    if not isinstance(net, Net):
        return factory_name(net)
    differing = [f"{k} {v}" for k, v in vars(net).items() if k != "family" and v != getattr(Net(), k)]
    return " ".join([net.family, *differing])


def factory_name(factory: Factory) -> str:
    """Where a function of the user's is defined, `module.name`."""
    named = factory if hasattr(factory, "__qualname__") else type(factory)
    return f"{named.__module__}.{named.__qualname__}"
