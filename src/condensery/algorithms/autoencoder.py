"""Pre-training of codes × decoders: an autoencoder on real rows (KFS)."""

import logging
import time
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from condensery.algorithms.algorithm import Aside, Rare
from condensery.data import RealSet
from condensery.decoders import Encoder, Factorized
from condensery.errors import InputError
from condensery.fields import Diversity
from condensery.randomness import global_rng, rng
from condensery.runs.checkpoint import Keeper
from condensery.synthetic import SyntheticSet

__all__ = ["Autoencoder", "pretrained"]

log = logging.getLogger("condensery")


def pretrained(
    decoder: Factorized,
    real: RealSet,
    steps: int,
    seed: int,
    diversity: Diversity,
    amount: float,
    width: int = 4,
    keeper: Keeper | None = None,
    verbose: bool = True,
) -> Factorized:
    """Train `decoder` with an encoder to reconstruct real rows; afterwards it can encode, and its D decoders differ.

    Arguments:
        decoder: changed in place and returned.
        real: the rows, which are reconstructed in the unit range (mean squared error).
        steps: steps of Adam, each on a minibatch of real rows; at least 1.
        seed: seed of the weights and of the order of rows.
        diversity: see `fields.Diversity`. Decoders that are equal at the start would stay equal: every pair of code and
            decoder enters the mean, so equal decoders receive equal gradients.
        amount: standard deviation of the noise relative to the root mean square of each tensor of the decoder, or of
            the style vectors relative to that of the codes.
        width: width of the encoder; see `decoders.factorized.Encoder`.
        keeper: writes checkpoints; None: training is in memory only.
        verbose: whether to log that it is trained.

    Raises:
        InputError: `diversity` is "styles" and `decoder` has no style vectors, or it has some and `diversity` is not.
        Interrupted: the keeper was asked to stop; the state is kept.

    References:
        KFS appendix A: one decoder, 2000 steps of Adam at 0.01 on 256 rows, copied to all.
    """
    if (decoder.styles is not None) != (diversity == "styles"):
        raise InputError(
            f"`diversity={diversity}` needs decoders {'with' if decoder.styles is None else 'without'} style vectors; "
            "set `styles` of `Factorized` accordingly"
        )
    copies = diversity != "seeds"
    with global_rng(rng(seed, "decoder")):
        one = Factorized(
            decoder.shape, decoder.channels, 1 if copies else decoder.decoders, decoder.kernel, decoder.activation
        )
        model = nn.ModuleDict({"encoder": Encoder(decoder.shape, decoder.channels, width), "decoder": one})
    model.to(real.device, real.dtype)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    state = keeper.resume(model, optimizer) if keeper else None
    begun, reported = state.step if state else 0, time.monotonic()
    if begun < steps and verbose:
        after = f", resuming after step {begun}" if begun else ""
        log.info(f"training an autoencoder on real rows, from which the decoders start: {steps} steps{after}")
    for step in range(begun, steps):
        if time.monotonic() - reported > 10:
            reported = time.monotonic()
            log.info(f"autoencoder: step {step}/{steps}")
        if keeper:
            keeper.offer(step, model, optimizer)
        index = torch.randint(len(real), (min(256, len(real)),), generator=rng(seed, "autoencoder", step))
        rows = real.space.unit(real.read(index))
        optimizer.zero_grad()
        made = one(model["encoder"](rows)[None])[0].unflatten(0, (len(rows), -1))
        F.mse_loss(made, rows[:, None].expand_as(made)).backward()
        optimizer.step()
    if keeper:
        keeper.write(steps, model, optimizer)
    encoder = model["encoder"]
    assert isinstance(encoder, Encoder)
    decoder.to(real.device, real.dtype).with_encoder(encoder)
    generator = rng(seed, "diversity")

    def noise(shape: torch.Size, like: Tensor) -> Tensor:
        return amount * like.square().mean().sqrt() * torch.randn(shape, generator=generator).to(like)

    with torch.no_grad():
        for mine, theirs in zip(decoder.layers.parameters(), one.layers.parameters(), strict=True):
            mine.copy_(theirs)
            if diversity == "noise":
                mine.add_(noise(mine.shape, theirs))
        if decoder.styles is not None:
            some = real.space.unit(real.read(slice(None, None, max(1, len(real) // 256))))
            decoder.styles.copy_(noise(decoder.styles.shape, encoder(some)))
    return decoder


@dataclass(frozen=True)
class Autoencoder:
    """A beginning that trains the decoders of the synthetic set on real rows; see `pretrained`.

    Arguments:
        real, steps, seed, diversity, amount, width: see `pretrained`.
    """

    real: RealSet
    steps: int
    seed: int
    diversity: Diversity
    amount: float
    width: int

    def __call__(self, synthetic: SyntheticSet, aside: Aside | None) -> None:
        decoder, keeper = synthetic.decoder, aside and aside("autoencoder", "training the autoencoder")
        assert isinstance(decoder, Factorized)
        pretrained(
            decoder, self.real, self.steps, self.seed, self.diversity, self.amount, self.width, keeper=keeper
        )  # fmt: skip

    def rare(self, synthetic: SyntheticSet) -> Rare:
        """The updates of the autoencoder."""

        def some(count: int) -> None:
            decoder = deepcopy(synthetic.decoder)
            assert isinstance(decoder, Factorized)
            pretrained(decoder, self.real, count, self.seed, self.diversity, self.amount, self.width, verbose=False)

        return Rare("updates of the autoencoder", self.steps, some)

    def steady(self) -> "Autoencoder":
        return replace(self, steps=1)
