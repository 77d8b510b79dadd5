"""Dataset Condensation with Latent Space Knowledge Factorization and Sharing (Lee et al., 2022)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from condensery.errors import InputError
from condensery.fields import at_least, well_typed
from condensery.net import Net
from condensery.recipes.mdc import MDC, adapted, enough, held_out

if TYPE_CHECKING:
    from condensery.checkpoint import Keeper
    from condensery.condensing import Step
    from condensery.data import RealSet, TestSet
    from condensery.decoders import Factorized
    from condensery.networks import Network
    from condensery.synthetic import SyntheticSet

__all__ = ["KFS"]


@dataclass(frozen=True)
class KFS:
    """KFS: latent codes × decoders, so many rows from few floats; mean embeddings matched over all rows (section 3).

    References:
        Dataset Condensation with Latent Space Knowledge Factorization and Sharing (Lee et al., 2022),
        https://arxiv.org/abs/2208.10494
    Departs: what the paper leaves open is answered in docs/kfs.md, each answer with its measurement.
    """

    name: ClassVar[str] = "kfs"

    ipc: int = 1
    """The budget: as many floats a class as so many images have. The number of codes follows."""
    budget: Literal["codes-only", "strict"] = "codes-only"
    """What the budget must hold: the codes (as the paper counts), or the decoders too."""
    seed: int = 0
    """Of every random draw."""
    channels: tuple[int, ...] | None = None
    """Of a code, and after each of a decoder's layers but the last; None: by the images, see `decoder`."""
    decoders: int | None = None
    """How many; every code is decoded by each. None: 8, or as many as a quarter of a strict budget holds."""
    kernel: Literal[2, 4] = 2
    """Of the transposed convolutions."""
    activation: Literal["none", "relu", "leaky_relu"] = "none"
    """Between a decoder's layers."""
    diversity: Literal["noise", "seeds", "styles", "none"] = "noise"
    """What tells the decoders apart at the start; see `autoencoder.Diversity`."""
    noise: float = 0.5
    """The noise's or style vectors' standard deviation, as a share of that of what they are added to."""
    pretraining: int = 2000
    """Steps of the autoencoder that decoders and codes start from."""
    encoder_width: int = 4
    """Of the autoencoder: hidden channels, in multiples of the decoder's."""
    init: Literal["real", "noise"] = "real"
    """Initial codes: those of random real images, or standard normal numbers."""
    steps: int = 20000
    """Updates of codes and decoders; with `decoder_classes`, half of them for the first classes."""
    codes_lr: float = 0.1
    """Adam's learning rate of the codes."""
    decoders_lr: float = 0.01
    """Adam's learning rate of the decoders."""
    drops: tuple[int, ...] = ()
    """Steps after which both rates are multiplied by 0.2."""
    networks: int | None = None
    """Random networks, taken in turn; None: a new one every step."""
    real_rows: int | None = None
    """Real images a class in a match; None: all of them, their means kept on disk (CONDENSERY_CACHE)."""
    augment: Literal["none", "dsa"] = "none"
    """Siamese operations in a match."""
    flip: bool = True
    """Whether flips are among these; not for digits."""
    part: int | None = None
    """Rows a class that the slope goes back through, of all that enter the mean; None: all."""
    decoder_classes: int | None = None
    """Learn the decoders with the first so many classes, then the other classes' codes for them (continual
    learning); None: all at once."""
    real_dtype: Literal["bfloat16"] | None = None
    """What real rows are embedded in; None: the rows' own float32. Faster where the processor knows it."""
    synthetic_dtype: Literal["bfloat16"] | None = None
    """What synthetic rows are embedded in; None: their own float32."""
    net: Net = Net()
    """The network to match in."""
    multisize: MDC | None = None
    """Makes every smaller size good too (the first so many codes a class); None: this one size."""

    def __post_init__(self) -> None:
        for name in ("channels", "drops"):  # files give lists
            if isinstance(given := getattr(self, name), list):
                object.__setattr__(self, name, tuple(given))
        well_typed(self)
        at_least(
            1, ipc=self.ipc, decoders=self.decoders, pretraining=self.pretraining, steps=self.steps,
            encoder_width=self.encoder_width,
            networks=self.networks, real_rows=self.real_rows, part=self.part, decoder_classes=self.decoder_classes,
        )  # fmt: skip
        at_least(0, noise=self.noise, codes_lr=self.codes_lr, decoders_lr=self.decoders_lr)
        if self.channels is not None and not (1 <= len(self.channels) <= 6 and min(self.channels) >= 1):
            raise InputError(f"--channels must be 1 to 6 numbers, each at least 1, got {self.channels}")
        if self.decoder_classes and self.steps < 2:
            raise InputError("--steps must be at least 2 with --decoder-classes")
        if self.decoder_classes and self.multisize:
            raise InputError("--decoder-classes does not go with MDC: a subset is one of all classes")

    @classmethod
    def imagenet(cls) -> "KFS":
        """The paper's for ImageNet-10 at 224 pixels: slower and longer, with drops, decoders of kernel 4.

        Departs: the channels (the paper's table is not in its text), and the ConvNet for ResNetAP-10.
        """
        return cls(kernel=4, steps=50000, codes_lr=0.01, decoders_lr=0.001, drops=(30000, 42000, 48000))

    @classmethod
    def continual(cls, classes: int = 20) -> "KFS":
        """The paper's for continual learning: decoders from the first `classes`, then fixed; two drops a stage."""
        return cls(steps=40000, drops=(5000, 15000), decoder_classes=classes)

    @classmethod
    def quick(cls) -> "KFS":
        """Minutes on a CPU for the floats of 1 grey image of 28 pixels a class, decoders counted.

        Chosen on a tenth of FashionMNIST's training part: see docs/kfs.md.
        """
        return cls(budget="strict", pretraining=1000, steps=300, real_rows=256)

    @classmethod
    def digits(cls) -> "KFS":
        """Half a minute for the embedded digits: 150 steps, 2 decoders (a set of few rows). Tried as `DC.digits`."""
        return replace(cls.quick(), decoders=2, pretraining=300, steps=150, real_rows=64)

    def decoder(self, shape: tuple[int, int, int], classes: int) -> "Factorized":
        """The decoders for rows of `shape`, with weights that say nothing yet.

        Where `channels` are left to the images: 12-9-6 (the paper's three layers) from 24 to 64 pixels, 8-6 (two
        layers) for smaller and larger ones; 4-4-4 (docs/kfs.md) and 4-3 for grey images.
        """
        from condensery.decoders import Factorized
        from condensery.randomness import global_rng, rng

        three, colour = 24 <= min(shape[1:]) <= 64, shape[0] > 1
        chosen = ((12, 9, 6) if colour else (4, 4, 4)) if three else ((8, 6) if colour else (4, 3))

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
                f"a budget of {whole} floats (--ipc {self.ipc}) holds no code of "
                f"{'x'.join(map(str, decoder.code_shape))} a class ({self.budget}; the decoders have {decoder.floats} "
                "floats); give a larger --ipc, fewer --decoders or fewer --channels"
            )
        return count

    def condense(
        self, real: "RealSet", keeper: "Keeper | None" = None, observe: "Callable[[Step], Any] | None" = None
    ) -> "SyntheticSet":
        """Learn a synthetic set for `real`.

        Arguments:
            keeper: keeps checkpoints; see `condense`.
            observe: called after every step; by default it is shown how far the run is.

        Raises:
            InputError: a budget too small for one code; images too small for the network.
            RunError: the loss, or what was learned, is not finite.
            Interrupted: the keeper was asked to stop.
        """
        import torch

        from condensery.autoencoder import pretrained
        from condensery.networks import build
        from condensery.randomness import rng
        from condensery.synthetic import SyntheticSet, random_real

        real, held = held_out(self.multisize, real, self.seed)
        count = real.classes if self.decoder_classes is None else self.decoder_classes
        if self.decoder_classes is not None and count >= real.classes:
            raise InputError(f"--decoder-classes is {count}; with {real.classes} classes, at most {real.classes - 1}")
        network = build(self.net, real.shape, real.classes).to(real.device, real.dtype)
        decoder = self.decoder(real.shape, real.classes)
        codes = self.codes(decoder, real.classes)
        enough(self.multisize, codes, "code")
        if self.init == "real" and codes > min(real.sizes):
            raise InputError(
                f"{codes} codes a class start from as many real images, and a class has only {min(real.sizes)}; "
                "give --init noise, or a smaller --ipc"
            )
        first, aside = real.only(range(count)), keeper.beside if keeper else None
        beginning = aside and aside("autoencoder", "")
        pretrained(
            decoder, first, self.pretraining, self.seed, self.diversity, self.noise, self.encoder_width,
            keeper=beginning,
        )  # fmt: skip
        if self.init == "real":
            bases = decoder.encode(real.space.unit(random_real(real, codes, self.seed)))
        else:
            draws = (rng(self.seed, "codes", c) for c in range(real.classes))
            bases = torch.stack([torch.randn(codes, *decoder.code_shape, generator=draw) for draw in draws])
            bases = bases.to(real.device, real.dtype)
        space = replace(real.space, stored="unit")
        if count == real.classes:
            return self._learned(real, SyntheticSet(bases, space, decoder), network, self.steps, keeper, observe, held)
        told = observe or (lambda step: None)
        half, rest = self.steps // 2, real.only(range(count, real.classes))
        stage, begun = aside and aside("decoders", ""), SyntheticSet(bases[:count], space, decoder)
        begun = self._learned(first, begun, network, half, stage, lambda s: told(replace(s, total=self.steps)))
        decoder.requires_grad_(False)
        later = self._learned(
            rest, SyntheticSet(bases[count:], space, decoder), network, self.steps - half, keeper,
            lambda s: told(replace(s, done=s.done + half, total=self.steps)),
        )  # fmt: skip
        decoder.requires_grad_(True)
        return SyntheticSet(torch.cat([begun.bases.detach(), later.bases.detach()]), space, decoder)

    def _learned(
        self,
        real: "RealSet",
        synthetic: "SyntheticSet",
        network: "Network",
        steps: int,
        keeper: "Keeper | None",
        observe: "Callable[[Step], Any] | None",
        held: "TestSet | None" = None,
    ) -> "SyntheticSet":
        """Codes, and decoders unless they are fixed, after `steps` steps of distribution matching."""
        import torch

        from condensery.augment import Augmentation, Colour, Crop, Cutout, Flip, Rotate, Scale
        from condensery.compiling import named
        from condensery.condensing import condense
        from condensery.objectives import DistributionMatching
        from condensery.samplers import Uniform, Whole
        from condensery.schedules import Fresh
        from condensery.storage import cache

        flips = (Flip(),) if self.flip else ()
        strategy = Augmentation(one_of=(Colour(), Crop(), Cutout(), *flips, Scale(), Rotate()))
        augment = None if self.augment == "none" else strategy
        sampler = Uniform(self.real_rows) if self.real_rows else Whole(cache("means"))
        base = DistributionMatching(
            real_dtype=named(self.real_dtype), synthetic_dtype=named(self.synthetic_dtype), part=self.part
        )
        schedule = Fresh(network, steps, self.seed, self.networks)
        objective = adapted(self.multisize, base, synthetic, schedule, held, self.seed)
        groups = [{"params": [synthetic.bases], "lr": self.codes_lr}]
        if any(p.requires_grad for p in synthetic.decoder.parameters()):
            groups.append({"params": list(synthetic.decoder.parameters()), "lr": self.decoders_lr})
        return condense(
            real, synthetic, schedule, sampler, objective,
            torch.optim.Adam(groups), self.seed, augment,
            rate=lambda progress: 0.2 ** sum(round(progress * steps) >= drop for drop in self.drops),
            keeper=keeper, observe=observe,
        )  # fmt: skip
