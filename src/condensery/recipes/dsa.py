"""Dataset Condensation with Differentiable Siamese Augmentation (Zhao & Bilen, ICML 2021)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from condensery.fields import at_least, well_typed
from condensery.net import Net
from condensery.recipes.dc import paper_epochs
from condensery.recipes.mdc import MDC, adapted, enough, held_out

if TYPE_CHECKING:
    from condensery.checkpoint import Keeper
    from condensery.condensing import Step
    from condensery.data import RealSet
    from condensery.synthetic import SyntheticSet

__all__ = ["DSA"]


@dataclass(frozen=True)
class DSA:
    """DSA: gradient matching on rows that are augmented alike, real and synthetic (algorithm 1).

    References:
        Dataset Condensation with Differentiable Siamese Augmentation (Zhao & Bilen, 2021), https://arxiv.org/abs/2102.08259
    Departs: every row in network training draws its own operation (the program draws one a minibatch, its parameters
        by row); scalings are uniform in the image's factor, not in its inverse. Otherwise as `DC`.
    """

    name: ClassVar[str] = "dsa"

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
    multisize: MDC | None = None
    """Makes every smaller size good too (the first so many stored images a class); None: this one size."""

    def __post_init__(self) -> None:
        well_typed(self)
        enough(self.multisize, self.ipc)
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
    def steps(self) -> int:
        """Updates of the synthetic images: K x T."""
        return self.outer_steps * (self.inner_steps or self.ipc)

    def condense(
        self, real: "RealSet", keeper: "Keeper | None" = None, observe: "Callable[[Step], Any] | None" = None
    ) -> "SyntheticSet":
        """Learn a synthetic set for `real`.

        Arguments:
            keeper: keeps checkpoints; see `condense`.
            observe: called after every step; by default it is shown how far the run is.

        Raises:
            InputError: a class with fewer than `ipc` rows; images too small for the network.
            RunError: the loss, or what was learned, is not finite.
            Interrupted: the keeper was asked to stop.
        """
        import torch

        from condensery.augment import Augmentation, Colour, Crop, Cutout, Flip, Rotate, Scale
        from condensery.compiling import named
        from condensery.condensing import condense
        from condensery.networks import build
        from condensery.objectives import GradientMatching
        from condensery.samplers import Uniform
        from condensery.schedules import TrainedOnSynthetic
        from condensery.synthetic import SyntheticSet, random_real
        from condensery.training import SGD

        real, held = held_out(self.multisize, real, self.seed)
        flips = (Flip(),) if self.flip else ()
        augment = Augmentation(one_of=(Colour(), Crop(), Cutout(), *flips, Scale(), Rotate()))
        synthetic = SyntheticSet.from_rows(random_real(real, self.ipc, self.seed), real.space)
        network = build(self.net, real.shape, real.classes).to(real.device, real.dtype)
        inner = self.inner_steps or self.ipc
        epochs = paper_epochs(inner) if self.network_epochs is None else self.network_epochs
        schedule = TrainedOnSynthetic(
            network,
            self.outer_steps,
            inner,
            epochs,
            SGD(self.network_lr, dtype=named(self.network_dtype)),
            self.seed,
            augment,
        )
        base = GradientMatching(real_dtype=named(self.real_dtype))
        objective = adapted(self.multisize, base, synthetic, schedule, held, self.seed)
        optimizer = torch.optim.SGD(synthetic.parameters(), self.lr, self.momentum)
        return condense(
            real, synthetic, schedule, Uniform(self.real_rows), objective, optimizer, self.seed, augment,
            keeper=keeper, observe=observe,
        )  # fmt: skip
