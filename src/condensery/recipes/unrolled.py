"""Unrolled: learn through the training of networks on the set. This wrapper is of no single paper."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from condensery.fields import Count, Rate
from condensery.recipes.recipe import R, Recipe, Wrapper

if TYPE_CHECKING:
    from condensery.algorithms.matching import Matching
    from condensery.data import RealSet

__all__ = ["Unrolled"]


@dataclass(frozen=True)
class Unrolled(Wrapper[R]):
    """Unrolled: after the wrapped recipe, learn through the training of networks on the set.

    It wraps any recipe that matches: `Unrolled(Anchor(KFS.quick()))`. Networks are trained on the set, one after
    another. In every round, a network is trained for a few updates more, and the set moves so that it would have
    classified real images better after them: the gradient goes back through the updates. A round takes ten times as
    long as a step that matches means, and what it improves is the goal itself.

    References:
        Dataset Distillation (Wang et al., 2018), https://arxiv.org/abs/1811.10959, algorithm 1; Remember the Past (Deng
        and Russakovsky, 2022), https://arxiv.org/abs/2206.02916, section 3.2, for momentum; Embarrassingly Simple
        Dataset Distillation (Feng et al., 2024), https://arxiv.org/abs/2311.07025, section 4, for windows of training.
    Departs: the rounds follow another recipe's steps; windows follow one another from the first update of a network on.
    """

    name: ClassVar[str] = "unrolled"

    trainings: Count = 8
    """Networks that are trained on the set, one after another, after the wrapped recipe is done."""
    rounds: Count = 40
    """Rounds for which a network is trained; the set is updated after each."""
    unrolled_updates: Count = 15
    """Updates of a network in a round, through which the gradient goes back."""
    minibatch: Count = 64
    """Rows of the set in an update of a network."""
    judging_rows: Count = 100
    """Real images per class that a network is to classify after a round."""
    slower: Rate = 0.3
    """Factor on the learning rates of the wrapped recipe; they drop to a fifth after 7/10 and 9/10 of the rounds."""

    @classmethod
    def quick(cls, base: R) -> "Unrolled[R]":
        """The settings of the wrapped recipe, then 3 trainings."""
        return cls(base, trainings=3)

    @classmethod
    def named(cls) -> "dict[str, Recipe]":
        """Unrolled around Anchor and KFS."""
        from condensery.recipes.anchor import Anchor

        whole, quick = Anchor.named()["anchor"], Anchor.named()["anchor:quick"]
        return {"unrolled": cls(whole), "unrolled:quick": cls.quick(quick)}  # type: ignore[arg-type]

    def algorithm(self, real: "RealSet") -> "Matching":
        """The algorithm of `base`, then rounds in which the gradient goes back through the training of a network."""
        from condensery.algorithms.matching import FromMatching
        from condensery.algorithms.samplers import Uniform
        from condensery.algorithms.schedules import TrainedOnSynthetic
        from condensery.evaluation.training import Training
        from condensery.objectives import Unrolling

        made, how = self.matching(real), Training(0.01, 0.9, 5e-4, self.minibatch)
        steps = self.trainings * self.rounds
        return replace(
            made,
            beginnings=(FromMatching(self.base.name, made),),
            schedule=TrainedOnSynthetic(
                self.network(real), self.trainings, self.rounds, 0, how, self.seed, updates=self.unrolled_updates
            ),
            sampler=Uniform(self.judging_rows),
            objective=Unrolling(self.unrolled_updates, how, self.seed),
            augment=None,
            optimizer=self._optimizer(made),
            drops=(steps * 7 // 10, steps * 9 // 10),
            quantize_from=float(made.quantize_from == 1),
            of_unit_norm=True,
            classes_per_pass=real.classes,
        )

    def _optimizer(self, made: "Matching") -> Any:
        """Adam on what the optimizer of `made` updates, with its learning rates times `slower`."""
        from torch.optim import Adam

        groups = [{"params": each["params"], "lr": each["lr"] * self.slower} for each in made.optimizer.param_groups]
        return Adam(groups)
