"""What every recipe is: a value that says which algorithm to run."""

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

import msgspec

from condensery.errors import InputError
from condensery.fields import check, with_fields_in_help
from condensery.networks.net import Architecture, Factory, Net, factory_name

if TYPE_CHECKING:
    from condensery.algorithms.algorithm import Algorithm
    from condensery.algorithms.matching import Matching
    from condensery.data import RealSet
    from condensery.networks.network import Network

__all__ = ["Recipe", "Wrapper"]


@dataclass(frozen=True)
class Recipe(ABC):
    """A method: its hyper-parameters are the fields of a frozen dataclass, and `algorithm` is its algorithm box."""

    name: ClassVar[str]
    """What tables and the command line call it."""
    protocol: ClassVar[str] = "dc2021"
    """The protocol of its paper."""
    presets: ClassVar[tuple[str, ...]] = ()
    """Class methods that make it with other settings; `quick`, for minutes on a CPU."""

    if TYPE_CHECKING:  # every recipe has these, as fields or as what its base says

        @property
        def ipc(self) -> int: ...

        @property
        def seed(self) -> int: ...

        @property
        def net(self) -> Architecture: ...

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        with_fields_in_help(cls)

    def __post_init__(self) -> None:
        check(self)
        if isinstance(vars(self).get("net"), str):  # the name of a family
            object.__setattr__(self, "net", Net(vars(self)["net"]))

    @abstractmethod
    def algorithm(self, real: "RealSet") -> "Algorithm":
        """What this recipe does with `real`: the parts of its algorithm, ready to run.

        Raises:
            InputError: the real rows do not suit the recipe: too few of a class, images too small for the network, ...
        """

    @classmethod
    def named(cls) -> "dict[str, Recipe]":
        """The names under which the command line knows it and its presets, `dc` and `dc:quick` say."""
        return {cls.name: cls(), **{f"{cls.name}:{preset}": getattr(cls, preset)() for preset in cls.presets}}

    def having(self, **fields: Any) -> Self:
        """The same recipe with other values of some fields; inside wrappers, of the recipe's that is wrapped."""
        return dataclasses.replace(self, **fields)

    def record(self) -> dict[str, Any]:
        """The name and all fields, as a JSON file gives them back."""
        return {"name": self.name, **{f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}}

    def network(self, real: "RealSet") -> "Network":
        """The network to match in, for rows such as `real`'s."""
        from condensery.networks.net import build

        return build(self.net, real.shape, real.classes).to(real.device, real.dtype)


def _plain(value: Any) -> Any:
    """A field's value as JSON has it; a network of the user's own by its name."""
    if isinstance(value, Recipe):
        return value.record()
    if isinstance(value, Factory):
        return {"factory": factory_name(value)}
    return msgspec.json.decode(msgspec.json.encode(value))


R = TypeVar("R", bound=Recipe)


@dataclass(frozen=True)
class Wrapper(Recipe, Generic[R]):
    """A recipe around a recipe: it changes some parts of the other's algorithm, and knows no more of it."""

    base: R
    """The recipe inside, which may be a wrapper itself."""

    def __post_init__(self) -> None:
        super().__post_init__()
        inside: Recipe = self.base
        while isinstance(inside, Wrapper):
            if type(inside) is type(self):
                raise InputError(f"{self.name} is there already; once is enough")
            inside = inside.base

    @classmethod
    def fitting(cls, base: Recipe) -> Recipe:
        """The base as the command line wraps it where the user sets nothing else."""
        return base

    def having(self, **fields: Any) -> Self:
        """The wrapper around its base with other values of some fields."""
        return dataclasses.replace(self, base=self.base.having(**fields))

    @property
    def ipc(self) -> int:
        """The base's."""
        return self.base.ipc

    @property
    def seed(self) -> int:
        """The base's."""
        return self.base.seed

    @property
    def net(self) -> Architecture:
        """The base's."""
        return self.base.net

    @property
    def protocol(self) -> str:  # type: ignore[override]
        """The base's."""
        return self.base.protocol

    def matching(self, real: "RealSet") -> "Matching":
        """The base's algorithm.

        Raises:
            InputError: it matches nothing, as coresets do.
        """
        from condensery.algorithms.matching import Matching

        made = self.base.algorithm(real)
        if not isinstance(made, Matching):
            raise InputError(f"{self.name} changes what is matched, and {self.base.name} matches nothing; take dc, say")
        return made
