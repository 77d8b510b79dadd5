"""ConvNet-D, the network that the papers on condensation use for condensing and evaluating."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from condensery.errors import InputError
from condensery.networks.net import Net

if TYPE_CHECKING:
    from torch import nn

    from condensery.networks.network import Network

__all__ = ["ConvNet", "default_depth"]


def default_depth(height: int, width: int) -> int:
    """The number of blocks until 4 px are left, at least 2: 2 for 8 px, 3 for 28 and 32, 4 for 64, 5 for 128."""
    depth, side = 0, min(height, width)
    while side > 4:
        side, depth = side // 2, depth + 1
    return max(depth, 2)


@dataclass(frozen=True)
class ConvNet(Net):
    """[3 x 3 convolution, norm, activation, pooling] x depth, then a linear classifier.

    The first convolution enlarges images of one channel and at least 28 pixels a side by 4 pixels (padding 3), as in
    the programs of the papers: 28 x 28 to 32 x 32. Other images keep their size (padding 1).

    Raises:
        InputError: a field has a value that its annotation does not allow, or `norm` is `"group"` and 4 does not divide
            `width`.

    References:
        Gidaris & Komodakis 2018; DC section 3.1 and table T6 to T10.
    """

    family: ClassVar[str] = "convnet"

    width: Annotated[int, Meta(ge=1, le=4096)] = 128
    """Filters of each convolution."""
    depth: Annotated[int, Meta(ge=1, le=32)] | None = None
    """Number of blocks. None: by image size (2 for 8 pixels, 3 for 28 and 32, 4 for 64, 5 for 128)."""
    norm: Literal["instance", "batch", "layer", "group", "none"] = "instance"
    """Normalization in each block."""
    activation: Literal["relu", "leaky_relu", "sigmoid", "swish"] = "relu"
    """Nonlinearity in each block."""
    pooling: Literal["avg", "max", "none"] = "avg"
    """Pooling in each block, which halves the sides."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.norm == "group" and self.width % 4:
            raise InputError(f"`net.width` must be a multiple of 4 with group norm, got {self.width}")

    def network(self, shape: tuple[int, int, int], classes: int) -> "Network":
        """Make the network; its `chain` is set if `kernels.chain` has passes for it."""
        from torch import nn

        from condensery.networks.blocks import padded
        from condensery.networks.network import Network

        activations: dict[str, type[nn.Module]] = {
            "relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "sigmoid": nn.Sigmoid, "swish": nn.SiLU
        }  # fmt: skip
        channels, *sides = shape
        depth = default_depth(*sides) if self.depth is None else self.depth
        stages, paddings = [], [3 if padded(shape) else 1, *[1] * (depth - 1)]
        for block, padding in enumerate(paddings):
            sides = [side + 2 * padding - 2 for side in sides]
            layers = [nn.Conv2d(channels, self.width, 3, padding=padding), *self._norm(sides)]
            layers.append(activations[self.activation]())
            if self.pooling != "none":
                if min(sides) < 2:
                    raise InputError(
                        f"a ConvNet of depth {depth} is too deep for images of {shape[1]}x{shape[2]}; "
                        f"use at most {block} blocks"
                    )
                layers.append(nn.AvgPool2d(2) if self.pooling == "avg" else nn.MaxPool2d(2))
                sides = [side // 2 for side in sides]
            stages.append(nn.Sequential(*layers))
            channels = self.width
        written = (self.norm, self.activation, self.pooling) == ("instance", "relu", "avg")
        chain = (shape, tuple(paddings), self.width) if written else None
        return Network(stages, nn.Linear(channels * sides[0] * sides[1], classes), chain, compiled=True)

    def _norm(self, sides: list[int]) -> "list[nn.Module]":
        from torch import nn

        from condensery.networks.blocks import norm

        match self.norm:
            case "group":
                return [nn.GroupNorm(4, self.width)]
            case "layer":
                return [nn.LayerNorm([self.width, *sides])]
            case "none":
                return []
            case kind:
                return [norm(kind, self.width)]
