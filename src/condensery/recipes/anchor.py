"""Anchor: distribution matching at kept points of trained networks. This wrapper is not from a paper."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from condensery.errors import InputError
from condensery.fields import Count, Rate
from condensery.recipes.recipe import R, Recipe, Wrapper

if TYPE_CHECKING:
    from condensery.algorithms.matching import Matching
    from condensery.data import RealSet
    from condensery.objectives import DistributionMatching

__all__ = ["Anchor"]


@dataclass(frozen=True)
class Anchor(Wrapper[R]):
    """Anchor: match means at a fixed set of points between randomly initialized and trained networks.

    It wraps the recipes that match means of embeddings: `Anchor(KFS.quick())`. A few networks are trained on the real
    images, and the points at which means are matched lie between these and their random initial weights. Because the
    points come back, the means of real images are computed once for each; a step then costs the synthetic rows only.
    These networks and real images replace those of the wrapped recipe. Rows are not augmented, since means of augmented
    images could not be kept. In addition to the mean embedding, the mean gradient of
    the last layer is matched, which takes only another product of two small matrices.

    References:
        DANCE: Dual-View Distribution Alignment for Dataset Condensation (Zhang et al., 2024),
        https://arxiv.org/abs/2406.01112, for the points.
    """

    name: ClassVar[str] = "anchor"

    trained_networks: Count = 3
    """Number of networks that are trained on the real images."""
    points: Count = 48
    """Number of different points, at least `trained_networks`."""
    updates: Count = 800
    """Updates by which every network is trained, each on 64 real images."""
    last_layer: Rate = 1.0
    """Weight of the gradient in the last layer, whose mean is matched in addition to the mean embedding; 0: without
    it."""
    mean_rows: Count = 1024
    """Real images per class whose mean is taken at each point; if a class has fewer, all of them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.points < self.trained_networks:
            raise InputError(
                f"`points={self.points}` is below `trained_networks={self.trained_networks}`; give at least as many"
            )

    @classmethod
    def quick(cls, base: R) -> "Anchor[R]":
        """The settings of the wrapped recipe, at kept points."""
        return cls(base)

    @classmethod
    def named(cls) -> "dict[str, Recipe]":
        """Anchor around KFS."""
        from condensery.recipes.kfs import KFS

        quick = replace(KFS.quick(), real_dtype="bfloat16", synthetic_dtype="bfloat16")
        return {"anchor": cls(KFS(strict=True)), "anchor:quick": cls.quick(quick)}  # type: ignore[arg-type]

    def algorithm(self, real: "RealSet") -> "Matching":
        """The algorithm of `base`, at other points, with means that are kept."""
        from condensery.algorithms.samplers import Whole
        from condensery.algorithms.schedules import KeptPoints
        from condensery.evaluation.training import USUAL
        from condensery.objectives.means import LastLayer
        from condensery.runs.storage import cache

        made = self.matching(real)
        objective, network = self._objective(made), made.schedule.network
        return replace(
            made,
            schedule=KeptPoints(
                network=network, outer=made.schedule.outer, networks=self.trained_networks, points=self.points,
                updates=self.updates, how=replace(USUAL, dtype=objective.real_dtype), seed=self.seed,
            ),
            sampler=Whole(folder=cache("means"), rows=self.mean_rows, points=self.points, seed=self.seed),
            objective=objective.with_mean(LastLayer(self.last_layer)) if self.last_layer else objective,
            augment=None,
        )  # fmt: skip

    def _objective(self, made: "Matching") -> "DistributionMatching":
        """The objective of `made`, if this wrapper suits it.

        Raises:
            InputError: it matches something else than means, or does so in a network whose last layer is not known, or
                it picks the real images itself.
        """
        from condensery.algorithms.samplers import Representative
        from condensery.objectives import DistributionMatching

        if isinstance(made.sampler, Representative):
            raise InputError("anchor keeps the means of the same real images, and dream picks others; leave one out")
        if not isinstance(made.objective, DistributionMatching):
            order = f" first, as in `dm:quick+anchor+{self.base.name}`" if isinstance(self.base, Wrapper) else ""
            raise InputError(
                f"anchor keeps means of embeddings, and {self.base.name} matches something else; wrap dm or kfs{order}"
            )
        names = [name for name, _ in made.schedule.network.named_parameters()]
        if self.last_layer and not any(name.startswith("head.") for name in names):
            raise InputError(
                "anchor matches the gradient of the last layer, and a network of your own does not say which layer "
                "that is; give `last_layer=0`, or a network of the library"
            )
        return made.objective
