"""Dataset Condensation with Gradient Matching (Zhao, Mopuri & Bilen, ICLR 2021)."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from condensery.errors import InputError
from condensery.fields import Amount, Count, GradientDistance, Precision, Rate, Seed
from condensery.networks.convnet import ConvNet
from condensery.networks.net import Architecture
from condensery.recipes.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor, optim

    from condensery.algorithms.matching import Matching
    from condensery.data import RealSet
    from condensery.synthetic import SyntheticSet

__all__ = ["DC", "loops"]


def loops(ipc: int, inner_steps: int | None, network_epochs: int | None) -> tuple[int, int]:
    """T and the epochs of training between two matches, each as in the paper if it is None.

    References:
        DC appendix A: T = 1 for ipc = 1, 10 for 10, and ipc above. Epochs: 500 / T, at most 50 (50 for T = 10).
    """
    inner = inner_steps or ipc
    return inner, min(50, max(1, round(500 / inner))) if network_epochs is None else network_epochs


@dataclass(frozen=True)
class DC(Recipe):
    """DC: learn images whose gradients match those of real images (algorithm 1).

    References:
        Dataset Condensation with Gradient Matching (Zhao et al., 2021), https://arxiv.org/abs/2006.05929
    Departs: momentum 0.5 on the images, and one update per step on the sum of all classes' losses, come from the
        released program, not from algorithm 1. There are exactly K outer loops (the program runs one more). See
        docs/fidelity.md.
    """

    name: ClassVar[str] = "dc"
    presets: ClassVar[tuple[str, ...]] = ("quick", "digits")
    main_fields: ClassVar[tuple[str, ...]] = ("ipc", "seed", "init", "outer_steps", "lr")

    ipc: Count = 10
    """Stored images per class."""
    seed: Seed = 0
    """Seed of all random draws."""
    init: Literal["noise", "real"] = "noise"
    """Initial images: standard normal noise, or random real images."""
    outer_steps: Count = 1000
    """K: how many times the network restarts from new random weights."""
    inner_steps: Count | None = None
    """T: matching steps between two restarts; None: T = ipc, as in the paper."""
    network_epochs: Amount | None = None
    """Epochs of training the network on the synthetic set between two matching steps; None: 500 / T, at most 50, as in
    the paper."""
    lr: Rate = 0.1
    """Learning rate of the images, if images are learned."""
    momentum: Annotated[float, Meta(ge=0, lt=1)] = 0.5
    """Momentum of the images' optimizer (SGD)."""
    network_lr: Rate = 0.01
    """Learning rate of the network between two matching steps."""
    real_rows: Count = 256
    """Real images per class in a matching step."""
    distance: GradientDistance = "layerwise_cosine"
    """Distance between two gradients; layerwise_cosine is the paper's (eq. 10)."""
    match: Literal["weights", "convolutions", "everything"] = "weights"
    """Parameters whose gradients are matched: weights (no biases, no scales of normalization layers), the filters of
    convolutions, or everything. Vectors contribute nothing to layerwise_cosine, so with it, everything gives the same
    as weights."""
    clamp: bool = False
    """Whether to clamp pixels to [0, 1] after every update; neither the paper nor the released program clamps them."""
    real_dtype: Precision = None
    """Number format in which the gradients of real rows are computed; None: float32. bfloat16 is faster on processors
    that support it."""
    network_dtype: Precision = None
    """Number format of the rows while the network is trained between two matching steps; None: float32."""
    net: Architecture = ConvNet()
    """The network to match in: a `Net`, a name such as "vgg11", or a function (shape, classes) -> torch.nn.Module."""
    learn: Literal["images", "labels", "both"] = "images"
    """What is learned: images of fixed classes, soft labels of fixed images (label distillation), or both."""
    labels_lr: Rate = 1.0
    """Learning rate of the soft labels' logits, if labels are learned."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.clamp and self.learn == "labels":
            raise InputError("`clamp=True` is for learned images, but `learn=labels` learns none; drop one of them")

    @classmethod
    def quick(cls) -> "DC":
        """Settings that take minutes on a CPU for 1 image per class, and proportionally longer for more.

        Real initial images, half the real rows, and a fifth of the restarts at five times the learning rate, so that
        images can move as far as in the paper (K x lr = 100); 10 network epochs between two matching steps. Tried on a
        tenth of the training parts of MNIST and FashionMNIST, at 1 image per class.
        """
        return cls(ipc=1, init="real", outer_steps=200, network_epochs=10, lr=0.5, real_rows=128)

    @classmethod
    def digits(cls) -> "DC":
        """Settings for the embedded digits, under a minute at any `ipc`: 100 steps, each in a new random network.

        Tried on a tenth of their training part, at 3 images per class.
        """
        return replace(cls.quick(), outer_steps=100, inner_steps=1, lr=1.0, real_rows=64)

    @classmethod
    def named(cls) -> "dict[str, Recipe]":
        """DC and its presets, and label distillation (`ld`), which learns soft labels of fixed real images."""
        labels = {"ld": cls(init="real", learn="labels"), "ld:quick": replace(cls.quick(), learn="labels")}
        return super().named() | labels

    def per_image(self, real: "RealSet") -> int:
        """The floats of an image and, if labels are learned, of its label."""
        return super().per_image(real) + (0 if self.learn == "images" else real.classes)

    def algorithm(self, real: "RealSet") -> "Matching":
        """Algorithm 1; the numbers in the comments are its line numbers."""
        from condensery import objectives
        from condensery.algorithms.matching import Matching
        from condensery.algorithms.samplers import Uniform
        from condensery.algorithms.schedules import TrainedOnSynthetic
        from condensery.evaluation.training import Training
        from condensery.kernels.compiling import torch_dtype
        from condensery.objectives import distances
        from condensery.synthetic import SyntheticSet

        inner, epochs = loops(self.ipc, self.inner_steps, self.network_epochs)
        synthetic = self._initial(real)  # 1: S
        return Matching(
            real=real,
            synthetic=synthetic,
            schedule=TrainedOnSynthetic(  # 2 to 4, 9
                network=self.network(real), outer=self.outer_steps, inner=inner, epochs=epochs, seed=self.seed,
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
        """Noise or real images, with soft labels if labels are learned."""
        from condensery.synthetic import SyntheticSet, class_logits, noise, random_real

        images = (noise if self.init == "noise" else random_real)(real, self.ipc, self.seed)
        labels = None if self.learn == "images" else class_logits(real.classes, self.ipc, images)
        synthetic = SyntheticSet.from_rows(images, real.space, labels=labels)
        synthetic.bases.requires_grad_(self.learn != "labels")
        return synthetic

    def _optimizer(self, synthetic: "SyntheticSet") -> "optim.Optimizer":
        """SGD on what is learned; images and labels have their own learning rates."""
        import torch

        groups: list[dict[str, list[Tensor] | float]] = []
        if self.learn != "labels":
            groups.append({"params": [synthetic.bases], "lr": self.lr})
        if synthetic.labels is not None:
            groups.append({"params": [synthetic.labels], "lr": self.labels_lr})
        return torch.optim.SGD(groups, self.lr, self.momentum)
