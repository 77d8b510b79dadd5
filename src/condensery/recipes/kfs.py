"""Dataset Condensation with Latent Space Knowledge Factorization and Sharing (Lee et al., 2022)."""

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from condensery.errors import InputError
from condensery.fields import Amount, Count, Precision, Rate, Seed
from condensery.networks.net import Architecture, Net
from condensery.recipes.recipe import Recipe

if TYPE_CHECKING:
    from torch import optim

    from condensery.algorithms.algorithm import Beginning
    from condensery.algorithms.matching import Matching
    from condensery.data import RealSet
    from condensery.decoders import Factorized
    from condensery.synthetic import SyntheticSet

__all__ = ["KFS"]


@dataclass(frozen=True)
class KFS(Recipe):
    """KFS: latent codes × decoders, so many rows from few floats; mean embeddings matched over all rows (section 3).

    References:
        Dataset Condensation with Latent Space Knowledge Factorization and Sharing (Lee et al., 2022),
        https://arxiv.org/abs/2208.10494
    Departs: what the paper leaves open is answered in docs/kfs.md, each answer with its measurement.
    """

    name: ClassVar[str] = "kfs"
    protocol: ClassVar[str] = "kfs2022"
    presets: ClassVar[tuple[str, ...]] = ("quick", "digits")

    ipc: Count = 1
    """The budget: a class may store as many floats as this many images have. The number of codes follows from it."""
    budget: Literal["codes-only", "strict"] = "codes-only"
    """What the budget must hold: the codes alone (as the paper counts), or the decoders too (strict)."""
    seed: Seed = 0
    """Seed of all random draws."""
    channels: Annotated[tuple[Count, ...], Meta(min_length=1, max_length=6)] | None = None
    """Channels of a code, then those after each layer of a decoder but the last; None: chosen by the shape of the
    images, see `decoder`."""
    decoders: Count | None = None
    """Number of decoders, each of which decodes every code; None: 8, or what a quarter of a strict budget holds."""
    kernel: Literal[2, 4] = 2
    """Kernel size of the transposed convolutions."""
    activation: Literal["none", "relu", "leaky_relu"] = "none"
    """Nonlinearity between the layers of a decoder."""
    diversity: Literal["noise", "seeds", "styles", "none"] = "noise"
    """What makes the decoders differ at the start; see `autoencoder.Diversity`."""
    noise: Rate = 0.5
    """Standard deviation of the noise or of the style vectors, relative to that of the weights or codes they are
    added to."""
    pretraining: Count = 2000
    """Steps of the autoencoder that decoders and codes start from."""
    encoder_width: Count = 4
    """Hidden channels of the autoencoder's encoder, in multiples of the decoder's."""
    init: Literal["real", "noise"] = "real"
    """Initial codes: those of random real images, or standard normal noise."""
    steps: Count = 20000
    """Updates of codes and decoders."""
    codes_lr: Rate = 0.1
    """Adam's learning rate of the codes."""
    decoders_lr: Rate = 0.01
    """Adam's learning rate of the decoders."""
    drops: tuple[Amount, ...] = ()
    """Steps after which both learning rates are multiplied by 0.2."""
    networks: Count | None = None
    """Number of random networks, taken in turn; None: a new one at every step."""
    real_rows: Count | None = None
    """Real images per class in a match; None: all of them, with their means kept on disk (CONDENSERY_CACHE)."""
    augment: Literal["none", "dsa"] = "none"
    """Siamese augmentations in a match."""
    flip: bool = True
    """Whether flips are among the augmentations; the paper of DSA leaves them out for digits."""
    part: Count | None = None
    """Rows per class that the gradient goes back through, of all rows that enter the mean; None: all of them."""
    real_dtype: Precision = None
    """Number format in which real rows are embedded; None: float32. bfloat16 is faster on processors that support
    it."""
    synthetic_dtype: Precision = None
    """Number format in which synthetic rows are embedded; None: float32."""
    net: Architecture = Net()
    """The network to match in: a `Net`, the name of a family, or a function (shape, classes) -> torch.nn.Module."""

    def __post_init__(self) -> None:
        for name in ("channels", "drops"):  # files give lists
            if isinstance(given := getattr(self, name), list):
                object.__setattr__(self, name, tuple(given))
        super().__post_init__()

    @classmethod
    def imagenet(cls) -> "KFS":
        """The paper's for ImageNet-10 at 224 pixels: slower and longer, with drops, decoders of kernel 4.

        Departs: the channels (the paper's table is not in its text), and the ConvNet for ResNetAP-10.
        """
        return cls(kernel=4, steps=50000, codes_lr=0.01, decoders_lr=0.001, drops=(30000, 42000, 48000))

    @classmethod
    def quick(cls) -> "KFS":
        """Minutes on a CPU for the floats of 1 gray image of 28 pixels a class, decoders counted.

        Chosen on a tenth of FashionMNIST's training part: see docs/kfs.md.
        """
        return cls(budget="strict", pretraining=1000, steps=300, real_rows=256)

    @classmethod
    def digits(cls) -> "KFS":
        """Half a minute for the embedded digits: 150 steps, 2 decoders (a set of few rows). Tried as `DC.digits`."""
        return replace(cls.quick(), decoders=2, pretraining=300, steps=150, real_rows=64)

    @classmethod
    def named(cls) -> "dict[str, Recipe]":
        """With the paper's settings for ImageNet-10."""
        return super().named() | {"kfs:imagenet10": cls.imagenet()}

    def decoder(self, shape: tuple[int, int, int], classes: int) -> "Factorized":
        """The decoders for rows of `shape`, with weights that say nothing yet.

        Where `channels` are left to the images: 12-9-6 (the paper's three layers) from 24 to 64 pixels, 8-6 (two
        layers) for smaller and larger ones; 4-4-4 (docs/kfs.md) and 4-3 for gray images.
        """
        from condensery.decoders import Factorized
        from condensery.randomness import global_rng, rng

        three, color = 24 <= min(shape[1:]) <= 64, shape[0] > 1
        chosen = ((12, 9, 6) if color else (4, 4, 4)) if three else ((8, 6) if color else (4, 3))

        def made(decoders: int) -> Factorized:
            styles = self.diversity == "styles"
            with global_rng(rng(self.seed, "decoder")):
                return Factorized(shape, self.channels or chosen, decoders, self.kernel, self.activation, styles)

        quarter = classes * self.ipc * prod(shape) // (4 * made(1).floats)
        return made(self.decoders or (8 if self.budget == "codes-only" else max(1, min(8, quarter))))

    def codes(self, decoder: "Factorized", classes: int) -> int:
        """Codes a class that the budget holds.

        Raises:
            InputError: not one.
        """
        whole = classes * self.ipc * prod(decoder.shape)
        left = whole - (decoder.floats if self.budget == "strict" else 0)
        count = left // (classes * prod(decoder.code_shape))
        if count < 1:
            raise InputError(
                f"a budget of {whole} floats (`ipc={self.ipc}`) holds no code of "
                f"{'x'.join(map(str, decoder.code_shape))} a class ({self.budget}; the decoders have {decoder.floats} "
                "floats); give a larger `ipc`, fewer `decoders` or fewer `channels`"
            )
        return count

    def algorithm(self, real: "RealSet") -> "Matching":
        """Section 3: autoencoder, then codes and decoders by distribution matching (the paper has no numbered box)."""
        from condensery.algorithms.matching import Matching
        from condensery.algorithms.samplers import Uniform, Whole
        from condensery.algorithms.schedules import Fresh
        from condensery.augment import dsa_strategy
        from condensery.kernels.compiling import torch_dtype
        from condensery.objectives import DistributionMatching
        from condensery.runs.storage import cache

        synthetic = self._initial(real)
        return Matching(
            real=real,
            synthetic=synthetic,
            beginnings=self._beginnings(real, synthetic),  # appendix A
            schedule=Fresh(network=self.network(real), outer=self.steps, seed=self.seed, networks=self.networks),
            sampler=Uniform(rows=self.real_rows) if self.real_rows else Whole(folder=cache("means")),  # 3.2
            augment=None if self.augment == "none" else dsa_strategy(self.flip),
            objective=DistributionMatching(  # eq. 1
                real_dtype=torch_dtype(self.real_dtype),
                synthetic_dtype=torch_dtype(self.synthetic_dtype),
                part=self.part,
            ),
            optimizer=self._optimizer(synthetic),
            rate=lambda progress: 0.2 ** sum(round(progress * self.steps) >= drop for drop in self.drops),
            seed=self.seed,
        )  # fmt: skip

    def _initial(self, real: "RealSet") -> "SyntheticSet":
        """Noise codes, or room for those of real images, with decoders that say nothing yet."""
        import torch

        from condensery.randomness import rng
        from condensery.synthetic import SyntheticSet

        decoder = self.decoder(real.shape, real.classes)
        codes = self.codes(decoder, real.classes)
        if self.init == "real" and codes > min(real.sizes):
            raise InputError(
                f"{codes} codes a class start from as many real images, and a class has only {min(real.sizes)}; "
                "give `init=noise`, or a smaller `ipc`"
            )
        draws = (rng(self.seed, "codes", c) for c in range(real.classes))
        bases = torch.stack([torch.randn(codes, *decoder.code_shape, generator=draw) for draw in draws])
        return SyntheticSet(bases.to(real.device, real.dtype), replace(real.space, stored="unit"), decoder)

    def _beginnings(self, real: "RealSet", synthetic: "SyntheticSet") -> "tuple[Beginning, ...]":
        """The autoencoder that decoders start from, and codes too where they are those of real images."""
        from condensery.algorithms.algorithm import FromRows
        from condensery.algorithms.autoencoder import Autoencoder
        from condensery.synthetic import random_real

        autoencoder = Autoencoder(
            real=real, steps=self.pretraining, seed=self.seed, diversity=self.diversity, amount=self.noise,
            width=self.encoder_width,
        )  # fmt: skip
        if self.init == "noise":
            return (autoencoder,)
        return autoencoder, FromRows(lambda: random_real(real, synthetic.bases_per_class, self.seed))

    def _optimizer(self, synthetic: "SyntheticSet") -> "optim.Optimizer":
        """Adam, codes and decoders each at their rate."""
        import torch

        codes = {"params": [synthetic.bases], "lr": self.codes_lr}
        return torch.optim.Adam([codes, {"params": list(synthetic.decoder.parameters()), "lr": self.decoders_lr}])
