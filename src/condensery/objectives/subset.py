"""One condensed set with every smaller size in it: the loss of MDC, which adds that of a subset to a base loss."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from condensery.data import Batch, TestSet
from condensery.evaluation.training import TensorRows, Training, accuracy, fit
from condensery.networks.network import Network, Point, initial
from condensery.objectives.embeddings import embeddings
from condensery.objectives.gradient import GradientMatching
from condensery.objectives.objective import Statistic
from condensery.randomness import rng
from condensery.synthetic import SyntheticSet

__all__ = ["AdaptiveSubset", "FeatureDistance", "GradientDistance", "Metric", "SubsetAccuracy"]


class Metric:
    """Scores of the subsets of the first 1, 2, ..., N - 1 bases (MDC eq. 8, 9).

    The subset whose score changes most is learned next.
    """

    @property
    def of_real(self) -> str:
        """An identifier of what is computed from real rows; see `Objective.of_real`."""
        return type(self).__name__

    def target(self, point: Point, real: Batch) -> list[Tensor]:
        """What the metric needs of the real rows at a point, without a graph; nothing by default."""
        return []

    def at(self, point: Point, synthetic: Batch, ends: Sequence[int], target: Sequence[Tensor]) -> Tensor | None:
        """The scores (C, N - 1) of the subsets at a point, which are averaged over a window; None: see `trained`.

        Arguments:
            synthetic: decoded rows of C classes.
            ends: the numbers of rows per class to which the first 0, 1, ..., N bases decode.
            target: the result of `self.target` for the real rows.
        """
        return None

    def trained(self, synthetic: SyntheticSet) -> Tensor | None:
        """The scores (1, N - 1) of the subsets, computed once at the end of a window; None: see `at`."""
        return None


class FeatureDistance(Metric):
    """‖mean embedding of real rows - mean embedding of the subset's rows‖² (MDC eq. 5).

    One forward pass serves all subsets.
    """

    @torch.no_grad()
    def target(self, point: Point, real: Batch) -> list[Tensor]:
        return [torch.stack([embeddings(point, x).mean(0) for x in real.x])]

    @torch.no_grad()
    def at(self, point: Point, synthetic: Batch, ends: Sequence[int], target: Sequence[Tensor]) -> Tensor:
        last = torch.tensor(ends[1:-1], device=synthetic.x.device)
        by_class = []
        for x, goal in zip(synthetic.x[:, : ends[-2]], target[0], strict=True):
            means = embeddings(point, x).cumsum(0)[last - 1] / last[:, None]
            by_class.append((means - goal).square().sum(1))
        return torch.stack(by_class)


class GradientDistance(Metric):
    """Distance between the gradients of the subset's rows and of real rows (MDC table 5); one pass per base.

    Arguments:
        matching: the gradients that are compared, and their distance.
    """

    def __init__(self, matching: GradientMatching):
        self.matching = matching

    @property
    def of_real(self) -> str:
        return f"{type(self).__name__} {self.matching.of_real}"

    def target(self, point: Point, real: Batch) -> list[Tensor]:
        return self.matching.target(point, real)

    def at(self, point: Point, synthetic: Batch, ends: Sequence[int], target: Sequence[Tensor]) -> Tensor:
        found, total = [], [torch.zeros_like(part) for part in target]
        for start, end in pairwise(ends[:-1]):
            gradients = self.matching.statistic(point, synthetic.rows(slice(start, end)))
            total = [t + (end - start) * g for t, g in zip(total, gradients, strict=True)]
            found.append(self.matching.distance([t / end for t in total], target))
        return torch.stack(found, 1)


class SubsetAccuracy(Metric):
    """Accuracy of a network trained on the subset, on real rows that take no part in condensing (MDC table 5).

    Arguments:
        network: the architecture.
        held: the rows that are held out.
        how, steps: how the network is trained, and for how many steps.
        seed: seed of the weights and of the order of rows.
    """

    def __init__(self, network: Network, held: TestSet, how: Training, steps: int, seed: int):
        self.network, self.held, self.how, self.steps, self.seed = network, held, how, steps, seed

    def trained(self, synthetic: SyntheticSet) -> Tensor:
        found = []
        for n in range(1, synthetic.bases_per_class):
            key = ("subset", n)  # the same weights and order at every choice, so that only the subset differs
            with torch.no_grad():
                rows = TensorRows(synthetic(images=n))
            point = fit(initial(self.network, rng(self.seed, *key)), rows, self.how, self.steps, self.seed, key)
            found.append(accuracy(point, self.held))
        return torch.tensor([found])


class AdaptiveSubset(Statistic):
    """The base's distance for the whole set, plus the same distance for its most learnable subset (MDC eq. 4, 9, 10).

    A subset is the first n bases of every class. The statistic is a mean over rows, so the statistic of the whole is
    the weighted mean of those of the subset and of the rest, and the second distance costs no second pass. The first
    subset has n = 1. Every `period` steps, the subset whose score has changed most since the last choice, up or down,
    is chosen. A subset that has been replaced is frozen while a larger one is learned.

    Arguments:
        base: the objective whose distance is taken.
        synthetic: the set that is learned; its `frozen` is changed here.
        metric: scores the subsets; None: the subset stays at n = 1.
        period: steps between two choices.
        first: the step after which the first scores are complete, with which the first choice compares.
        window: steps up to that moment, and up to each choice, over which scores are averaged.
        freeze: whether replaced subsets are frozen.
        class_wise: whether every class chooses its own subset.

    References:
        MDC section 3.3, algorithm 1, appendix B.6. What is frozen follows the released program: the largest replaced
        subset that is smaller than the present one (eq. 10 considers the last one only).
    Departs: the program rounds scores to two decimals and freezes one outer loop late. Its frozen rows have no gradient
        but are still moved by momentum; here they have one, which enters the optimizer's moments, and do not move.
    """

    def __init__(
        self,
        base: Statistic,
        synthetic: SyntheticSet,
        metric: Metric | None,
        period: int,
        first: int,
        window: int,
        freeze: bool = True,
        class_wise: bool = False,
    ):
        classes, subsets, device = synthetic.classes, synthetic.bases_per_class - 1, synthetic.bases.device
        bases, rows = synthetic.bases_per_class, synthetic.rows_per_class
        if synthetic.decoder.even:
            self.ends = list(range(0, rows + 1, rows // bases))
        else:
            self.ends = [0, *(synthetic.rows_of_first(n) for n in range(1, bases + 1))]
        self.base, self.synthetic, self.metric = base, synthetic, metric
        self.parts = base.divided(self.ends)
        self.period, self.first, self.window = period, first, window
        self.freeze, self.class_wise = freeze, class_wise
        self.distance, self.cost = base.distance, base.cost
        self.state = {
            "step": torch.zeros((), dtype=torch.long),
            "subset": torch.ones(classes, dtype=torch.long),
            "frozen": synthetic.frozen,
            "replaced": torch.zeros(classes, subsets + 1, dtype=torch.bool),
            "before": torch.full((classes, subsets), torch.nan, device=device),
            "sum": torch.zeros(classes, subsets, device=device),
            "count": torch.zeros((), dtype=torch.long),
        }

    @property
    def of_real(self) -> str:
        return f"{self.base.of_real}, {self.metric.of_real}" if self.metric and self.measuring else self.base.of_real

    def check(self, network: Network) -> None:
        self.base.check(network)

    def steady(self) -> Statistic:
        """The same objective with n = 1 throughout and without scores."""
        return AdaptiveSubset(self.base, self.synthetic, None, self.period, self.first, self.window)

    @property
    def measuring(self) -> bool:
        """Whether this step lies in a window."""
        step = int(self.state["step"])
        of_first = self.first - self.window <= step < self.first
        return self.metric is not None and (of_first or step % self.period >= self.period - self.window)

    def statistic(self, point: Point, batch: Batch, weight: Tensor | None = None) -> Sequence[Tensor]:
        """The statistic of `base`."""
        return self.base.statistic(point, batch, weight)

    def target(self, point: Point, real: Batch) -> Sequence[Tensor]:
        """The target of `base` and, in a window, that of the metric."""
        more = self.metric.target(point, real.detach()) if self.metric and self.measuring else []
        return [*self.base.target(point, real), *more]

    def loss(self, point: Point, synthetic: Batch, target: Sequence[Tensor]) -> Tensor:
        """The sum (C,) of both distances."""
        losses = []
        for i, c in enumerate(synthetic.y[:, 0].tolist()):
            one, goals = synthetic.only(slice(i, i + 1)), [t[i : i + 1] for t in target]
            end = self.ends[int(self.state["subset"][c])]
            share = end / self.ends[-1]
            part = self.parts.statistic(point, one.rows(slice(end)))
            rest = self.parts.statistic(point, one.rows(slice(end, None)))
            whole = [share * p + (1 - share) * r for p, r in zip(part, rest, strict=True)]
            goal, others = goals[: len(part)], goals[len(part) :]
            losses.append(self.distance(whole, goal) + self.distance(part, goal))
            if self.metric and self.measuring:
                found = self.metric.at(point, one.detach(), self.ends, others)
                if found is not None:
                    self.state["sum"][c] += found[0]
        return torch.cat(losses)

    def after(self) -> dict[str, Any]:
        """Choose the next subset if a period ends with this step.

        Returns:
            At the end of a period and after the first scores: "subset" and "frozen", the numbers of bases of each class
            from now on, and "scores", the scores (C, N - 1). Otherwise nothing.
        """
        self.state["count"] += self.measuring
        self.state["step"] += 1
        step = int(self.state["step"])
        if not self.metric or (step != self.first and step % self.period):
            return {}
        total, before = self.state["sum"], self.state["before"]
        trained = self.metric.trained(self.synthetic)
        now = total / self.state["count"] if trained is None else trained.to(total).expand_as(total)
        if not before.isnan().any():
            self._choose(now - before)
        before.copy_(now)
        total.zero_()
        self.state["count"].zero_()
        subset, frozen = (self.state[name].tolist() for name in ("subset", "frozen"))
        return {"subset": subset, "frozen": frozen, "scores": now.tolist()}

    def _choose(self, change: Tensor) -> None:
        """Set the subset (eq. 9) and what is frozen (eq. 10), from the change (C, N - 1) of the scores."""
        subset, replaced = self.state["subset"], self.state["replaced"]
        change = change if self.class_wise else change.mean(0, keepdim=True)
        chosen = change.abs().argmax(1).cpu() + 1
        replaced[torch.arange(len(subset)), subset] |= chosen != subset
        subset.copy_(chosen.expand_as(subset))
        if self.freeze:
            sizes = torch.arange(replaced.shape[1])
            self.state["frozen"].copy_((replaced * (sizes < subset[:, None]) * sizes).amax(1))
