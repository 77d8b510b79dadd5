"""The torch-free description of a network, for recipes and the command line; `networks.build` makes the network."""

from dataclasses import dataclass
from typing import Literal

from condensery.errors import InputError
from condensery.fields import well_typed

__all__ = ["Activation", "Family", "Net", "Norm", "Pooling"]

Family = Literal["convnet", "mlp"]
Norm = Literal["instance", "batch", "layer", "group", "none"]
Activation = Literal["relu", "leaky_relu", "sigmoid", "swish"]
Pooling = Literal["avg", "max", "none"]


@dataclass(frozen=True)
class Net:
    """A network before the data's shape is known. The defaults are the papers' ConvNet."""

    family: Family = "convnet"
    """Which architecture."""
    width: int = 128
    """Filters of a convolution, or units of a hidden layer."""
    depth: int | None = None
    """ConvNet's blocks; None: by image size (8 px 2, 28 and 32 px 3, 64 px 4, 128 px 5)."""
    norm: Norm = "instance"
    """ConvNet's normalisation."""
    activation: Activation = "relu"
    """ConvNet's nonlinearity."""
    pooling: Pooling = "avg"
    """ConvNet's pooling, which halves the sides."""

    def __post_init__(self) -> None:
        well_typed(self)
        if not 1 <= self.width <= 4096 or (self.norm == "group" and self.width % 4):
            raise InputError(
                f"net.width must be at least 1, at most 4096, and a multiple of 4 with group norm; got {self.width}"
            )
        if self.depth is not None and not 1 <= self.depth <= 32:
            raise InputError(f"net.depth must be at least 1 and at most 32, got {self.depth}")
