"""DREAM: Efficient Dataset Distillation by Representative Matching (Liu et al., ICCV 2023)."""

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from condensery.errors import InputError
from condensery.fields import Count
from condensery.recipes.recipe import R, Recipe, Wrapper

if TYPE_CHECKING:
    from torch import Tensor

    from condensery.algorithms.matching import Matching
    from condensery.data import RealSet

__all__ = ["DREAM"]


@dataclass(frozen=True)
class DREAM(Wrapper[R]):
    """DREAM: real images that stand for clusters of their class are matched, in place of random ones (section 3).

    A recipe around any that matches some real images per class: `DREAM(IDC(real_rows=128))` is the paper's.

    References:
        DREAM: Efficient Dataset Distillation by Representative Matching (Liu et al., 2023),
        https://arxiv.org/abs/2302.14416
    Departs: the program keeps the network of the initial images for the first restart; here every restart is fresh.
    """

    name: ClassVar[str] = "dream"

    cluster_every: Count = 10
    """Matches in a restarted network between two clusterings, each in its embedding as it then is."""
    candidates: Count | None = None
    """Random real images per class that are clustered, at least as many as are matched; None: all of them."""
    cluster_init: bool = True
    """Whether initial images stand for clusters too."""

    @classmethod
    def quick(cls, base: R) -> "DREAM[R]":
        """For minutes on a CPU: clusters of 256 random images per class."""
        return cls(base, candidates=256)

    @classmethod
    def named(cls) -> "dict[str, Recipe]":
        """Over IDC, as in the paper."""
        from condensery.recipes.idc import IDC

        paper, quick, digits = replace(IDC(), real_rows=128), IDC.quick(), IDC.digits()
        return {"dream": cls(paper), "dream:quick": cls.quick(quick), "dream:digits": cls.quick(digits)}  # type: ignore[arg-type]

    def algorithm(self, real: "RealSet") -> "Matching":
        """Section 3: the base's algorithm with representative real images."""
        from condensery.algorithms.algorithm import FromRows
        from condensery.algorithms.samplers import Representative, Uniform

        made = self.matching(real)
        if not isinstance(made.sampler, Uniform):
            raise InputError(
                f"dream picks some real images per class, and {self.base.name} matches all of them; give `real_rows`"
            )
        rows = made.sampler.rows
        if self.candidates and self.candidates < rows:
            raise InputError(f"`candidates={self.candidates}` is below the {rows} `real_rows` to be picked from them")
        initial = (FromRows(partial(self._initial, made)),) if self.cluster_init else ()
        return replace(
            made,
            sampler=Representative(
                rows=rows, cluster_every=self.cluster_every, candidates=self.candidates, real=made.real
            ),
            beginnings=(*made.beginnings, *initial),
        )

    def _initial(self, made: "Matching") -> "Tensor":
        """Rows to make bases of that stand for clusters in a fresh network's embedding."""
        from condensery.algorithms.samplers import clustered
        from condensery.networks.network import initial
        from condensery.randomness import rng
        from condensery.synthetic import check_ipc

        real, synthetic = made.real, made.synthetic
        check_ipc(real, synthetic.bases_per_class)
        point = initial(made.schedule.network, rng(self.seed, "weights", "first images"))
        rows = synthetic.decoder.initial_rows(synthetic.bases_per_class)
        index = clustered(
            point, real, range(real.classes), rows, self.candidates, lambda c: rng(self.seed, "k-means", c)
        )
        return real.at(index).x
