"""Dataset Condensation with Latent Space Knowledge Factorization and Sharing (Lee et al., 2022)."""

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from msgspec import Meta

from condensery.errors import InputError, bounded
from condensery.fields import Amount, Count, Diversity, Precision, Rate, Seed, byte_count
from condensery.networks.convnet import ConvNet
from condensery.networks.names import NETWORKS
from condensery.networks.net import Architecture
from condensery.recipes.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor, optim

    from condensery.algorithms.algorithm import Beginning
    from condensery.algorithms.matching import Matching
    from condensery.data import RealSet
    from condensery.decoders import Factorized
    from condensery.synthetic import SyntheticSet

__all__ = ["KFS"]


@dataclass(frozen=True)
class KFS(Recipe):
    """KFS: learn latent codes and decoders that give many rows from few floats, matching mean embeddings (section 3).

    Every code goes through every decoder, and the mean is over all resulting rows.

    References:
        Dataset Condensation with Latent Space Knowledge Factorization and Sharing (Lee et al., 2022),
        https://arxiv.org/abs/2208.10494
    Departs: docs/kfs.md lists the choices that the paper leaves open, each with a measurement.
    """

    name: ClassVar[str] = "kfs"
    protocol: ClassVar[str] = "kfs2022"
    presets: ClassVar[tuple[str, ...]] = ("quick", "digits")
    main_fields: ClassVar[tuple[str, ...]] = ("ipc", "strict", "seed", "decoders", "steps")

    ipc: Count = 1
    """The budget per class: the number of floats in this many images. The number of codes follows from it."""
    floats: Count | None = None
    """The budget as a number of floats for the whole set, in place of `ipc`; None: that of `ipc` images per class."""
    strict: bool = False
    """Whether the decoders count against the budget as the codes do. In the paper only codes count."""
    seed: Seed = 0
    """Seed of all random draws."""
    channels: Annotated[tuple[Count, ...], Meta(min_length=1, max_length=6)] | None = None
    """Channels of a code, then of the output of each decoder layer except the last; None: chosen by the shape of the
    images."""
    decoders: Count | None = None
    """Number of decoders, each of which decodes every code; None: 8, or with a strict budget as many (1 to 8) as a
    quarter of it holds, if at least one code per class fits beside them."""
    kernel: Literal[2, 4] = 2
    """Kernel size of the decoders' transposed convolutions."""
    activation: Literal["none", "relu", "leaky_relu"] = "none"
    """Nonlinearity between the layers of a decoder."""
    diversity: Diversity = "noise"
    """What makes the decoders differ at the start: noise on copies of one pre-trained decoder (noise), separate weights
    from the start of pre-training (seeds), copies with a style vector each (styles), or nothing (none)."""
    noise: Rate = 0.5
    """Standard deviation of the noise or of the style vectors, relative to the root mean square of the weights or codes
    to which they are added."""
    pretraining: Count = 2000
    """Training steps of the autoencoder from which decoders and codes start."""
    encoder_width: Count = 4
    """Hidden channels of the autoencoder's encoder, in multiples of the decoder's."""
    init: Literal["real", "noise"] = "real"
    """Initial codes: encodings of random real images (real; a class with fewer images repeats them, with noise), or
    standard normal noise (noise)."""
    steps: Count = 20000
    """Updates of the codes and decoders."""
    codes_lr: Rate = 0.1
    """Adam's learning rate of the codes."""
    decoders_lr: Rate = 0.01
    """Adam's learning rate of the decoders."""
    drops: tuple[Amount, ...] = ()
    """Steps after which both learning rates are multiplied by 0.2."""
    networks: Count | None = None
    """Number of random networks, used in turn; None: a new one at every step."""
    real_rows: Count | None = None
    """Real images per class in a matching step; None: all of them, with means cached on disk (see CONDENSERY_CACHE)."""
    augment: Literal["none", "dsa"] = "none"
    """Augmentations that real and synthetic rows share in a matching step."""
    part: Count | None = None
    """Synthetic rows per class through which gradients are computed; the mean is over all rows. None: all of them."""
    real_dtype: Precision = None
    """Number format in which real rows are embedded; None: float32. bfloat16 is faster on processors that support
    it."""
    synthetic_dtype: Precision = None
    """Number format in which synthetic rows are embedded; None: float32."""
    net: Architecture = ConvNet()
    """The network to match in: a `Net`, a name such as "vgg11", or a function (shape, classes) -> torch.nn.Module."""

    @classmethod
    def imagenet(cls) -> "KFS":
        """The paper's settings for ImageNet-10 at 224 pixels.

        ResNetAP-10, lower learning rates that drop three times, more steps, and decoders with kernel size 4.

        Departs: the channels (the paper's table is not in its text).
        """
        drops = (30000, 42000, 48000)
        return cls(kernel=4, steps=50000, codes_lr=0.01, decoders_lr=0.001, drops=drops, net=NETWORKS["resnetap10"])

    @classmethod
    def quick(cls) -> "KFS":
        """Settings that take minutes on a CPU for the floats of one 28-pixel gray image per class.

        The decoders count against the budget. Tried on a tenth of FashionMNIST's training part; see docs/kfs.md.
        """
        return cls(strict=True, pretraining=1000, steps=300, real_rows=256)

    @classmethod
    def digits(cls) -> "KFS":
        """Settings for the embedded digits, half a minute: 150 steps, and 2 decoders, because the set has few rows.

        Tried on the data of `DC.digits`.
        """
        return replace(cls.quick(), decoders=2, pretraining=300, steps=150, real_rows=64)

    @classmethod
    def named(cls) -> "dict[str, Recipe]":
        """KFS and its presets, and the paper's settings for ImageNet-10."""
        return super().named() | {"kfs:imagenet10": cls.imagenet()}

    def decoder(self, shape: tuple[int, int, int], classes: int) -> "Factorized":
        """Decoders with random weights for rows of `shape`.

        If `channels` is None, it is 12-9-6 (the paper's three layers) for images of 24 to 64 pixels and 8-6 (two
        layers) for smaller and larger ones; for gray images 4-4-4 (docs/kfs.md) and 4-3.
        """
        from condensery.decoders import Factorized
        from condensery.randomness import global_rng, rng

        three, color = 24 <= min(shape[1:]) <= 64, shape[0] > 1
        chosen = ((12, 9, 6) if color else (4, 4, 4)) if three else ((8, 6) if color else (4, 3))

        def made(decoders: int) -> Factorized:
            styles = self.diversity == "styles"
            with global_rng(rng(self.seed, "decoder")):
                return Factorized(shape, self.channels or chosen, decoders, self.kernel, self.activation, styles)

        one, whole = made(1), self._budget(shape, classes)
        beside = whole - classes * prod(one.code_shape)  # room beside one code per class
        most = max(1, min(8, whole // (4 * one.floats), beside // one.floats))
        return made(self.decoders or (most if self.strict else 8))

    def codes(self, decoder: "Factorized", classes: int) -> int:
        """The number of codes per class that the budget holds.

        Raises:
            InputError: the budget does not hold one code per class.
        """
        whole = self._budget(decoder.shape, classes)
        left = whole - (decoder.floats if self.strict else 0)
        count = left // (classes * prod(decoder.code_shape))
        if count < 1:
            name = "floats" if self.floats else "ipc"
            raise InputError(
                f"a budget of {whole} floats (`{name}={getattr(self, name)}`) does not hold one code of "
                f"{'x'.join(map(str, decoder.code_shape))} per class (the decoders take {decoder.floats} floats); "
                f"give a larger `{name}`, fewer `decoders` or fewer `channels`"
            )
        return count

    def _budget(self, shape: tuple[int, ...], classes: int) -> int:
        """The budget in floats."""
        return self.floats or classes * self.ipc * prod(shape)

    def having(self, **fields: Any) -> "KFS":
        """A copy with other values of some fields; with `ipc` alone, the budget is no longer that of `floats`."""
        return replace(self, **({"floats": None} if "ipc" in fields else {}) | fields)

    def within(self, bytes: int | str, real: "RealSet", per_number: int | None = None, extra: int = 0) -> "KFS":
        """The recipe with as many codes as fit, also where the bytes hold less than one image per class.

        Decoders count against the budget.
        """
        room, number = byte_count(bytes), per_number or real.dtype.itemsize
        strict = replace(self, strict=True, floats=max(1, (room - extra) // number))
        decoder = strict.decoder(real.shape, real.classes)
        least = number * (decoder.floats + real.classes * prod(decoder.code_shape)) + extra
        if room < least:
            raise InputError(
                f"{room:,} bytes are too few: one code for each of the {real.classes} classes of {real.name} and "
                f"the decoders take {least:,} bytes; give more, or smaller images"
            )
        assert strict.floats
        return replace(strict, ipc=max(1, strict.floats // (real.classes * self.per_image(real))))

    def algorithm(self, real: "RealSet") -> "Matching":
        """Section 3: an autoencoder, then distribution matching of codes and decoders (there is no algorithm box)."""
        from condensery.algorithms.matching import Matching
        from condensery.algorithms.samplers import Uniform, Whole
        from condensery.algorithms.schedules import Fresh
        from condensery.augment import dsa_strategy
        from condensery.kernels.compiling import torch_dtype
        from condensery.objectives import DistributionMatching
        from condensery.runs.storage import cache

        synthetic = self._initial(real)
        whole = Whole(folder=cache("means"), points=self.networks or 1)  # networks that come back need no file for it
        return Matching(
            real=real,
            synthetic=synthetic,
            beginnings=self._beginnings(real, synthetic),  # appendix A
            schedule=Fresh(network=self.network(real), outer=self.steps, seed=self.seed, networks=self.networks),
            sampler=Uniform(rows=self.real_rows) if self.real_rows else whole,  # 3.2
            augment=None if self.augment == "none" else dsa_strategy(real.facts),
            objective=DistributionMatching(  # eq. 1
                real_dtype=torch_dtype(self.real_dtype),
                synthetic_dtype=torch_dtype(self.synthetic_dtype),
                part=self.part,
            ),
            optimizer=self._optimizer(synthetic),
            drops=self.drops,
            seed=self.seed,
        )  # fmt: skip

    def _initial(self, real: "RealSet") -> "SyntheticSet":
        """Noise as codes, and untrained decoders; see `_beginnings` for what happens to them before the first step."""
        import torch

        from condensery.randomness import rng
        from condensery.synthetic import SyntheticSet

        decoder = self.decoder(real.shape, real.classes)
        codes = self.codes(decoder, real.classes)
        size = 4 * real.classes * codes * prod(decoder.code_shape)
        bounded(size, f"`ipc={self.ipc}`: the initial codes")
        draws = (rng(self.seed, "codes", c) for c in range(real.classes))
        bases = torch.stack([torch.randn(codes, *decoder.code_shape, generator=draw) for draw in draws])
        return SyntheticSet(bases.to(real.device, real.dtype), replace(real.space, stored="unit"), decoder)

    def _beginnings(self, real: "RealSet", synthetic: "SyntheticSet") -> "tuple[Beginning, ...]":
        """The autoencoder that initializes the decoders, then the codes of real images if `init` is "real"."""
        from condensery.algorithms.algorithm import FromRows
        from condensery.algorithms.autoencoder import Autoencoder

        autoencoder = Autoencoder(
            real=real, steps=self.pretraining, seed=self.seed, diversity=self.diversity, amount=self.noise,
            width=self.encoder_width,
        )  # fmt: skip
        if self.init == "noise":
            return (autoencoder,)
        return autoencoder, FromRows(lambda: self._first_rows(real, synthetic.bases_per_class))

    def _first_rows(self, real: "RealSet", count: int) -> "Tensor":
        """Random real rows (C, count, channels, height, width), from which codes start.

        A class with fewer rows repeats them with noise, because equal codes would stay equal.
        """
        import torch

        from condensery.randomness import rng

        bounded(4 * real.classes * count * prod(real.shape), f"`ipc={self.ipc}`: the initial images")
        rows = real.sample(count, range(real.classes), lambda c: rng(self.seed, "random real", c)).x
        for c, size in enumerate(real.sizes):
            repeated = rows[c, size:]
            repeated += 0.3 * torch.randn(repeated.shape, generator=rng(self.seed, "repeated", c)).to(rows)
        return rows

    def _optimizer(self, synthetic: "SyntheticSet") -> "optim.Optimizer":
        """Adam on codes and decoders, each with its own learning rate."""
        import torch

        codes = {"params": [synthetic.bases], "lr": self.codes_lr}
        return torch.optim.Adam([codes, {"params": list(synthetic.decoder.parameters()), "lr": self.decoders_lr}])
