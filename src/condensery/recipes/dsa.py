"""Dataset Condensation with Differentiable Siamese Augmentation (Zhao & Bilen, ICML 2021)."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

from condensery.fields import at_least, well_typed
from condensery.net import Net
from condensery.recipes.dc import paper_epochs
from condensery.recipes.recipe import Recipe

if TYPE_CHECKING:
    from condensery.algorithm import Matching
    from condensery.data import RealSet

__all__ = ["DSA"]


@dataclass(frozen=True)
class DSA(Recipe):
    """DSA: gradient matching on rows that are augmented alike, real and synthetic (algorithm 1).

    References:
        Dataset Condensation with Differentiable Siamese Augmentation (Zhao & Bilen, 2021), https://arxiv.org/abs/2102.08259
    Departs: every row in network training draws its own operation (the program draws one a minibatch, its parameters
        by row); scalings are uniform in the image's factor, not in its inverse. Otherwise as `DC`.
    """

    name: ClassVar[str] = "dsa"
    protocol: ClassVar[str] = "dsa2021"
    presets: ClassVar[tuple[str, ...]] = ("quick", "digits")

    ipc: int = 10
    """Stored images a class."""
    seed: int = 0
    """Of every random draw."""
    flip: bool = True
    """Whether flips are among the operations; not for digits, which the paper leaves unflipped."""
    outer_steps: int = 1000
    """K: restarts of the network."""
    inner_steps: int | None = None
    """T: matches between two restarts; None: DC's rule, T = ipc."""
    network_epochs: int | None = None
    """Passes over the synthetic set between two matches; None: DC's rule, 500 / T and at most 50."""
    lr: float = 0.1
    """Learning rate of the images."""
    momentum: float = 0.5
    """Momentum of the images."""
    network_lr: float = 0.01
    """Learning rate of the network."""
    real_rows: int = 256
    """Real images a class in a match."""
    real_dtype: Literal["bfloat16"] | None = None
    """What real rows' gradients are computed in; None: the rows' own float32. Faster where the processor knows it."""
    network_dtype: Literal["bfloat16"] | None = None
    """What rows go through the network in while it is trained between matches; None: their own float32."""
    net: Net = Net()
    """The network to match in."""

    def __post_init__(self) -> None:
        well_typed(self)
        at_least(1, ipc=self.ipc, outer_steps=self.outer_steps, inner_steps=self.inner_steps, real_rows=self.real_rows)
        at_least(0, network_epochs=self.network_epochs, lr=self.lr, momentum=self.momentum, network_lr=self.network_lr)

    @classmethod
    def quick(cls) -> "DSA":
        """Minutes on a CPU for 1 image a class: `DC.quick`'s restarts, rate and real rows; no flips."""
        return cls(ipc=1, flip=False, outer_steps=200, network_epochs=10, lr=0.5, real_rows=128)

    @classmethod
    def digits(cls) -> "DSA":
        """Under a minute for the embedded digits: see `DC.digits`."""
        return replace(cls.quick(), outer_steps=100, inner_steps=1, lr=1.0, real_rows=64)

    @property
    def _inner_steps(self) -> int:
        return self.inner_steps or self.ipc

    @property
    def _network_epochs(self) -> int:
        return paper_epochs(self._inner_steps) if self.network_epochs is None else self.network_epochs

    def algorithm(self, real: "RealSet") -> "Matching":
        """Algorithm 1; the numbers are those of its lines."""
        import torch

        from condensery.algorithm import Matching
        from condensery.augment import dsa_strategy
        from condensery.compiling import named
        from condensery.objectives import GradientMatching
        from condensery.samplers import Uniform
        from condensery.schedules import TrainedOnSynthetic
        from condensery.synthetic import SyntheticSet, random_real
        from condensery.training import SGD

        augment = dsa_strategy(self.flip)  # 6: ω
        synthetic = SyntheticSet.from_rows(random_real(real, self.ipc, self.seed), real.space)  # 1: S
        return Matching(
            real=real,
            synthetic=synthetic,
            schedule=TrainedOnSynthetic(  # 2, 3, 11
                network=self.network(real), outer=self.outer_steps, inner=self._inner_steps,
                epochs=self._network_epochs, how=SGD(self.network_lr, dtype=named(self.network_dtype)), seed=self.seed,
                augment=augment,
            ),
            sampler=Uniform(rows=self.real_rows),  # 5
            objective=GradientMatching(real_dtype=named(self.real_dtype)),  # 7, 8
            optimizer=torch.optim.SGD(synthetic.parameters(), lr=self.lr, momentum=self.momentum),  # 9
            augment=augment,
            seed=self.seed,
        )  # fmt: skip
