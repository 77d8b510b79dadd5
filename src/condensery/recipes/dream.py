"""DREAM: Efficient Dataset Distillation by Representative Matching (Liu et al., ICCV 2023)."""

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from condensery.errors import InputError
from condensery.fields import Count
from condensery.recipes.recipe import R, Recipe, Wrapper

if TYPE_CHECKING:
    from torch import Tensor

    from condensery.algorithms.algorithm import Beginning
    from condensery.algorithms.matching import Matching
    from condensery.data import RealSet

__all__ = ["DREAM"]


@dataclass(frozen=True)
class DREAM(Wrapper[R]):
    """DREAM: match real images that represent clusters of their class, instead of random ones (section 3).

    It wraps any recipe that matches a sample of real images per class. The paper's setting is
    `DREAM(IDC(real_rows=128))`.

    References:
        DREAM: Efficient Dataset Distillation by Representative Matching (Liu et al., 2023),
        https://arxiv.org/abs/2302.14416
    Departs: the released program uses the network that chose the initial images for the first restart too; here every
        restart has new random weights.
    """

    name: ClassVar[str] = "dream"

    cluster_every: Count = 10
    """Matching steps between two clusterings of the real images, each in the current embedding of the network. Every
    restart begins with one, so recipes with new weights at every step, such as `dm`, cluster at every step."""
    candidates: Count | None = None
    """Random real images per class that are clustered, no fewer than are matched; None: all of them."""
    cluster_init: bool = True
    """Whether the initial images represent clusters, too. They then replace those of the wrapped recipe, be they real
    images or noise."""

    @classmethod
    def quick(cls, base: R) -> "DREAM[R]":
        """Settings for minutes on a CPU: clusters of 256 random images per class."""
        return cls(base, candidates=256)

    @classmethod
    def named(cls) -> "dict[str, Recipe]":
        """DREAM around IDC, as in the paper."""
        from condensery.recipes.idc import IDC

        paper, quick, digits = replace(IDC(), real_rows=128), IDC.quick(), IDC.digits()
        return {"dream": cls(paper), "dream:quick": cls.quick(quick), "dream:digits": cls.quick(digits)}  # type: ignore[arg-type]

    def algorithm(self, real: "RealSet") -> "Matching":
        """Section 3: the algorithm of `base`, with representative real images."""
        from condensery.algorithms.samplers import Epochwise, Representative, Uniform

        made = self.matching(real)
        self.statistic(made)
        if not isinstance(made.sampler, Uniform | Epochwise):
            raise InputError(
                f"dream picks the real images of a step, but {self.base.name} matches the same ones in every step; "
                "wrap one that draws some (kfs: give `real_rows`)"
            )
        rows = made.sampler.rows
        if self.candidates and self.candidates < rows:
            raise InputError(f"`candidates={self.candidates}` is below `real_rows={rows}`; give at least {rows}")
        sampler = Representative(rows, self.cluster_every, self.candidates, made.real.classes)
        return replace(made, sampler=sampler, beginnings=self._beginnings(made))

    def _beginnings(self, made: "Matching") -> "tuple[Beginning, ...]":
        """Those of the wrapped recipe, then rows that represent clusters, of which an earlier set may replace some.

        Raises:
            InputError: a class has fewer rows than clusters.
        """
        from condensery.algorithms.algorithm import FromRows, FromSet

        earlier = [each for each in made.beginnings if isinstance(each, FromSet)]
        usual = [each for each in made.beginnings if not isinstance(each, FromSet)]
        if not self.cluster_init or any(each.covers(made.synthetic) for each in earlier):
            return tuple(made.beginnings)
        real, stored = made.real, made.synthetic.bases_per_class
        if (smallest := min(real.sizes)) < stored:
            raise InputError(
                f"dream starts the {stored} images or codes of a class from as many clusters, and class "
                f"{real.class_names[real.sizes.index(smallest)]!r} has {smallest} training images; give a smaller "
                "`ipc`, or `cluster_init=False` (--no-cluster-init)"
            )
        return (*usual, FromRows(partial(self._initial, made)), *earlier)

    def _initial(self, made: "Matching") -> "Tensor":
        """Initial rows that represent clusters in the embedding of a random network."""
        from condensery.algorithms.samplers import clustered
        from condensery.networks.network import initial
        from condensery.randomness import rng

        real, synthetic = made.real, made.synthetic
        point = initial(made.schedule.network, rng(self.seed, "weights", "first images"))
        rows = synthetic.decoder.initial_rows(synthetic.bases_per_class)
        index = clustered(
            point, real, range(real.classes), rows, self.candidates, lambda c: rng(self.seed, "k-means", c)
        )
        return real.at(index).x
