"""DREAM: Efficient Dataset Distillation by Representative Matching (Liu et al., ICCV 2023)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from condensery.fields import at_least, well_typed

if TYPE_CHECKING:
    from torch import Tensor

    from condensery.data import RealSet
    from condensery.decoders import Decoder
    from condensery.networks import Network
    from condensery.samplers import Sampler

__all__ = ["DREAM", "first_images", "sampled"]


@dataclass(frozen=True)
class DREAM:
    """DREAM: real images that stand for clusters of their class are matched, in place of random ones (section 3).

    Not a recipe but one more argument of others: `IDC(real_rows=128, representative=DREAM())` is the paper's.

    References:
        DREAM: Efficient Dataset Distillation by Representative Matching (Liu et al., 2023),
        https://arxiv.org/abs/2302.14416
    Departs: the program keeps the network of the initial images for the first restart; here every restart is fresh.
    """

    every: int = 10
    """Matches in a restarted network between two clusterings, each in its embedding as it then is."""
    candidates: int | None = None
    """Random real images a class that are clustered, at least `real_rows`; None: all of them."""
    init: bool = True
    """Whether initial images stand for clusters too."""

    @classmethod
    def quick(cls) -> "DREAM":
        """For minutes on a CPU: clusters of 256 random images a class."""
        return cls(candidates=256)

    def __post_init__(self) -> None:
        well_typed(self)
        at_least(1, "representative.", every=self.every, candidates=self.candidates)


def sampled(representative: DREAM | None, rows: int, real: "RealSet") -> "Sampler":
    """The sampler of `rows` real images a class."""
    from condensery.samplers import Representative, Uniform

    if representative is None:
        return Uniform(rows)
    return Representative(rows, representative.every, representative.candidates, real)


def first_images(
    representative: DREAM | None, real: "RealSet", ipc: int, seed: int, decoder: "Decoder", network: "Network"
) -> "Tensor":
    """Real rows to make `ipc` bases a class of, random ones or those of clusters in a fresh network's embedding; see
    `synthetic.random_real`."""
    from condensery.networks import initial
    from condensery.randomness import rng
    from condensery.samplers import clustered
    from condensery.synthetic import check_ipc, random_real

    if representative is None or not representative.init:
        return random_real(real, ipc, seed, decoder)
    check_ipc(real, ipc)
    point, rows = initial(network, rng(seed, "weights", "first images")), decoder.initial_rows(ipc)
    index = clustered(
        point, real, range(real.classes), rows, representative.candidates, lambda c: rng(seed, "k-means", c)
    )
    return real.at(index).x
