"""Unrolled: learn through the training of networks on the set. This wrapper combines several papers."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from msgspec import Meta

from condensery.fields import Count, Precision, Rate
from condensery.recipes.recipe import R, Recipe, Wrapper

if TYPE_CHECKING:
    from condensery.algorithms.matching import Matching
    from condensery.data import RealSet
    from condensery.networks.network import Network
    from condensery.objectives import Unrolling
    from condensery.synthetic import SyntheticSet

__all__ = ["Unrolled"]


@dataclass(frozen=True)
class Unrolled(Wrapper[R]):
    """Unrolled: after the wrapped recipe, learn through the training of networks on the set.

    It wraps any recipe that matches: `Unrolled(Anchor(KFS.quick()))`. Networks of different ages are trained on the
    set. In every round, one of them is trained for a few more updates, and the set moves so that it would have
    classified real images better after them: the gradient goes back through the updates. A round takes longer than a
    step that matches means, and what it improves is the goal itself.

    References:
        Dataset Distillation (Wang et al., 2018), https://arxiv.org/abs/1811.10959, algorithm 1; Remember the Past (Deng
        and Russakovsky, 2022), https://arxiv.org/abs/2206.02916, for momentum; Embarrassingly Simple
        Dataset Distillation (Feng et al., 2024), https://arxiv.org/abs/2311.07025, for windows of training.
    Departs: the rounds follow another recipe's steps; the windows of a network follow one another from its first update
        on.
    """

    name: ClassVar[str] = "unrolled"

    rounds: Count = 150
    """Updates of the set after the wrapped recipe is done."""
    unrolled_updates: Count = 100
    """Updates of a network in a round, through which the gradient goes back. The intermediate results of all of them
    are in memory."""
    network_pool: Count = 8
    """Networks that are trained on the set, one in each round."""
    lifetime: Count = 1000
    """Updates before a network starts anew from random weights, rounded down to whole rounds, but at least one; the
    first lives are shorter."""
    augmented: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """Fraction of the networks that are trained on rows that are augmented and mixed as in `idc2022`."""
    minibatch: Count = 64
    """Rows of the set in an update of a network."""
    outer_rows: Count = 100
    """Real images per class by whose loss a round is judged."""
    unrolled_dtype: Precision = None
    """Number format of the rows in the networks that are trained on the set; None: float32."""
    lr_factor: Rate = 0.3
    """Factor on the learning rates of the wrapped recipe; they drop to a fifth after 7/10 of the rounds, and to a fifth
    of that after 9/10."""

    @classmethod
    def quick(cls, base: R) -> "Unrolled[R]":
        """The settings of the wrapped recipe, then 45 rounds."""
        return cls(base, rounds=45)

    @classmethod
    def named(cls) -> "dict[str, Recipe]":
        """Unrolled around Anchor and KFS, and in networks of width 64 for 3, 10 (quick) and 30 minutes of two cores.

        The minutes are meant for ten classes of gray images of 28 pixels, and for processors that compute in bfloat16.
        For the embedded digits, it is around KFS alone.
        """
        from condensery.networks.convnet import ConvNet
        from condensery.recipes.anchor import Anchor
        from condensery.recipes.kfs import KFS

        whole, quick = Anchor.named()["anchor"], Anchor.named()["anchor:quick"].having(net=ConvNet(width=64))
        short = replace(quick.having(steps=100), trained_networks=1, points=8, mean_rows=256)  # type: ignore[call-arg]
        return {
            "unrolled": cls(whole, rounds=1150),  # type: ignore[arg-type]
            "unrolled:3min": cls(short, rounds=25, network_pool=2, unrolled_dtype="bfloat16"),  # type: ignore[arg-type]
            "unrolled:quick": replace(cls.quick(quick), unrolled_dtype="bfloat16"),  # type: ignore[arg-type]
            "unrolled:30min": cls(quick, unrolled_dtype="bfloat16"),  # type: ignore[arg-type]
            "unrolled:digits": cls(KFS.digits(), rounds=15, unrolled_updates=40),  # type: ignore[arg-type]
        }

    def algorithm(self, real: "RealSet") -> "Matching":
        """The algorithm of `base`, then rounds in which the gradient goes back through the training of a network.

        Networks are trained as in evaluation, but at a constant learning rate.
        """
        from condensery.algorithms.matching import FromMatching
        from condensery.algorithms.samplers import Uniform
        from condensery.algorithms.schedules import Fresh

        made, network = self.matching(real), self.network(real)
        return replace(
            made,
            beginnings=(FromMatching(self.base.name, made),),
            schedule=Fresh(network, self.rounds, self.seed),
            sampler=Uniform(self.outer_rows),
            objective=self._unrolling(network, made.synthetic, real),
            augment=None,
            optimizer=self._optimizer(made),
            drops=[max(1, self.rounds * tenths // 10) for tenths in (7, 9)],
            project_every=1,
            quantize_from=float(made.quantize_from == 1),  # if the base ends with rounded numbers, so do all rounds
            of_unit_norm=True,
        )

    def _unrolling(self, network: "Network", synthetic: "SyntheticSet", real: "RealSet") -> "Unrolling":
        """The loss of real images after `unrolled_updates` updates of one of the networks."""
        from condensery.evaluation.protocols import idc_augmentation
        from condensery.evaluation.training import USUAL
        from condensery.kernels.compiling import torch_dtype
        from condensery.objectives import Unrolling

        how = replace(USUAL, batch_size=self.minibatch, dtype=torch_dtype(self.unrolled_dtype))
        augmented = round(self.augmented * self.network_pool)
        augmentation = idc_augmentation(real.facts, (synthetic.rows_per_class, synthetic.bases_per_class))
        return Unrolling(
            network, self.unrolled_updates, how, self.seed, self.network_pool, self.lifetime, augmented, *augmentation
        )

    def _optimizer(self, made: "Matching") -> Any:
        """Adam on what the optimizer of `made` updates, with its learning rates times `lr_factor`."""
        from torch.optim import Adam

        groups = [{"params": each["params"], "lr": each["lr"] * self.lr_factor} for each in made.optimizer.param_groups]
        return Adam(groups)
