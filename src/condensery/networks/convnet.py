"""ConvNet-D, the network that the papers on condensation use for condensing and evaluating."""

from torch import nn

from condensery.errors import InputError
from condensery.networks.net import Activation, Norm, Pooling
from condensery.networks.network import Network

__all__ = ["ConvNet", "default_depth"]

_ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "sigmoid": nn.Sigmoid,
    "swish": nn.SiLU,
}


def default_depth(height: int, width: int) -> int:
    """The number of blocks until 4 px are left, at least 2: 2 for 8 px, 3 for 28 and 32, 4 for 64, 5 for 128."""
    depth, side = 0, min(height, width)
    while side > 4:
        side, depth = (side + 1) // 2, depth + 1
    return max(depth, 2)


class ConvNet(Network):
    """[3 x 3 convolution, norm, activation, pooling] x depth, then a linear classifier.

    Arguments:
        shape: (channels, height, width) of a row.
        classes: the number of logits.
        width: filters of every convolution.
        depth: number of blocks. None: by image size (`default_depth`).
        norm: normalization of every block. `"instance"` is group norm with one channel per group and learned scale and
            shift, as in the programs of the papers.
        activation: nonlinearity of every block.
        pooling: pooling of every block, which halves the sides.

    Attributes:
        chain: (shape, paddings, width) if `kernels.chain` has hand-written passes for this kind of ConvNet, else None.

    Images of 28 x 28 are padded to 32 x 32 by the first convolution (padding 3), as is usual for this network.

    Raises:
        InputError: the images are too small for the depth.

    References:
        Gidaris & Komodakis 2018; DC section 3.1 and table T6 to T10.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        width: int = 128,
        depth: int | None = None,
        norm: Norm = "instance",
        activation: Activation = "relu",
        pooling: Pooling = "avg",
    ):
        super().__init__()
        channels, *sides = shape
        depth = default_depth(*sides) if depth is None else depth
        stages, paddings = [], []
        for block in range(depth):
            padding = 3 if block == 0 and sides == [28, 28] else 1
            paddings.append(padding)
            sides = [side + 2 * padding - 2 for side in sides]
            layers = [nn.Conv2d(channels, width, 3, padding=padding), *_norm(norm, width, sides)]
            layers.append(_ACTIVATIONS[activation]())
            if pooling != "none":
                if min(sides) < 2:
                    raise InputError(
                        f"a ConvNet of depth {depth} is too deep for images of {shape[1]}x{shape[2]}; "
                        f"use at most {block} blocks"
                    )
                layers.append(nn.AvgPool2d(2) if pooling == "avg" else nn.MaxPool2d(2))
                sides = [side // 2 for side in sides]
            stages.append(nn.Sequential(*layers))
            channels = width
        self.stages = nn.ModuleList(stages)
        self.head = nn.Linear(channels * sides[0] * sides[1], classes)
        written = (norm, activation, pooling) == ("instance", "relu", "avg")
        self.chain = (shape, tuple(paddings), width) if written else None


def _norm(norm: Norm, width: int, sides: list[int]) -> list[nn.Module]:
    match norm:
        case "instance":
            return [nn.GroupNorm(width, width)]
        case "group":
            return [nn.GroupNorm(4, width)]
        case "layer":
            return [nn.LayerNorm([width, *sides])]
        case "batch":
            return [nn.BatchNorm2d(width)]
        case "none":
            return []
