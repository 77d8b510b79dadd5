"""The base classes of recipes."""

import dataclasses
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

import msgspec

from condensery.errors import InputError, look_up
from condensery.fields import byte_count, check, shallow, with_fields_in_help
from condensery.networks.names import named, packaged, recorded
from condensery.networks.net import Architecture, Factory, Net, record, refuse_class

if TYPE_CHECKING:
    from condensery.algorithms.algorithm import Algorithm
    from condensery.algorithms.matching import Matching
    from condensery.data import RealSet
    from condensery.networks.network import Network
    from condensery.objectives import Statistic

__all__ = ["Recipe", "Wrapper"]

log = logging.getLogger("condensery")


@dataclass(frozen=True)
class Recipe(ABC):
    """A condensation method: the fields are its hyper-parameters, and `algorithm` is its algorithm box."""

    name: ClassVar[str]
    """The name of the method in tables and on the command line."""
    protocol: ClassVar[str] = "dc2021"
    """The evaluation protocol of its paper."""
    presets: ClassVar[tuple[str, ...]] = ()
    """Names of the class methods that return other settings, such as `quick` for minutes on a CPU."""
    main_fields: ClassVar[tuple[str, ...]] = ("ipc", "seed")
    """The fields that users set most often, which the help of the command line lists first."""

    if TYPE_CHECKING:  # a recipe has these as fields, a wrapper takes them from its base

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
        for name, value in vars(self).items():
            if isinstance(value, list):  # as read from a file
                object.__setattr__(self, name, tuple(value))
        check(self)
        if not isinstance(getattr(self, "name", None), str):
            raise InputError(f'the recipe {type(self).__name__} has no name; write name = "..." in its class')
        net: Any = vars(self).get("net")
        refuse_class(net)
        if isinstance(net, str):
            object.__setattr__(self, "net", named(net))
        elif hasattr(net, "state_dict") and not isinstance(net, type):
            raise InputError(
                "`net` is a network; give a function (shape, classes) -> torch.nn.Module, such as its class"
            )

    @abstractmethod
    def algorithm(self, real: "RealSet") -> "Algorithm":
        """The algorithm of this recipe for the training set `real`, ready to run.

        Raises:
            InputError: the real rows do not suit the recipe: for example, a class has too few of them, or images are
                too small for the network.
        """

    @classmethod
    def named(cls) -> "dict[str, Recipe]":
        """The recipe and its presets by their names on the command line, such as `dc` and `dc:quick`."""
        return {cls.name: cls(), **{f"{cls.name}:{preset}": getattr(cls, preset)() for preset in cls.presets}}

    def having(self, **fields: Any) -> Self:
        """A copy with other values of some fields. A wrapper passes the fields on to the recipe it wraps."""
        return dataclasses.replace(self, **fields)

    def record(self) -> dict[str, Any]:
        """The name and all fields, as types that JSON preserves."""
        return {"name": self.name, **{f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}}

    def within(self, bytes: int | str, real: "RealSet", per_number: int | None = None, extra: int = 0) -> Self:
        """The recipe with the largest `ipc` whose set stores at most `bytes`.

        A warning says so if a class has too few real images for it (see `possible`).

        Arguments:
            bytes: a number, or text such as "40 KB" or "1.5 MB" (thousands and millions of bytes).
            real: the training set, whose classes and shape determine what an image per class takes.
            per_number: bytes per stored number. None: those of the number format of the rows.
            extra: bytes that are stored in addition to the numbers.

        Raises:
            InputError: `bytes` does not hold one image per class, or is not a number of bytes.
        """
        room, number = byte_count(bytes), per_number or real.dtype.itemsize
        image = real.classes * self.per_image(real) * number
        extra += self.shared(real) * number
        if room < image + extra:
            raise InputError(
                f"{room:,} bytes are too few: one image for each of the {real.classes} classes of {real.name} takes "
                f"{image + extra:,} bytes; give more, or smaller images"
            )
        ipc = (room - extra) // image
        if (most := self.possible(ipc, real)) < ipc:
            name, used = real.class_names[real.sizes.index(min(real.sizes))], most * image + extra
            log.warning(
                f"class {name!r} has only {most} images, so {self.name} stores no more of any class; this takes "
                f"{used:,} of {room:,} bytes"
            )
        return self.having(ipc=most)

    def possible(self, ipc: int, real: "RealSet") -> int:
        """The largest number of images per class, up to `ipc`, that `real` allows.

        If images start from real ones, it is at most the number of real images in the smallest class.
        """
        return ipc if getattr(self, "init", "real") == "noise" else min(ipc, *real.sizes)

    def per_image(self, real: "RealSet") -> int:
        """The number of floats that `ipc` counts as one image."""
        channels, height, width = real.shape
        return channels * height * width

    def shared(self, real: "RealSet") -> int:
        """The number of stored floats that all images share and that `ipc` does not count."""
        return 0

    @staticmethod
    def of_record(record: Mapping[str, Any]) -> "Recipe":
        """The recipe that `record` described, perhaps in a file from a stranger.

        Raises:
            InputError: the recipe or one of its fields is unknown, a field is missing or cannot have its value, or the
                network is a function of a program, of which a record has the name only.
        """
        if not shallow(record):
            raise InputError("the record of a recipe is nested too deeply to be one; give that of a run")
        kinds: dict[str, Any] = {kind.name: kind for kind in _kinds(Recipe)}  # type: ignore[type-abstract]
        also = ("a recipe of your own, which Python must import first (on the command line MODULE:CLASS)",)
        kind = look_up(kinds, str(record.get("name")), "recipe", also)
        known = {field.name: field for field in dataclasses.fields(kind)}
        given = {name: _from_plain(value) for name, value in record.items() if name != "name"}
        for name in given:
            look_up(known, name, f"field of {kind.name}")
        for name, field in known.items():
            if name not in given and field.default is field.default_factory is dataclasses.MISSING:
                raise InputError(f"the record of {kind.name} has no `{name}`; give the whole record")
        made: Recipe = kind(**given)
        return made

    @staticmethod
    def protocol_of(record: Mapping[str, Any]) -> str:
        """The evaluation protocol of the paper of a recorded recipe; dc2021 if the recipe is unknown.

        The record of a user-defined network has only its name, so that it makes no network; the recipe is then made
        without it. If that fails too, as for an imported set, the name of the innermost recipe counts.
        """
        inside = record
        while isinstance(base := inside.get("base"), Mapping):
            inside = base
        for known in (record, _without_net(record), {"name": inside.get("name")}):
            with suppress(InputError):
                return Recipe.of_record(known).protocol
        return "dc2021"

    def network(self, real: "RealSet") -> "Network":
        """The network to match in, built for the shape and the classes of `real`."""
        from condensery.networks.net import build

        return build(self.net, real.shape, real.classes).to(real.device, real.dtype)


