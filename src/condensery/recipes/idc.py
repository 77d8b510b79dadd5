"""Dataset Condensation via Efficient Synthetic-Data Parameterization (Kim et al., ICML 2022)."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from msgspec import Meta

from condensery.errors import InputError
from condensery.fields import Amount, Count, Factor, GradientDistance, Precision, Rate, Seed
from condensery.networks.convnet import ConvNet
from condensery.networks.names import NETWORKS
from condensery.networks.net import Architecture
from condensery.recipes.recipe import Recipe

if TYPE_CHECKING:
    from torch import optim

    from condensery.algorithms.matching import Matching
    from condensery.augment import Augmentation, CutMix
    from condensery.data import RealSet
    from condensery.decoders import Decoder
    from condensery.evaluation.training import Training
    from condensery.synthetic import SyntheticSet

__all__ = ["IDC", "PUBLISHED"]

_SMALL = {"lr": 1e-4, "distance": "l1", "network_rows": 500}
_LARGE = {"ipc": 20, "factor": 3, "formation": "bound", "outer_steps": 500, "base_size": 224, "distance": "l1",
          "network_rows": 500, "cutmix": 1.0, "net": NETWORKS["resnetap10"]}  # fmt: skip
PUBLISHED: dict[str, dict[str, Any]] = {
    "cifar10": {},
    "cifar100": {"constants": "CIFAR10"},
    "svhn": {"network_rows": 500},
    "mnist": _SMALL | {"base_size": 28},
    "fashionmnist": _SMALL,
    "speech": {"formation": "along-width", "lr": 3e-3, "outer_steps": 1000, "base_size": 64, "distance": "l1",
               "network_lr": 3e-4, "net": NETWORKS["convnet4"]},
    "imagenet10": _LARGE | {"lr": 3e-3, "early_epochs": 10},
    "imagenet100": _LARGE | {"lr": 1e-3, "early_epochs": 5, "pool": 10, "real_rows": 128, "network_lr": 0.1,
                             "network_weight_decay": 1e-4},
}  # fmt: skip
"""The released program's settings per data set, as differences from those for CIFAR-10."""

Augment = Literal["color_crop_cutout", "color_crop", "none"]
Formation = Literal["uniform", "along-width", "multi-scale", "learnable", "bound"]


