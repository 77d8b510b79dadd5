"""Dataset Condensation with Differentiable Siamese Augmentation (Zhao & Bilen, ICML 2021)."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

from msgspec import Meta

from condensery.fields import Amount, Count, Precision, Rate, Seed
from condensery.networks.convnet import ConvNet
from condensery.networks.net import Architecture
from condensery.recipes.dc import loops
from condensery.recipes.recipe import Recipe

if TYPE_CHECKING:
    from condensery.algorithms.matching import Matching
    from condensery.data import RealSet

__all__ = ["DSA"]


@dataclass(frozen=True)
class DSA(Recipe):
    """DSA: gradient matching with the same augmentation for real and synthetic rows (algorithm 1).

    References:
        Dataset Condensation with Differentiable Siamese Augmentation (Zhao & Bilen, 2021), https://arxiv.org/abs/2102.08259
    Departs: as `DC`.
    """

    name: ClassVar[str] = "dsa"
    protocol: ClassVar[str] = "dsa2021"
    presets: ClassVar[tuple[str, ...]] = ("quick", "digits")
    main_fields: ClassVar[tuple[str, ...]] = ("ipc", "seed", "outer_steps", "lr")

    ipc: Count = 10
    """Stored images per class."""
    seed: Seed = 0
    """Seed of all random draws."""
    outer_steps: Count = 1000
    """K: how many times the network restarts from new random weights."""
    inner_steps: Count | None = None
    """T: matching steps between two restarts; None: T = ipc, as in DC."""
    network_epochs: Amount | None = None
    """Epochs of training the network on the synthetic set between two matching steps; None: 500 / T, at most 50, as in
    DC."""
    lr: Rate = 0.1
    """Learning rate of the images."""
    momentum: Annotated[float, Meta(ge=0, lt=1)] = 0.5
    """Momentum of the images' optimizer (SGD)."""
    network_lr: Rate = 0.01
    """Learning rate of the network between two matching steps."""
    real_rows: Count = 256
    """Real images per class in a matching step."""
    real_dtype: Precision = None
    """Number format in which the gradients of real rows are computed; None: float32. bfloat16 is faster on processors
    that support it."""
    network_dtype: Precision = None
    """Number format of the rows while the network is trained between two matching steps; None: float32."""
    net: Architecture = ConvNet()
    """The network to match in: a `Net`, a name such as "vgg11", or a function (shape, classes) -> torch.nn.Module."""

    @classmethod
    def quick(cls) -> "DSA":
        """Settings that take minutes on a CPU for 1 image per class.

        Restarts, learning rate and number of real rows are those of `DC.quick`.
        """
        return cls(ipc=1, outer_steps=200, network_epochs=10, lr=0.5, real_rows=128)

    @classmethod
    def digits(cls) -> "DSA":
        """Settings for the embedded digits, under a minute; see `DC.digits`."""
        return replace(cls.quick(), outer_steps=100, inner_steps=1, lr=1.0, real_rows=64)

    def algorithm(self, real: "RealSet") -> "Matching":
        """Algorithm 1; the numbers in the comments are its line numbers."""
        import torch

        from condensery.algorithms.matching import Matching
        from condensery.algorithms.samplers import Uniform
        from condensery.algorithms.schedules import TrainedOnSynthetic
        from condensery.augment import dsa_strategy
        from condensery.evaluation.training import Training
        from condensery.kernels.compiling import torch_dtype
        from condensery.objectives import GradientMatching
        from condensery.synthetic import SyntheticSet, random_real

        inner, epochs = loops(self.ipc, self.inner_steps, self.network_epochs)
        augment = dsa_strategy(real.facts)  # 6: ω
        synthetic = SyntheticSet.from_rows(random_real(real, self.ipc, self.seed), real.space)  # 1: S
        return Matching(
            real=real,
            synthetic=synthetic,
            schedule=TrainedOnSynthetic(  # 2, 3, 11
                network=self.network(real), outer=self.outer_steps, inner=inner, epochs=epochs, seed=self.seed,
                how=Training(self.network_lr, dtype=torch_dtype(self.network_dtype)),
                augment=augment,
            ),
            sampler=Uniform(rows=self.real_rows),  # 5
            objective=GradientMatching(real_dtype=torch_dtype(self.real_dtype)),  # 7, 8
            optimizer=torch.optim.SGD(synthetic.parameters(), lr=self.lr, momentum=self.momentum),  # 9
            augment=augment,
            seed=self.seed,
        )  # fmt: skip
