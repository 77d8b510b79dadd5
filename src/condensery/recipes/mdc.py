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
    from condensery.objectives.subset import Metric

__all__ = ["MDC"]


@dataclass(frozen=True)
class MDC(Wrapper[R]):
    """MDC: learn one set whose first 1, 2, ... images per class are good condensed sets themselves (algorithm 1).

    It wraps any recipe that matches: `MDC(IDC(ipc=10))`. It adds the adaptive subset loss to the loss of that recipe
    and freezes the images of subsets that have been learned.

    References:
        Multisize Dataset Condensation (He et al., 2024), https://arxiv.org/abs/2403.06075
    Departs: see `objectives.subset.AdaptiveSubset`, docs/multisize.md and docs/fidelity.md.
    """

    name: ClassVar[str] = "mdc"

    period: Count | None = None
    """Outer loops (restarts of the network) between two choices of the subset; None: set by `fraction`, or else 100, as
    in the paper."""
    fraction: Annotated[float, Meta(gt=0, le=0.5)] | None = None
    """The same period as a fraction of all outer loops, at least one loop; give `period` or `fraction`, not both."""
    window: Count | None = None
    """Steps at the end of a period over which each subset's score is averaged, at most the whole period; None: the
    steps of one outer loop, at least 10."""
    metric: Literal["features", "gradients", "accuracy"] = "features"
    """Score of a subset: the distance of its features or gradients from those of real images, or the accuracy of
    networks trained on it, measured on a tenth of the training images that is held out of condensing."""
    compare: bool = True
    """Whether a subset is chosen in every period. If not, it is always the first image of each class (an ablation in
    the paper), and the options about choosing and freezing have no effect."""
    freeze: bool = True
    """Whether a learned subset stays unchanged while a larger one is learned."""
    shared_decoder: Literal["frozen", "learned"] = "frozen"
    """What happens to a decoder that all images share, once images are frozen: it is frozen too (frozen), or it is
    learned further, which changes frozen images (learned)."""
    class_wise: bool = False
    """Whether each class chooses its own subset."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if None not in (self.period, self.fraction):
            raise InputError("`period` and `fraction` set the same thing; give one of them, and None for the other")
        if self.class_wise and self.metric == "accuracy":
            raise InputError("`metric=accuracy` gives one score for all classes; give `class_wise=False` with it")

    @classmethod
    def quick(cls, base: R) -> "MDC[R]":
        """Settings for runs of some hundred steps: a choice every tenth of the restarts, by scores over five steps."""
        return cls(base, fraction=0.1, window=5)

    @classmethod
    def fitting(cls, base: Recipe) -> Recipe:
        """The base with `ipc=10` if it has one image per class, which has no smaller subsets."""
        return base if base.ipc > 1 else base.having(ipc=10)

    @classmethod
    def named(cls) -> "dict[str, Recipe]":
        """MDC around IDC, as in the paper."""
        from condensery.recipes.idc import IDC

        quick, digits = replace(IDC.quick(), ipc=10), replace(IDC.digits(), ipc=3)
        return {"mdc": cls(IDC()), "mdc:quick": cls.quick(quick), "mdc:digits": cls.quick(digits)}  # type: ignore[arg-type]

    def algorithm(self, real: "RealSet") -> "Matching":
        """Algorithm 1: the algorithm of `base`, with the adaptive subset loss."""
        from condensery.objectives.subset import AdaptiveSubset

        real, held = real.split(0.1, self.seed) if self.compare and self.metric == "accuracy" else (real, None)
        made = self.matching(real)
        self._fits(made)
        made.synthetic.decoder_freezes = self.shared_decoder == "frozen"
        period, first, window = self.moments(made.schedule.outer, made.schedule.inner)
        objective = AdaptiveSubset(
            base=self.statistic(made),
            synthetic=made.synthetic,
            metric=self._metric(made, held) if self.compare else None,
            period=period, first=first, window=window,
            freeze=self.freeze, class_wise=self.class_wise,
        )  # fmt: skip
        return replace(made, objective=objective)

    def _fits(self, made: "Matching") -> None:
        if made.synthetic.bases_per_class < 2:
            raise InputError("mdc needs at least two stored images or codes per class; give a larger `ipc`")
        if self.compare and self.metric == "features" and not made.synthetic.bases.requires_grad:
            raise InputError("only labels are learned, and features do not depend on them; give `metric=gradients`")

    def moments(self, outer: int, inner: int) -> tuple[int, int, int]:
        """When a run of `outer` loops of `inner` steps scores its subsets and chooses one.

        Returns:
            The steps between two choices, the step of the first scores, and the steps over which scores are averaged.
            The first two are whole outer loops, because scores are comparable only in networks of the same age.

        Raises:
            InputError: the run is too short to make a choice.
        """
        share = self.fraction
        period = inner * (self.period or (100 if share is None else max(1, round(share * outer))))
        window = min(self.window or max(inner, 10), period)
        first = inner * ceil(window / inner)
        if first + window > period:  # the steps of two scores must not overlap
            first = period
        choice = period if period > first else 2 * period  # a choice compares two scores
        if self.compare and choice >= outer * inner:
            raise InputError(
                f"mdc would choose its first subset after {choice} steps, but the run has only {outer * inner}; give "
                "more restarts of the network (`outer_steps`, or `steps` for dm and kfs), "
                f"{'' if period == inner else 'a smaller `period`, or `fraction` (0.1: ten choices in a run), '}"
                "or `compare=False`, which always learns the first image"
            )
        return period, first, window

    def _metric(self, made: "Matching", held: "TestSet | None") -> "Metric":
        from condensery.evaluation.training import USUAL
        from condensery.objectives import GradientMatching, weights
        from condensery.objectives.distances import squared_euclidean
        from condensery.objectives.subset import FeatureDistance, GradientDistance, SubsetAccuracy

        match self.metric:
            case "features":
                return FeatureDistance()
            case "gradients":
                match = made.objective.match if isinstance(made.objective, GradientMatching) else weights
                return GradientDistance(GradientMatching(squared_euclidean, match))
            case "accuracy":
                assert held
                held = held.normalized_by(made.real.space)
                return SubsetAccuracy(made.schedule.network, held, USUAL, 300, self.seed)