@dataclass(frozen=True)
class IDC(Recipe):
    """IDC: learn images that decode to several rows each, in networks trained on real data (algorithm 1).

    With `factor=1`, a stored image is one row (IDC-I). The defaults are the settings for CIFAR-10; `published` returns
    those for other data sets.

    References:
        Dataset Condensation via Efficient Synthetic-Data Parameterization (Kim et al., 2022),
        https://arxiv.org/abs/2205.14959
    Departs: all classes are updated at once; `_optimizer` explains why this equals the released program's SGD class by
        class. All decoded rows of a class are matched (the program matches a random 128 if there are more). See
        docs/fidelity.md.
    """

    name: ClassVar[str] = "idc"
    presets: ClassVar[tuple[str, ...]] = ("quick", "digits", "photos")
    main_fields: ClassVar[tuple[str, ...]] = ("ipc", "seed", "factor", "outer_steps", "inner_steps", "lr")

    ipc: Count = 10
    """Stored images per class."""
    seed: Seed = 0
    """Seed of all random draws."""
    factor: Factor = 2
    """Cells along each side of a stored image; 1: a stored image is one row (IDC-I)."""
    formation: Formation = "uniform"
    """How a stored image becomes rows: equal cells (uniform), cells along the width only (along-width), cells of every
    factor up to `factor` (multi-scale), or equal cells that a small network enlarges (learnable). With bound, cells are
    equal too, but while the set is learned, an image has at most so many that its class stays within 128 rows."""
    outer_steps: Count = 2000
    """How many times the network restarts from new random weights."""
    inner_steps: Count = 100
    """M: matching steps between two restarts."""
    optimizer: Literal["sgd", "adam"] = "sgd"
    """The optimizer of the images."""
    lr: Rate = 5e-3
    """Learning rate of the images. SGD multiplies it by (ipc / 10) (size / base_size)²; Adam uses it unchanged."""
    drops: tuple[Amount, ...] = ()
    """Steps after which the learning rate of the images is multiplied by 0.2."""
    momentum: Annotated[float, Meta(ge=0, lt=1)] = 0.5
    """Momentum of the images' SGD, from the update of one class to the update of the next."""
    base_size: Count = 32
    """Side, in pixels, of the images for which SGD's `lr` is given."""
    distance: GradientDistance = "squared_euclidean"
    """Distance between two gradients of the convolutions."""
    real_rows: Count = 64
    """Real images per class in a matching step; also the size of a minibatch in the network's training."""
    augment: Augment | None = None
    """Augmentations that real and synthetic rows share in a matching step; the network is trained with the same ones
    except cutout. None: color, crop and cutout, but no cutout on MNIST with several rows per image, and nothing on
    spectrograms."""
    cutmix: Annotated[float, Meta(ge=0, le=1)] | None = None
    """Probability that CutMix is applied to a minibatch of the network's training. None: 0.5, but 0 on MNIST with
    several rows per image, and on spectrograms."""
    network_rows: Amount = 2000
    """Real images on which the network is trained between two matching steps."""
    network_lr: Rate = 0.01
    """Learning rate of the network (momentum 0.9)."""
    network_weight_decay: Rate = 5e-4
    """Weight decay of the network."""
    early_epochs: Amount = 0
    """Epochs on all real images for which the network is trained after each restart, before the first matching step."""
    pool: Amount = 0
    """Number of networks from which every restart takes one at random; 0: every restart has new random weights."""
    real_dtype: Precision = None
    """Number format in which the gradients of real rows are computed; None: float32. bfloat16 is faster on processors
    that support it."""
    network_dtype: Precision = None
    """Number format of the rows while the network is trained between two matching steps; None: float32."""
    constants: Literal["data", "CIFAR10"] = "data"
    """Mean and std that normalize the rows: those of the data, or CIFAR-10's published ones (which the released program
    uses for CIFAR-100 too)."""
    net: Architecture = ConvNet()
    """The network to match in: a `Net`, a name such as "vgg11", or a function (shape, classes) -> torch.nn.Module."""

    @property
    def protocol(self) -> str:  # type: ignore[override]
        """`imagenet2022` with the settings for photographs, otherwise `idc2022`."""
        return "imagenet2022" if self.base_size == _LARGE["base_size"] else "idc2022"

    @classmethod
    def published(cls, data: str) -> "IDC":
        """The released program's settings for a data set, at factor 2 (ImageNet: 3).

        Arguments:
            data: a key of `PUBLISHED`.

        Raises:
            InputError: `data` is not a key of `PUBLISHED`.
        """
        if data not in PUBLISHED:
            raise InputError(f"no published settings for {data!r}; known: {', '.join(PUBLISHED)}")
        return cls(**PUBLISHED[data])

    @classmethod
    def quick(cls, factor: int = 2) -> "IDC":
        """Settings that take minutes on a CPU for 1 image per class.

        Adam, 500 steps in 10 restarts, and an eighth of the network training. Tried on a tenth of FashionMNIST's
        training part, at 1 image per class and width 64; see docs/fidelity.md.
        """
        return cls(ipc=1, factor=factor, outer_steps=10, inner_steps=50, optimizer="adam", lr=0.02, network_rows=256)

    @classmethod
    def digits(cls, factor: int = 2) -> "IDC":
        """Settings for the embedded digits, a minute: 150 steps in 6 restarts. Tried on the data of `DC.digits`."""
        return replace(cls.quick(factor), outer_steps=6, inner_steps=25, lr=0.05)

    @classmethod
    def photos(cls) -> "IDC":
        """Settings for a folder of your own pictures, a few minutes for ten classes at 32 pixels.

        150 steps in 6 restarts, with half of the real images. Tried on a fifth of the training part of
        imagenette-128-subset, at 1 image per class.
        """
        return replace(cls.digits(), real_rows=32)

    @classmethod
    def named(cls) -> "dict[str, Recipe]":
        """IDC and its presets, IDC-I (no multi-formation), and the released program's settings for each data set."""
        single = {
            "idc-i": cls(factor=1), "idc-i:quick": cls.quick(factor=1), "idc-i:digits": cls.digits(factor=1)
        }  # fmt: skip
        return super().named() | single | {f"idc:{data}": cls.published(data) for data in PUBLISHED}

    def _decoder(self, channels: int) -> "Decoder":
        from condensery import decoders
        from condensery.randomness import global_rng, rng

        match self.formation:
            case "uniform":
                return decoders.Uniform(self.factor)
            case "along-width":
                return decoders.Uniform((1, self.factor))
            case "multi-scale":
                return decoders.MultiScale(self.factor)
            case "learnable":
                with global_rng(rng(self.seed, "decoder")):
                    return decoders.Learnable(self.factor, channels)
            case "bound":
                return decoders.Bound(decoders.bound(self.ipc, self.factor))

    def shared(self, real: "RealSet") -> int:
        """The weights of a learned formation."""
        if self.formation != "learnable":
            return 0
        return sum(weight.numel() for weight in self._decoder(real.shape[0]).parameters())

    def _normalized(self, real: "RealSet") -> "RealSet":
        """The real rows, normalized by the statistics that `constants` names.

        Raises:
            InputError: these are statistics of color images, and the real rows are gray or whitened.
        """
        from condensery.data.facts import FACTS

        if self.constants == "data":
            return real
        if real.shape[0] != 3 or real.space.whitening is not None:
            raise InputError(
                f"`constants={self.constants}` are the mean and std of color images that are not whitened, but the "
                f"images of {real.name} are {'gray' if real.shape[0] != 3 else 'whitened'}; give `constants=data`"
            )
        return real.normalized_by(real.space.with_constants(FACTS[self.constants]))

    def _as_uniform(self, synthetic: "SyntheticSet") -> "SyntheticSet":
        """The set as it is used: as in the released program, bound only limits the rows while images are learned."""
        from condensery.decoders import Bound, Uniform
        from condensery.synthetic import SyntheticSet

        if not isinstance(synthetic.decoder, Bound):
            return synthetic
        return SyntheticSet(synthetic.bases.detach(), synthetic.space, Uniform(self.factor), format=synthetic.format)

    def _cuts(self, real: "RealSet") -> bool:
        """Whether boxes may be cut out of the rows of these data (cutout, CutMix)."""
        return real.facts.pictures and (self.factor == 1 or real.facts.boxes != "one-to-one")

    def _optimizer(self, synthetic: "SyntheticSet", real: "RealSet") -> "optim.Optimizer":
        """The optimizer of the images.

        Departs: the released program updates S class by class, with one momentum buffer over all of S. Momentum
            therefore keeps moving a class during the C - 1 updates of the other classes. The gradient of a class
            depends on its own images only, so C updates move it by (1 - μ^C) / (1 - μ) times one update and leave μ^C
            of the momentum. One SGD step for all classes, with the learning rate times that factor and with momentum
            μ^C, gives exactly the same images, except around the projection and in the last C updates. (The weights of
            a learned formation, which all classes share, take one step on the sum of their gradients.)
        """
        import torch

        if self.optimizer == "adam":
            return torch.optim.Adam(synthetic.parameters(), self.lr)
        decay = self.momentum**real.classes
        size = real.shape[1] * real.shape[2] / self.base_size**2
        lr = self.lr * self.ipc / 10 * size * (1 - decay) / (1 - self.momentum)
        return torch.optim.SGD(synthetic.parameters(), lr, decay)

    def _mix(self, real: "RealSet") -> "CutMix":
        """CutMix in the network's training."""
        from condensery.augment import CutMix

        cutmix = self.cutmix if self.cutmix is not None else 0.5 if self._cuts(real) else 0.0
        return CutMix(cutmix)

    def _augmentation(self, real: "RealSet", cutout: bool) -> "Augmentation":
        """The augmentation that `augment` names, with or without cutout."""
        from condensery.augment import Augmentation, Color, Crop, Cutout, Operation

        usual = ("color_crop_cutout" if self._cuts(real) else "color_crop") if real.facts.pictures else "none"
        augment = self.augment or usual
        operations: dict[str, Operation] = {"color": Color(), "crop": Crop(), "cutout": Cutout()}
        chosen = [name for name in augment.split("_") if name in operations and (cutout or name != "cutout")]
        return Augmentation(tuple(operations[name] for name in chosen))

    def _training(self) -> "Training":
        """How the network is trained between two matching steps."""
        from condensery.evaluation.training import Training
        from condensery.kernels.compiling import torch_dtype

        dtype = torch_dtype(self.network_dtype)
        return Training(self.network_lr, 0.9, self.network_weight_decay, batch_size=self.real_rows, dtype=dtype)

    def algorithm(self, real: "RealSet") -> "Matching":
        """Algorithm 1; the numbers in the comments are its line numbers."""
        from condensery.algorithms.matching import Matching
        from condensery.algorithms.samplers import Epochwise
        from condensery.algorithms.schedules import TrainedOnReal
        from condensery.kernels.compiling import torch_dtype
        from condensery.objectives import GradientMatching, convolutions, distances
        from condensery.synthetic import SyntheticSet, random_real

        real, decoder = self._normalized(real), self._decoder(real.shape[0])  # f
        rows = random_real(real, self.ipc, self.seed, decoder)
        synthetic = SyntheticSet.from_rows(rows, replace(real.space, stored="unit"), decoder)  # 1: S
        return Matching(
            real=real, synthetic=synthetic, seed=self.seed,
            schedule=TrainedOnReal(  # 2, 3, 8
                network=self.network(real), outer=self.outer_steps, inner=self.inner_steps, rows=self.network_rows,
                how=self._training(), seed=self.seed, augment=self._augmentation(real, cutout=False),
                mix=self._mix(real), early=self.early_epochs, pool=self.pool,
            ),
            sampler=Epochwise(rows=self.real_rows, inner=self.inner_steps, seed=self.seed),  # 5
            augment=self._augmentation(real, cutout=True),  # 5
            objective=GradientMatching(  # 6
                distance=getattr(distances, self.distance), match=convolutions, real_dtype=torch_dtype(self.real_dtype)
            ),
            optimizer=self._optimizer(synthetic, real), drops=self.drops,  # 7
            project=SyntheticSet.clamp, project_every=self.inner_steps, finish=self._as_uniform,
        )  # fmt: skip
