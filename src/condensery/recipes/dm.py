"""Dataset Condensation with Distribution Matching (Zhao & Bilen, WACV 2023)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from condensery.fields import at_least, well_typed
from condensery.net import Net
from condensery.recipes.mdc import MDC, adapted, enough, held_out

if TYPE_CHECKING:
    from condensery.checkpoint import Keeper
    from condensery.condensing import Step
    from condensery.data import RealSet
    from condensery.synthetic import SyntheticSet

__all__ = ["DM"]


@dataclass(frozen=True)
class DM:
    """DM: mean embeddings of real and synthetic rows, augmented alike, matched in random networks (algorithm 1).

    References:
        Dataset Condensation with Distribution Matching (Zhao & Bilen, 2023), https://arxiv.org/abs/2110.04181
    Departs: with `factor` above 1 stored images are cut and enlarged as IDC's are, in the normalised space.
    """

    name: ClassVar[str] = "dm"

    ipc: int = 10
    """Stored images a class."""
    seed: int = 0
    """Of every random draw."""
    flip: bool = True
    """Whether flips are among the operations; not for digits, which the paper leaves unflipped."""
    factor: int = 1
    """Cells along each side of a stored image (multi-formation); 1: images as they are."""
    steps: int = 20000
    """Updates of the images, each in a new random network."""
    lr: float = 1.0
    """Learning rate of the images."""
    momentum: float = 0.5
    """Momentum of the images."""
    real_rows: int = 256
    """Real images a class in a match."""
    real_dtype: Literal["bfloat16"] | None = None
    """What real rows are embedded in; None: the rows' own float32. Faster where the processor knows it."""
    synthetic_dtype: Literal["bfloat16"] | None = None
    """What synthetic rows are embedded in; None: their own float32."""
    net: Net = Net()
    """The network to match in."""
    multisize: MDC | None = None
    """Makes every smaller size good too (the first so many stored images a class); None: this one size."""

    def __post_init__(self) -> None:
        well_typed(self)
        enough(self.multisize, self.ipc)
        at_least(1, ipc=self.ipc, factor=self.factor, steps=self.steps, real_rows=self.real_rows)
        at_least(0, lr=self.lr, momentum=self.momentum)

    @classmethod
    def quick(cls) -> "DM":
        """Minutes on a CPU for 1 image a class: fewer steps and real rows; no flips."""
        return cls(ipc=1, flip=False, steps=1000, real_rows=64)

    @classmethod
    def digits(cls) -> "DM":
        """Under a minute for the embedded digits: 300 steps. Tried as `DC.digits`."""
        return replace(cls.quick(), steps=300)

    def condense(
        self, real: "RealSet", keeper: "Keeper | None" = None, observe: "Callable[[Step], Any] | None" = None
    ) -> "SyntheticSet":
        """Learn a synthetic set for `real`.

        Arguments:
            keeper: keeps checkpoints; see `condense`.
            observe: called after every step; by default it is shown how far the run is.

        Raises:
            InputError: a class with fewer than `ipc` rows; images too small for the network or the factor.
            RunError: the loss, or what was learned, is not finite.
            Interrupted: the keeper was asked to stop.
        """
        import torch

        from condensery import decoders, samplers
        from condensery.augment import Augmentation, Colour, Crop, Cutout, Flip, Rotate, Scale
        from condensery.compiling import named
        from condensery.condensing import condense
        from condensery.networks import build
        from condensery.objectives import DistributionMatching
        from condensery.schedules import Fresh
        from condensery.synthetic import SyntheticSet, random_real

        real, held = held_out(self.multisize, real, self.seed)
        flips = (Flip(),) if self.flip else ()
        augment = Augmentation(one_of=(Colour(), Crop(), Cutout(), *flips, Scale(), Rotate()))
        decoder = decoders.Pixels() if self.factor == 1 else decoders.Uniform(self.factor, pad=0.0)
        images = random_real(real, self.ipc, self.seed, decoder)
        synthetic = SyntheticSet.from_rows(images, real.space, decoder)
        network = build(self.net, real.shape, real.classes).to(real.device, real.dtype)
        base = DistributionMatching(real_dtype=named(self.real_dtype), synthetic_dtype=named(self.synthetic_dtype))
        schedule = Fresh(network, self.steps, self.seed)
        objective = adapted(self.multisize, base, synthetic, schedule, held, self.seed)
        optimizer = torch.optim.SGD(synthetic.parameters(), self.lr, self.momentum)
        return condense(
            real, synthetic, schedule, samplers.Uniform(self.real_rows), objective,
            optimizer, self.seed, augment, keeper=keeper, observe=observe,
        )  # fmt: skip
