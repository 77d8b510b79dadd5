"""Ways to describe a network before the shape of the data is known: `Net`, or `Factory`, a user's function."""

import hashlib
import inspect
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Protocol, get_args, runtime_checkable

from msgspec import Meta

from condensery.errors import InputError, bounded
from condensery.fields import check, with_fields_in_help

if TYPE_CHECKING:
    from torch import nn

    from condensery.networks.network import Network

__all__ = [
    "Activation",
    "Architecture",
    "Factory",
    "Family",
    "Net",
    "Norm",
    "Pooling",
    "build",
    "described",
    "factory_name",
    "factory_record",
]

Family = Literal["convnet", "mlp"]
Norm = Literal["instance", "batch", "layer", "group", "none"]
Activation = Literal["relu", "leaky_relu", "sigmoid", "swish"]
Pooling = Literal["avg", "max", "none"]


@dataclass(frozen=True)
class Net:
    """A description of one of the library's networks. The defaults are the ConvNet of the papers.

    Raises:
        InputError: a field has a value that its annotation does not allow, or `norm` is `"group"` and 4 does not divide
            `width`.
    """

    in_messages: ClassVar[str] = "net."

    family: Family = "convnet"
    """The architecture: a ConvNet or a multilayer perceptron."""
    width: Annotated[int, Meta(ge=1, le=4096)] = 128
    """Filters of each convolution, or units of each hidden layer."""
    depth: Annotated[int, Meta(ge=1, le=32)] | None = None
    """Number of blocks of a ConvNet. None: by image size (2 for 8 pixels, 3 for 28 and 32, 4 for 64, 5 for 128)."""
    norm: Norm = "instance"
    """Normalization in each block of a ConvNet."""
    activation: Activation = "relu"
    """Nonlinearity in each block of a ConvNet."""
    pooling: Pooling = "avg"
    """Pooling in each block of a ConvNet, which halves the sides."""

    def __post_init__(self) -> None:
        check(self)
        if self.norm == "group" and self.width % 4:
            raise InputError(f"`net.width` must be a multiple of 4 with group norm, got {self.width}")


with_fields_in_help(Net)


@runtime_checkable
class Factory(Protocol):
    """A function that makes a user-defined network, with new random weights from torch's generator at every call.

    The module maps normalized rows (n, channels, height, width) to logits (n, classes). In evaluation mode, the logits
    of a row must not depend on the other rows. If the module has a method `embed`, which maps rows to embeddings
    (n, d), it is used; otherwise the embedding is the input of the linear layer that runs last.
    """

    def __call__(self, shape: tuple[int, int, int], classes: int, /) -> "nn.Module":
        """Make the module for rows of `shape` (channels, height, width)."""
        ...


Architecture = Net | Family | Factory
"""The ways to give a network: a description, the name of a family, or a function that makes a module."""


def build(net: Architecture, shape: tuple[int, int, int], classes: int) -> "Network":
    """Build the network for rows of `shape` (channels, height, width), on the CPU.

    Raises:
        InputError: the images are too small for the network, the network is larger than `errors.bounded` allows, `net`
            is not an `Architecture`, or a user-defined module does not meet the requirements of `Factory`.
    """
    import torch

    from condensery.networks.convnet import ConvNet
    from condensery.networks.mlp import MLP
    from condensery.networks.own import Own

    if isinstance(net, str) and net in get_args(Family):
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

    with torch.device("meta"):  # counts the weights without allocating them
        weights = sum(parameter.numel() for parameter in made().parameters())
    bounded(3 * 4 * weights, f"training a network of {weights:,} weights ({net.family} of width {net.width})")
    return made()


def described(net: Architecture) -> str:
    """A short text for an architecture: its family and the fields that are not defaults, or the function's name."""
    if isinstance(net, str):
        return net
    if not isinstance(net, Net):
        return factory_name(net)
    differing = [f"{k} {v}" for k, v in vars(net).items() if k != "family" and v != getattr(Net(), k)]
    return " ".join([net.family, *differing])


def factory_record(factory: Factory) -> dict[str, str]:
    """What a file holds of a user-defined network: the function's name, a hash of its source, and what it is bound to.

    A run does not resume with a function that has changed in one of these. What the function reads besides, such as a
    global variable, is not known.
    """
    if isinstance(factory, partial):
        return {**factory_record(factory.func), "arguments": repr((factory.args, factory.keywords))}
    record = {"factory": factory_name(factory)}
    named = inspect.isroutine(factory) or inspect.isclass(factory)
    with suppress(OSError, TypeError):  # typed in at a prompt: there is no source to read
        source = inspect.getsource(factory if named else type(factory))
        record["source"] = hashlib.blake2b(source.encode(), digest_size=8).hexdigest()
    return record if named else {**record, "arguments": repr(getattr(factory, "__dict__", {}))}


def factory_name(factory: Factory) -> str:
    """The name of a user's function together with its module, `module.name`."""
    named = factory if hasattr(factory, "__qualname__") else type(factory)
    return f"{named.__module__}.{named.__qualname__}"
