"""Ways to give a network before the shape of the data is known: a `Net`, a name, or a `Factory`, a user's function."""

import hashlib
import inspect
import warnings
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, runtime_checkable

from condensery.errors import InputError, bounded
from condensery.fields import check, with_fields_in_help

if TYPE_CHECKING:
    from torch import nn

    from condensery.networks.network import Network

__all__ = [
    "Architecture",
    "Factory",
    "Net",
    "build",
    "described",
    "factory_name",
    "factory_record",
    "record",
    "refuse_class",
]


@dataclass(frozen=True)
class Net(ABC):
    """A description of a network: the base class of the library's network families, each with its own fields.

    A family is a frozen dataclass. It does not import torch before a network is made.

    Raises:
        InputError: a field has a value that its annotation does not allow.
    """

    in_messages: ClassVar[str] = "net."
    family: ClassVar[str]
    """The name of the family in files."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        with_fields_in_help(cls)

    def __post_init__(self) -> None:
        check(self)

    @property
    def has_batch_norm(self) -> bool:
        """Whether the network has batch norm, whose statistics need many rows."""
        return getattr(self, "norm", None) == "batch"

    def with_instance_norm(self) -> Self:
        """The same network with instance norm in the place of batch norm."""
        return replace(self, **{"norm": "instance"} if self.has_batch_norm else {})

    @abstractmethod
    def network(self, shape: tuple[int, int, int], classes: int) -> "Network":
        """Make the network for rows of `shape` (channels, height, width); `build` also checks its size.

        Raises:
            InputError: the images are too small for the network.
        """


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


Architecture = Net | str | Factory
"""The ways to give a network: a description, a name (see `names.named`), or a function that makes a module."""


def refuse_class(net: object) -> None:
    """Refuse the class of a `Net` in the place of an instance.

    Raises:
        InputError: `net` is such a class.
    """
    if isinstance(net, type) and issubclass(net, Net):
        raise InputError(f"`net` is the class {net.__name__}; give an instance, such as {net.__name__}()")


def build(net: Architecture, shape: tuple[int, int, int], classes: int) -> "Network":
    """Build the network for rows of `shape` (channels, height, width), on the CPU.

    Raises:
        InputError: the images are too small for the network, the network is larger than `errors.bounded` allows, `net`
            is not an `Architecture`, or a user-defined module does not meet the requirements of `Factory`.
    """
    import torch

    from condensery.networks.names import named
    from condensery.networks.own import Own

    net = named(net) if isinstance(net, str) else net
    refuse_class(net)
    if not isinstance(net, Net):
        if not isinstance(net, Factory):
            raise InputError(
                f"`net` must be a Net, a name or a function (shape, classes) -> torch.nn.Module; got {net!r}"
            )
        return Own(net, shape, classes)
    with torch.device("meta"), warnings.catch_warnings():  # counts the weights without allocating them
        warnings.simplefilter("ignore")  # PyTorch's about layers without weights, if images are too small
        network = net.network(shape, classes)
        try:
            network(torch.empty(2, *shape))
        except RuntimeError as error:
            words = f"images of {shape[1]}x{shape[2]} are too small for the network {described(net)}"
            raise InputError(f"{words}; give larger images or another network") from error
    weights = sum(parameter.numel() for parameter in network.parameters())
    bounded(3 * 4 * weights, f"training a network of {weights:,} weights ({described(net)})")
    return net.network(shape, classes)


def described(net: Architecture) -> str:
    """A short text for an architecture: its name, or its family and the fields that are not defaults."""
    from condensery.networks.names import NETWORKS

    if isinstance(net, str):
        return net
    if not isinstance(net, Net):
        return factory_name(net)
    if names := [name for name, known in NETWORKS.items() if known == net]:
        return names[0]
    differing = [(field.name, value) for field in fields(net) if (value := getattr(net, field.name)) != field.default]
    return " ".join([net.family, *(f"{name} {value}" for name, value in differing)])


def record(net: Net | Factory) -> dict[str, Any]:
    """What a file holds of a network: its family and fields (`names.recorded` is the inverse), or `factory_record`."""
    return {"family": net.family, **asdict(net)} if isinstance(net, Net) else factory_record(net)


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
    """The name of a user's function together with its module, `module.name`, or the name of a `packages.Packaged`."""
    from condensery.networks.packages import Packaged

    if isinstance(factory, Packaged):
        return factory.name
    named = factory if hasattr(factory, "__qualname__") else type(factory)
    return f"{named.__module__}.{named.__qualname__}"
