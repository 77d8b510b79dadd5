"""What every recipe is: a value that says which algorithm to run."""

import dataclasses
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, cast

from condensery.errors import InputError
from condensery.fields import well_typed
from condensery.net import Net

if TYPE_CHECKING:
    from condensery.algorithm import Algorithm, Matching
    from condensery.data import RealSet
    from condensery.networks import Network

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
        def net(self) -> Net: ...

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
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        plain = {k: v.record() if isinstance(v, Recipe) else v for k, v in fields.items()}
        record = {"name": self.name, **plain}
        try:
            text = json.dumps(record, default=dataclasses.asdict)
        except (TypeError, ValueError) as error:
            raise InputError(f"{self!r}: a field that JSON cannot hold ({error}); give numbers and words") from error
        return cast(dict[str, Any], json.loads(text))

    def network(self, real: "RealSet") -> "Network":
        """The network to match in, for rows such as `real`'s."""
        from condensery.networks import build

        return build(self.net, real.shape, real.classes).to(real.device, real.dtype)


R = TypeVar("R", bound=Recipe)


@dataclass(frozen=True)
class Wrapper(Recipe, Generic[R]):
    """A recipe around a recipe: it changes some parts of the other's algorithm, and knows no more of it.

    Arguments:
        base: the recipe inside, which may be a wrapper itself.
    """

    base: R

    def __post_init__(self) -> None:
        well_typed(self)
        inside: Any = self.base
        if not isinstance(inside, Recipe):
            raise InputError(f"{self.name} goes around a recipe, such as DC(ipc=10), not around {inside!r}")
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
    def net(self) -> Net:
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
        from condensery.algorithm import Matching

        made = self.base.algorithm(real)
        if not isinstance(made, Matching):
            raise InputError(f"{self.name} changes what is matched, and {self.base.name} matches nothing; take dc, say")
        return made
