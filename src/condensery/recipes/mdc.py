"""Multisize Dataset Condensation (He et al., ICLR 2024)."""

from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from condensery.errors import InputError
from condensery.fields import Count
from condensery.recipes.recipe import R, Recipe, Wrapper

if TYPE_CHECKING:
    from condensery.algorithms.matching import Matching
    from condensery.data import RealSet, TestSet
    from condensery.networks.network import Network
    from condensery.objectives.subset import Metric

__all__ = ["MDC"]


@dataclass(frozen=True)
class MDC(Wrapper[R]):
    """MDC: one condensed set of which the first 1, 2, ... images a class are good sets too (algorithm 1).

    A recipe around any that matches: `MDC(IDC(ipc=10))`. It adds the adaptive subset loss to that recipe's own, and
    freezes what has been learned.

    References:
        Multisize Dataset Condensation (He et al., 2024), https://arxiv.org/abs/2403.06075
    Departs: see `objectives.subset.AdaptiveSubset`, docs/multisize.md and docs/fidelity.md.
    """

    name: ClassVar[str] = "mdc"

    period: Count | None = None
    """Outer loops (restarts of the network) between two choices; None: by `fraction`, or the paper's 100."""
    fraction: Annotated[float, Meta(gt=0, le=0.5)] | None = None
    """Instead, the share of all outer loops between two choices, one at least."""
    window: Count | None = None
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
    shared_decoder: Literal["frozen", "learned"] = "frozen"
    """What becomes of a decoder that all images share once one of them is frozen: it stands still too, or goes on, so
    that frozen images change."""
    class_wise: bool = False
    """Whether every class chooses its own subset."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if None not in (self.period, self.fraction):
            raise InputError("`period` and `fraction` say the same thing; give one of them, and None for the other")
        if self.class_wise and self.metric == "accuracy":
            raise InputError("`metric=accuracy` gives one figure for all classes; take `class_wise=False`")

    @classmethod
    def quick(cls, base: R) -> "MDC[R]":
        """For runs of some hundred steps: a choice every tenth of the restarts, by the figures of five steps."""
        return cls(base, fraction=0.1, window=5)

    @classmethod
    def fitting(cls, base: Recipe) -> Recipe:
        """A set of one image per class has no smaller sizes."""
        return base if base.ipc > 1 else base.having(ipc=10)

    @classmethod
    def named(cls) -> "dict[str, Recipe]":
        """Over IDC, as in the paper."""
        from condensery.recipes.idc import IDC

        quick, digits = replace(IDC.quick(), ipc=10), replace(IDC.digits(), ipc=3)
        return {"mdc": cls(IDC()), "mdc:quick": cls.quick(quick), "mdc:digits": cls.quick(digits)}  # type: ignore[arg-type]

    def algorithm(self, real: "RealSet") -> "Matching":
        """Algorithm 1: the base's algorithm with the adaptive subset loss."""
        from condensery.objectives.subset import AdaptiveSubset

        real, held = real.split(0.1, self.seed) if self.compare and self.metric == "accuracy" else (real, None)
        made = self.matching(real)
        self._fits(made)
        made.synthetic.decoder_freezes = self.shared_decoder == "frozen"
        period, first, window = self.moments(made.schedule.outer, made.schedule.inner)
        objective = AdaptiveSubset(
            base=made.objective,
            synthetic=made.synthetic,
            metric=self._metric(made.schedule.network, held) if self.compare else None,
            period=period, first=first, window=window,
            freeze=self.freeze, class_wise=self.class_wise,
        )  # fmt: skip
        return replace(made, objective=objective)

    def _fits(self, made: "Matching") -> None:
        if made.synthetic.bases_per_class < 2:
            raise InputError("one stored image or code per class has no smaller sizes to learn; give a larger `ipc`")
        if self.compare and self.metric == "features" and not made.synthetic.bases.requires_grad:
            raise InputError("only labels are learned here, on which features do not depend; take `metric=gradients`")

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
        choice = period if period > first else 2 * period  # of a second figure, which the first is compared with
        if self.compare and choice >= outer * inner:
            raise InputError(
                f"mdc would choose its first subset after {choice} steps, and the run has {outer * inner}; give more "
                "restarts of the network (`outer_steps`, or `steps` of dm and kfs), "
                f"{'' if period == inner else 'a smaller `period` or `fraction`, '}"
                "or `compare=False`, which never chooses"
            )
        return period, first, window

    def _metric(self, network: "Network", held: "TestSet | None") -> "Metric":
        from condensery.evaluation.training import Training
        from condensery.objectives import GradientMatching, convolutions
        from condensery.objectives.distances import squared_euclidean
        from condensery.objectives.subset import FeatureDistance, GradientDistance, SubsetAccuracy

        match self.metric:
            case "features":
                return FeatureDistance()
            case "gradients":
                return GradientDistance(GradientMatching(squared_euclidean, convolutions))
            case "accuracy":
                assert held
                return SubsetAccuracy(network, held, Training(0.01, 0.9, 5e-4, 64), 300, self.seed)
