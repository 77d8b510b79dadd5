"""Baselines that choose real images instead of learning new ones."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from condensery.fields import Amount, Count, Seed
from condensery.networks.convnet import ConvNet
from condensery.networks.net import Architecture
from condensery.recipes.recipe import Recipe

if TYPE_CHECKING:
    from condensery.algorithms.algorithm import Choice, Observe
    from condensery.data import RealSet
    from condensery.networks.network import Network, Point
    from condensery.runs.checkpoint import Keeper
    from condensery.synthetic import SyntheticSet

__all__ = ["Forgetting", "Herding", "KCenter", "Random"]


class _Chosen(Recipe):
    """A recipe that chooses real images, and stores them as they are."""

    def within(self, bytes: int | str, real: "RealSet", per_number: int | None = None, extra: int = 0) -> Self:
        """The recipe with the largest `ipc` that fits; a real image takes the bytes that it has."""
        return super().within(bytes, real, per_number or real.bytes_per_value, extra)


@dataclass(frozen=True)
class Random(_Chosen):
    """Random real images from each class."""

    name: ClassVar[str] = "random"

    ipc: Count = 10
    """Stored images per class."""
    seed: Seed = 0
    """Seed of the random choice."""
    net: Architecture = ConvNet()
    """The network to evaluate with; the choice does not depend on it."""

    def algorithm(self, real: "RealSet") -> "Choice":
        """Choose by `coresets.random`."""
        from condensery.algorithms import coresets
        from condensery.algorithms.algorithm import Choice

        chosen = coresets.random(real, self.ipc, self.seed)
        return Choice(synthetic=chosen, choose=lambda keeper, observe: chosen)


@dataclass(frozen=True)
class _ByFeatures(_Chosen):
    """A recipe that chooses by the features of a network which is trained on all real images."""

    ipc: Count = 10
    """Stored images per class."""
    seed: Seed = 0
    """Seed of the feature network's weights and of the order of its training rows."""
    feature_epochs: Amount = 10
    """Epochs for which the feature network is trained on all real images (by the protocol `whole`)."""
    net: Architecture = ConvNet()
    """The feature network."""

    rule: ClassVar[str]
    """The function of `algorithms.coresets` that chooses."""

    def algorithm(self, real: "RealSet") -> "Choice":
        """Train the network, then choose by `rule`."""
        from condensery.algorithms import coresets

        chosen: Callable[[RealSet, int, Point], SyntheticSet] = getattr(coresets, self.rule)

        def choose(keeper: "Keeper | None", observe: "Observe | None") -> "SyntheticSet":
            features = _trained(self.network(real), real, self.feature_epochs, self.seed, keeper, observe)
            return chosen(real, self.ipc, features)

        return _choice(real, self.ipc, choose)


@dataclass(frozen=True)
class Herding(_ByFeatures):
    """Images whose running mean follows the class mean in the features of a network trained on all real images."""

    name: ClassVar[str] = "herding"
    rule: ClassVar[str] = "herding"


@dataclass(frozen=True)
class KCenter(_ByFeatures):
    """Images that cover their class, picked farthest-first in the features of a network trained on all real images."""

    name: ClassVar[str] = "k-center"
    rule: ClassVar[str] = "k_center"


@dataclass(frozen=True)
class Forgetting(_Chosen):
    """The images that a network forgets most often while it is trained."""

    name: ClassVar[str] = "forgetting"

    ipc: Count = 10
    """Stored images per class."""
    seed: Seed = 0
    """Seed of the network's weights and of the order of its training rows."""
    epochs: Count = 10
    """Training epochs over which forgetting is counted (by the protocol `whole`)."""
    net: Architecture = ConvNet()
    """The network that is trained to count forgetting."""

    def algorithm(self, real: "RealSet") -> "Choice":
        """Choose by `coresets.forgetting`."""
        from condensery.algorithms import coresets
        from condensery.evaluation.protocols import WHOLE
        from condensery.networks.network import initial
        from condensery.randomness import rng

        def choose(keeper: "Keeper | None", observe: "Observe | None") -> "SyntheticSet":
            start = initial(self.network(real), rng(self.seed, "weights", "forgetting"))
            steps = WHOLE.steps(self.epochs, len(real))
            return coresets.forgetting(real, self.ipc, start, WHOLE, steps, self.seed, keeper, _shown(observe))

        return _choice(real, self.ipc, choose)


def _choice(real: "RealSet", ipc: int, choose: "Callable[[Keeper | None, Observe | None], SyntheticSet]") -> "Choice":
    """A `Choice` of `ipc` rows per class; its set holds random rows until `choose` is called."""
    from condensery.algorithms import coresets
    from condensery.algorithms.algorithm import Choice

    return Choice(synthetic=coresets.random(real, ipc, seed=0), choose=choose)


def _trained(
    network: "Network", real: "RealSet", epochs: int, seed: int, keeper: "Keeper | None", observe: "Observe | None"
) -> "Point":
    """Train a network on all of `real`; its embedding is the feature space."""
    from condensery.evaluation.protocols import WHOLE
    from condensery.evaluation.training import computing, fit
    from condensery.kernels.compiling import during
    from condensery.networks.network import initial
    from condensery.randomness import rng

    start, steps = initial(network, rng(seed, "weights", "features")), WHOLE.steps(epochs, len(real))
    with during(computing(network, real.shape, steps * WHOLE.batch_size)):
        return fit(start, real, WHOLE, steps, seed, ("features",), keeper=keeper, report=_shown(observe))


def _shown(observe: "Observe | None") -> Callable[[int, int, float], None] | None:
    """A callback that reports the training steps of a network to `observe` as steps of the run."""
    if observe is None:
        return None
    from condensery.algorithms.algorithm import Step

    return lambda done, total, loss: observe(Step(done, total, loss, None))
