"""Multisize Dataset Condensation (He et al., ICLR 2024)."""

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Literal

from condensery.errors import InputError
from condensery.fields import at_least, well_typed

if TYPE_CHECKING:
    from condensery.data import RealSet, TestSet
    from condensery.networks import Network
    from condensery.objectives import Objective
    from condensery.objectives.subset import Metric
    from condensery.schedules import Schedule
    from condensery.synthetic import SyntheticSet

__all__ = ["MDC", "adapted", "enough", "held_out"]


@dataclass(frozen=True)
class MDC:
    """MDC: one condensed set of which the first 1, 2, ... images a class are good sets too (algorithm 1).

    Not a recipe but one more argument of others: `IDC(ipc=10, multisize=MDC())`. It adds the adaptive subset loss to
    the recipe's own, and freezes what it has learned.

    References:
        Multisize Dataset Condensation (He et al., 2024), https://arxiv.org/abs/2403.06075
    Departs: see `objectives.subset.AdaptiveSubset`, docs/multisize.md and docs/fidelity.md.
    """

    period: int | None = None
    """Outer loops (restarts of the network) between two choices; None: by `fraction`, or the paper's 100."""
    fraction: float | None = None
    """Instead, the share of all outer loops between two choices, one at least."""
    window: int | None = None
    """Steps at the end of a period over which the subsets' figures are averaged, at most all of them; None: an outer
    loop's, at least 10."""
    metric: Literal["features", "gradients", "accuracy"] = "features"
    """What tells how well a subset learns: the distance of its features or gradients, or the accuracy of networks
    trained on it, on a tenth of the training images that is held out of all learning."""
    compare: bool = True
    """Whether the subset ever changes; otherwise it is the first image for good (the paper's ablation), and all that is
    about choosing and freezing does nothing."""
    freeze: bool = True
    """Whether a subset that was learned stays as it is while a larger one is learned."""
    decoders: Literal["frozen", "learned"] = "frozen"
    """What becomes of a decoder that all images share once one of them is frozen: it stands still too, or goes on, so
    that frozen images change."""
    class_wise: bool = False
    """Whether every class chooses its own subset."""

    def __post_init__(self) -> None:
        well_typed(self)
        at_least(1, "multisize.", period=self.period, window=self.window)
        if None not in (self.period, self.fraction):
            raise InputError(
                "--multisize.period and --multisize.fraction say the same: with the one, add --multisize.fraction None"
            )
        if self.fraction is not None and not 0 < self.fraction <= 0.5:
            raise InputError(f"--multisize.fraction must lie above 0 and at most at 0.5, got {self.fraction}")
        if self.class_wise and self.metric == "accuracy":
            raise InputError(
                "--multisize.metric accuracy is one figure for all classes; take --multisize.no-class-wise"
            )

    @classmethod
    def quick(cls) -> "MDC":
        """For runs of some hundred steps: a choice every tenth of the restarts, by the figures of five steps."""
        return cls(fraction=0.1, window=5)

    @property
    def blind_to_labels(self) -> bool:
        """Whether subsets are chosen by what no learned label changes."""
        return self.compare and self.metric == "features"

    def moments(self, outer: int, inner: int) -> tuple[int, int, int]:
        """Of a run of `outer` loops of `inner` steps: steps between two choices, the step of the first figures, and
        steps that figures are averaged over. The first two are whole outer loops: figures compare at one age alone.

        Raises:
            InputError: a run too short for a choice to be made.
        """
        share = self.fraction
        period = inner * (self.period or (100 if share is None else max(1, round(share * outer))))
        window = min(self.window or max(inner, 10), period)
        first = inner * ceil(window / inner)
        if self.compare and (period if period > first else 2 * period) >= outer * inner:
            raise InputError(
                f"a subset is chosen every {period} steps, and the run has {outer * inner}: it would be the first "
                "image for good; give more restarts of the network (--outer-steps; --steps of dm and kfs), "
                f"{'' if period == inner else 'a smaller --multisize.period or --multisize.fraction, '}"
                "or --multisize.no-compare"
            )
        return period, first, window

    def _metric(self, network: "Network", held: "TestSet | None", seed: int) -> "Metric":
        from condensery.distances import squared_euclidean
        from condensery.objectives import GradientMatching, convolutions
        from condensery.objectives.subset import FeatureDistance, GradientDistance, SubsetAccuracy
        from condensery.training import SGD

        match self.metric:
            case "features":
                return FeatureDistance()
            case "gradients":
                return GradientDistance(GradientMatching(squared_euclidean, convolutions))
            case "accuracy":
                assert held
                return SubsetAccuracy(network, held, SGD(0.01, 0.9, 5e-4, 64), 300, seed)


def held_out(multisize: MDC | None, real: "RealSet", seed: int) -> "tuple[RealSet, TestSet | None]":
    """The rows to learn from, and those that subsets are measured on, where a part is held out for that."""
    held = multisize and multisize.compare and multisize.metric == "accuracy"
    return real.split(0.1, seed) if held else (real, None)


def adapted(
    multisize: MDC | None,
    base: "Objective",
    synthetic: "SyntheticSet",
    schedule: "Schedule",
    held: "TestSet | None",
    seed: int,
) -> "Objective":
    """`base` with the adaptive subset loss; as it is where the set is for one size.

    Raises:
        InputError: a run too short for a choice to be made.
    """
    if multisize is None:
        return base
    from condensery.objectives.subset import AdaptiveSubset

    synthetic.decoder_freezes = multisize.decoders == "frozen"
    period, first, window = multisize.moments(schedule.outer, schedule.inner)
    metric = multisize._metric(schedule.network, held, seed) if multisize.compare else None
    return AdaptiveSubset(base, synthetic, metric, period, first, window, multisize.freeze, multisize.class_wise)


def enough(multisize: MDC | None, images: int, what: str = "stored image") -> None:
    """Refuse a set of one image a class, which has no subset.

    Raises:
        InputError: it is.
    """
    if multisize and images < 2:
        raise InputError(f"one {what} a class has no smaller sizes to learn; give --ipc of at least 2")