def _plain(value: Any) -> Any:
    """A field's value in JSON types; a network becomes its family and fields, a user-defined one its name."""
    if isinstance(value, Recipe):
        return value.record()
    if isinstance(value, Net | Factory):
        value = record(value)
    return msgspec.json.decode(msgspec.json.encode(value))


def _from_plain(value: Any) -> Any:
    """The inverse of `_plain`; the recipe that is made checks the value."""
    match value:
        case {"factory": name}:
            if (found := packaged(value)) is None:
                raise InputError(f"only the name of the network {name} is recorded; write the recipe in Python")
            return found
        case {"family": _}:
            return recorded(value)
        case {"name": _}:
            return Recipe.of_record(value)
        case [*items]:
            return tuple(_from_plain(item) for item in items)
    return value


def _without_net(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a recipe without the network of its innermost recipe."""
    inside = {"base": _without_net(base)} if isinstance(base := record.get("base"), Mapping) else {}
    return {name: value for name, value in record.items() if name != "net"} | inside


def _kinds(of: type[Recipe]) -> Iterator[type[Recipe]]:
    """The recipes that are classes below `of`, those of a program that has been imported too."""
    for kind in of.__subclasses__():
        if hasattr(kind, "name"):
            yield kind
        yield from _kinds(kind)


R = TypeVar("R", bound=Recipe)


@dataclass(frozen=True)
class Wrapper(Recipe, Generic[R]):
    """A recipe that wraps another recipe and replaces some parts of its algorithm."""

    base: R
    """The wrapped recipe, which may be a wrapper itself."""

    def __post_init__(self) -> None:
        super().__post_init__()
        inside: Recipe = self.base
        while isinstance(inside, Wrapper):
            if type(inside) is type(self):
                raise InputError(f"{self.name} is applied twice; leave one of them out")
            inside = inside.base

    @classmethod
    def fitting(cls, base: Recipe) -> Recipe:
        """`base`, with defaults changed that do not suit this wrapper; the command line wraps the result."""
        return base

    def having(self, **fields: Any) -> Self:
        """A copy whose base has other values of some fields."""
        return dataclasses.replace(self, base=self.base.having(**fields))

    def within(self, bytes: int | str, real: "RealSet", per_number: int | None = None, extra: int = 0) -> Self:
        """A copy whose base has the largest `ipc` that fits."""
        return dataclasses.replace(self, base=self.base.within(bytes, real, per_number, extra))

    @property
    def ipc(self) -> int:
        """The base's `ipc`."""
        return self.base.ipc

    @property
    def seed(self) -> int:
        """The base's `seed`."""
        return self.base.seed

    @property
    def net(self) -> Architecture:
        """The base's `net`."""
        return self.base.net

    @property
    def main_fields(self) -> tuple[str, ...]:  # type: ignore[override]
        """The base's `main_fields`."""
        return self.base.main_fields

    @property
    def protocol(self) -> str:  # type: ignore[override]
        """The base's `protocol`."""
        return self.base.protocol

    def matching(self, real: "RealSet") -> "Matching":
        """The algorithm of `base`.

        Raises:
            InputError: it does not match anything; coresets, for example, choose real images.
        """
        from condensery.algorithms.matching import Matching

        made = self.base.algorithm(real)
        if not isinstance(made, Matching):
            raise InputError(
                f"{self.name} cannot wrap {self.base.name}, which does not learn by matching real images; wrap dc, for "
                "example"
            )
        return made

    def statistic(self, made: "Matching") -> "Statistic":
        """The objective of the algorithm of `base`, if it compares statistics of synthetic and real rows.

        Raises:
            InputError: it compares none.
        """
        from condensery.objectives import Statistic

        if not isinstance(made.objective, Statistic):
            raise InputError(
                f"{self.name} cannot wrap {self.base.name}, which compares no statistics of images; apply {self.name} "
                f"first, as in `dc:quick+{self.name}+{self.base.name}`"
            )
        return made.objective
