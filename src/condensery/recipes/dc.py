"""Dataset Condensation with Gradient Matching (Zhao, Mopuri & Bilen, ICLR 2021)."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from condensery.errors import InputError
from condensery.fields import Amount, Count, Precision, Rate, Seed
from condensery.networks.net import Architecture, Net
from condensery.recipes.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor, optim

    from condensery.algorithms.matching import Matching
    from condensery.data import RealSet
    from condensery.synthetic import SyntheticSet

__all__ = ["DC", "paper_epochs"]


def paper_epochs(inner_steps: int) -> int:
    """Passes over the synthetic set between two matches: 50 for T = 10, 500 / T above (DC appendix A)."""
    return min(50, max(1, round(500 / inner_steps)))


@dataclass(frozen=True)
class DC(Recipe):
    """DC: synthetic images whose gradient matches that of real ones (algorithm 1).

    References:
        Dataset Condensation with Gradient Matching (Zhao et al., 2021), https://arxiv.org/abs/2006.05929
    Departs: momentum 0.5 on the images, the sum over classes and one update a step for all of them are the released
        program's, not algorithm 1's. Exactly K outer loops (the program runs one more). See docs/fidelity.md.
    """

    name: ClassVar[str] = "dc"
    presets: ClassVar[tuple[str, ...]] = ("quick", "digits")

    ipc: Count = 10
    """Stored images per class."""
    seed: Seed = 0
    """Seed of all random draws."""
    init: Literal["noise", "real"] = "noise"
    """Initial images: standard normal noise, or random real images."""
    outer_steps: Count = 1000
    """K: restarts of the network."""
    inner_steps: Count | None = None
    """T: matches between two restarts; None: the paper's rule, T = ipc."""
    network_epochs: Amount | None = None
    """Passes over the synthetic set between two matches; None: the paper's rule, 500 / T and at most 50."""
    lr: Rate = 0.1
    """Learning rate of the images, where images are learned."""
    momentum: Annotated[float, Meta(ge=0, lt=1)] = 0.5
    """Momentum of the images."""
    network_lr: Rate = 0.01
    """Learning rate of the network."""
    real_rows: Count = 256
    """Real images per class in a match."""
    distance: Literal["layerwise_cosine", "squared_euclidean", "cosine", "mse", "l1"] = "layerwise_cosine"
    """Distance between two gradients (layerwise_cosine is eq. 10)."""
    match: Literal["weights", "convolutions", "everything"] = "weights"
    """Parameters whose gradients are matched."""
    clamp: bool = False
    """Whether pixels are kept in [0, 1] after every update; neither the paper nor the released program does so."""
    real_dtype: Precision = None
    """Number format in which the gradients of real rows are computed; None: float32. bfloat16 is faster on processors
    that support it."""
    network_dtype: Precision = None
    """Number format of the rows while the network is trained between two matches; None: float32."""
    net: Architecture = Net()
    """The network to match in: a `Net`, the name of a family, or a function (shape, classes) -> torch.nn.Module."""
    learn: Literal["images", "labels", "both"] = "images"
    """What is learned: images of fixed classes, soft labels of fixed images (label distillation), or both."""
    labels_lr: Rate = 1.0
    """Learning rate of the logits of soft labels, where labels are learned."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.clamp and self.learn == "labels":
            raise InputError("`clamp=True` is for learned images, and with `learn=labels` images stay as they are")

    @classmethod
    def quick(cls) -> "DC":
        """Minutes on a CPU for 1 image a class, and in proportion for more.

        Real initial images, half the real rows, and a fifth of the restarts at five times the rate, so that images
        can travel as far as in the paper (K x lr = 100); 10 network epochs between matches. Tried on a tenth of
        MNIST's and FashionMNIST's training parts, at 1 image a class.
        """
        return cls(ipc=1, init="real", outer_steps=200, network_epochs=10, lr=0.5, real_rows=128)

    @classmethod
    def digits(cls) -> "DC":
        """Under a minute for the embedded digits, at any number of images: 100 steps, in networks that stay random.

        Tried on a tenth of their training part, at 3 images a class.
        """
        return replace(cls.quick(), outer_steps=100, inner_steps=1, lr=1.0, real_rows=64)

    @classmethod
    def named(cls) -> "dict[str, Recipe]":
        """With label distillation, which learns the labels of fixed real images."""
        labels = {"ld": cls(init="real", learn="labels"), "ld:quick": replace(cls.quick(), learn="labels")}
        return super().named() | labels

    @property
    def _inner_steps(self) -> int:  # appendix A: 1 for 1 image per class, 10 for 10, and the number of images above
        return self.inner_steps or self.ipc

    @property
    def _network_epochs(self) -> int:
        return paper_epochs(self._inner_steps) if self.network_epochs is None else self.network_epochs

    def algorithm(self, real: "RealSet") -> "Matching":
        """Algorithm 1; the numbers are those of its lines."""
        from condensery import objectives
        from condensery.algorithms.matching import Matching
        from condensery.algorithms.samplers import Uniform
        from condensery.algorithms.schedules import TrainedOnSynthetic
        from condensery.evaluation.training import Training
        from condensery.kernels.compiling import torch_dtype
        from condensery.objectives import distances
        from condensery.synthetic import SyntheticSet

        synthetic = self._initial(real)  # 1: S
        return Matching(
            real=real,
            synthetic=synthetic,
            schedule=TrainedOnSynthetic(  # 2 to 4, 9
                network=self.network(real), outer=self.outer_steps, inner=self._inner_steps,
                epochs=self._network_epochs, seed=self.seed,
                how=Training(self.network_lr, dtype=torch_dtype(self.network_dtype)),
            ),
            sampler=Uniform(rows=self.real_rows),  # 5, 6
            objective=objectives.GradientMatching(  # 7
                distance=getattr(distances, self.distance), match=getattr(objectives, self.match),
                real_dtype=torch_dtype(self.real_dtype),
            ),
            optimizer=self._optimizer(synthetic),  # 8
            seed=self.seed,
            project=SyntheticSet.clamp if self.clamp else None,
        )  # fmt: skip

    def _initial(self, real: "RealSet") -> "SyntheticSet":
        """Noise or real images, with soft labels where these are learned."""
        from condensery.synthetic import SyntheticSet, class_logits, noise, random_real

        images = (noise if self.init == "noise" else random_real)(real, self.ipc, self.seed)
        labels = None if self.learn == "images" else class_logits(real.classes, self.ipc, images)
        synthetic = SyntheticSet.from_rows(images, real.space, labels=labels)
        synthetic.bases.requires_grad_(self.learn != "labels")
        return synthetic

    def _optimizer(self, synthetic: "SyntheticSet") -> "optim.Optimizer":
        """SGD of what is learned, images and labels each at its rate."""
        import torch

        groups: list[dict[str, list[Tensor] | float]] = []
        if self.learn != "labels":
            groups.append({"params": [synthetic.bases], "lr": self.lr})
        if synthetic.labels is not None:
            groups.append({"params": [synthetic.labels], "lr": self.labels_lr})
        return torch.optim.SGD(groups, self.lr, self.momentum)
