"""Row maps: what becomes of the embedding of every row before the mean over rows is taken."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from condensery.randomness import rng

__all__ = ["CharacteristicFunction", "Moments", "RowMap"]

RowMap = Callable[[Tensor], Tensor]
"""Maps embeddings (n, d) to values (n, e), row by row."""


@dataclass(frozen=True)
class Moments:
    """The embedding f and its square, so that second moments are matched, too.

    The squares are divided by `scale`, so that both kinds of values have similar sizes.

    References:
        DSDM (Li et al., 2024), which matches higher-order moments.
    """

    scale: float = 1.0

    def __call__(self, embeddings: Tensor) -> Tensor:
        return torch.cat([embeddings, embeddings.square() / self.scale], 1)


@dataclass(frozen=True)
class CharacteristicFunction:
    """cos and sin of random projections: the mean over rows is the empirical characteristic function.

    Arguments:
        frequencies: number of random directions.
        width: standard deviation of a projection of embeddings whose root mean square is 1.
        seed: seed of the directions.

    References:
        NCFM (Wang et al., CVPR 2025), with fixed random frequencies in place of learned ones.
    """

    frequencies: int = 1024
    width: float = 1.0
    seed: int = 0

    def __call__(self, embeddings: Tensor) -> Tensor:
        d = embeddings.shape[1]
        directions = torch.randn(d, self.frequencies, generator=rng(self.seed, "frequencies"), dtype=embeddings.dtype)
        angles = embeddings @ (directions * (self.width / math.sqrt(d))).to(embeddings.device)
        return torch.cat([angles.cos(), angles.sin()], 1)
