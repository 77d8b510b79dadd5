"""EfficientNet-B0, and narrower and shallower networks of its kind."""

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from condensery.networks.net import Net

if TYPE_CHECKING:
    from torch import nn

    from condensery.networks.network import Network

__all__ = ["EfficientNet"]

_STAGES = (
    (1, 16, 1, 3, False), (6, 24, 2, 3, True), (6, 40, 2, 5, True), (6, 80, 3, 3, True), (6, 112, 3, 5, False),
    (6, 192, 4, 5, True), (6, 320, 1, 3, False),
)  # fmt: skip
"""For each stage: expansion, channels, blocks, side of the kernel, and whether its first block halves the sides."""


@dataclass(frozen=True)
class EfficientNet(Net):
    """Seven stages of inverted residual blocks with squeeze and excitation, then a linear classifier.

    The first convolution halves the sides of images above 64 pixels.

    References:
        Tan & Le 2019, table 1 (B0: width and depth 1).
    Departs: there is no stochastic depth and no dropout, because the results of a row must not depend on chance. Images
        up to 64 pixels are halved once less, and images under 32 pixels less often still, so that the norms see at
        least 2 pixels a side.
    """

    family: ClassVar[str] = "efficientnet"

    width: Annotated[float, Meta(gt=0, le=4)] = 1.0
    """Factor on the channels of B0, rounded to multiples of 8."""
    depth: Annotated[float, Meta(gt=0, le=4)] = 1.0
    """Factor on the blocks of each stage of B0, rounded up."""
    norm: Literal["instance", "batch"] = "batch"
    """Normalization after each convolution."""

    def network(self, shape: tuple[int, int, int], classes: int) -> "Network":
        """Make the network for rows of `shape` (channels, height, width)."""
        from torch import nn

        from condensery.networks.blocks import Mean, halvings
        from condensery.networks.network import Network

        channels, left, small = self._wide(32), halvings(*shape[1:]), min(shape[1:]) <= 64
        stages: list[nn.Module] = [nn.Sequential(*self._activated(shape[0], channels, 3, 1 if small else 2))]
        for expansion, filters, blocks, kernel, halved in _STAGES:
            for block in range(ceil(self.depth * blocks)):
                stride = 2 if halved and block == 0 and left > 0 else 1
                left -= stride - 1
                stages.append(self._block(channels, self._wide(filters), expansion, kernel, stride))
                channels = self._wide(filters)
        features = self._wide(1280)
        stages += [nn.Sequential(*self._activated(channels, features, 1)), Mean()]
        return Network(stages, nn.Linear(features, classes))

    def _wide(self, channels: int) -> int:
        """`channels` times the width, rounded to a multiple of 8 that is at least 8 and at least 9/10 of it."""
        wanted = self.width * channels
        rounded = max(8, int(wanted + 4) // 8 * 8)
        return rounded if rounded >= 0.9 * wanted else rounded + 8

    def _block(self, channels: int, filters: int, expansion: int, kernel: int, stride: int) -> "nn.Module":
        """1 x 1 convolution to more channels, convolution of each channel, excitation, 1 x 1 convolution to fewer."""
        from torch import nn

        from condensery.networks.blocks import Mean, Scaled, Sum, norm

        inner, squeezed = channels * expansion, max(1, channels // 4)
        excitation = (Mean(), nn.Conv2d(inner, squeezed, 1), nn.SiLU(), nn.Conv2d(squeezed, inner, 1), nn.Sigmoid())
        body = nn.Sequential(
            *(self._activated(channels, inner, 1) if expansion > 1 else ()),
            *self._activated(inner, inner, kernel, stride, inner),
            Scaled(nn.Sequential(*excitation)),
            nn.Conv2d(inner, filters, 1, bias=False),
            norm(self.norm, filters),
        )
        return Sum(body, nn.Identity()) if stride == 1 and channels == filters else body

    def _activated(
        self, channels: int, filters: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> "tuple[nn.Module, ...]":
        from torch import nn

        from condensery.networks.blocks import norm

        convolution = nn.Conv2d(channels, filters, kernel, stride, kernel // 2, groups=groups, bias=False)
        return convolution, norm(self.norm, filters), nn.SiLU()
