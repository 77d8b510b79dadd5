"""Dataset Condensation with Distribution Matching (Zhao & Bilen, WACV 2023)."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

from msgspec import Meta

from condensery.fields import Count, Factor, Precision, Rate, Seed
from condensery.networks.convnet import ConvNet
from condensery.networks.net import Architecture
from condensery.recipes.recipe import Recipe

if TYPE_CHECKING:
    from condensery.algorithms.matching import Matching
    from condensery.data import RealSet

__all__ = ["DM"]


@dataclass(frozen=True)
class DM(Recipe):
    """DM: match the mean embeddings of real and synthetic rows in random networks (algorithm 1).

    Real and synthetic rows get the same augmentation.

    References:
        Dataset Condensation with Distribution Matching (Zhao & Bilen, 2023), https://arxiv.org/abs/2110.04181
    Departs: if `factor` is above 1, stored images are cut into cells and enlarged as in IDC, in the normalized space.
    """

    name: ClassVar[str] = "dm"
    protocol: ClassVar[str] = "dsa2021"
    presets: ClassVar[tuple[str, ...]] = ("quick", "digits")
    main_fields: ClassVar[tuple[str, ...]] = ("ipc", "seed", "factor", "steps", "lr")

    ipc: Count = 10
    """Stored images per class."""
    seed: Seed = 0
    """Seed of all random draws."""
    factor: Factor = 1
    """Cells along each side of a stored image (multi-formation); 1: a stored image is one row."""
    steps: Count = 20000
    """Updates of the images, each in a new random network."""
    lr: Rate = 1.0
    """Learning rate of the images."""
    momentum: Annotated[float, Meta(ge=0, lt=1)] = 0.5
    """Momentum of the images' optimizer (SGD)."""
    real_rows: Count = 256
    """Real images per class in a matching step."""
    real_dtype: Precision = None
    """Number format in which real rows are embedded; None: float32. bfloat16 is faster on processors that support
    it."""
    synthetic_dtype: Precision = None
    """Number format in which synthetic rows are embedded; None: float32."""
    net: Architecture = ConvNet()
    """The network to match in: a `Net`, a name such as "vgg11", or a function (shape, classes) -> torch.nn.Module."""

    @classmethod
    def quick(cls) -> "DM":
        """Settings that take minutes on a CPU for 1 image per class: fewer steps and real rows."""
        return cls(ipc=1, steps=1000, real_rows=64)

    @classmethod
    def digits(cls) -> "DM":
        """Settings for the embedded digits, under a minute: 300 steps. Tried on the data of `DC.digits`."""
        return replace(cls.quick(), steps=300)

    def algorithm(self, real: "RealSet") -> "Matching":
        """Algorithm 1; the numbers in the comments are its line numbers."""
        import torch

        from condensery.algorithms.matching import Matching
        from condensery.algorithms.samplers import Uniform
        from condensery.algorithms.schedules import Fresh
        from condensery.augment import dsa_strategy
        from condensery.decoders import Pixels
        from condensery.decoders import Uniform as MultiFormation
        from condensery.kernels.compiling import torch_dtype
        from condensery.objectives import DistributionMatching
        from condensery.synthetic import SyntheticSet, random_real

        decoder = Pixels() if self.factor == 1 else MultiFormation(self.factor, pad=0.0)
        rows = random_real(real, self.ipc, self.seed, decoder)
        synthetic = SyntheticSet.from_rows(rows, real.space, decoder)  # S
        return Matching(
            real=real,
            synthetic=synthetic,
            schedule=Fresh(network=self.network(real), outer=self.steps, seed=self.seed),  # 1, 2
            sampler=Uniform(rows=self.real_rows),  # 3
            augment=dsa_strategy(real.facts),  # 3
            objective=DistributionMatching(  # 4
                real_dtype=torch_dtype(self.real_dtype), synthetic_dtype=torch_dtype(self.synthetic_dtype)
            ),
            optimizer=torch.optim.SGD(synthetic.parameters(), lr=self.lr, momentum=self.momentum),  # 5
            seed=self.seed,
        )
