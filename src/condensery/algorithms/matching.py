"""The loop that every matching method shares."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache, partial

import torch
from torch import Tensor

from condensery.algorithms.algorithm import Algorithm, Aside, Beginning, Observe, Step
from condensery.algorithms.samplers import Change, Sampler
from condensery.algorithms.schedules import Schedule, walk
from condensery.augment import Augmentation, Omega
from condensery.console import progress
from condensery.data import RealSet
from condensery.errors import RunError
from condensery.kernels.compiling import Mode, during, mode, worthwhile
from condensery.networks.network import Point, operations
from condensery.objectives import Objective
from condensery.randomness import rng
from condensery.runs.checkpoint import Keeper, State
from condensery.synthetic import SyntheticSet

__all__ = ["FromMatching", "Matching", "updates"]

log = logging.getLogger("condensery")

LOWER_RATE = "a lower learning rate may help"


@dataclass(frozen=True)
class Matching:
    """Learn `synthetic` by matching its statistics with those of `real` at the points of a schedule.

    Arguments:
        real: the real training set.
        synthetic: the set that is learned; it is changed in place.
        schedule: the points in weight space; a step is taken at each of them.
        sampler: picks the real rows of a step.
        objective: the statistic that is matched, and its distance.
        optimizer: optimizer of `synthetic.parameters()`.
        seed: seed of the draws of real rows and augmentations.
        augment: augmentation that real and synthetic rows of a class share, drawn per class and step (siamese).
        project: moves the set back into its allowed range, in place; for example `SyntheticSet.clamp`.
        project_every: steps between two projections.
        drops: steps after which the learning rates of the optimizer are multiplied by 0.2.
        beginnings: work before the first step, done in this order.
        quantize_from: the progress, in [0, 1], from which rows are decoded from rounded numbers, if the set is stored
            in fewer bits.
        finish: turns the learned set into the set that is stored, for example with another decoder.
        of_unit_norm: whether the gradient of every learned tensor is divided by its norm before an update, so that
            points at which the loss is steep do not count more.
        classes_per_pass: classes whose autograd graph is in memory at a time; None: 1 on a CPU, all on a GPU. Any value
            gives the same step up to rounding. An objective that needs all classes at once gets all of them.

    References:
        DC algorithm 1, DSA algorithm 1, IDC algorithm 1. As in DC's program, the losses of all classes are summed, and
        S is updated once per step.
    """

    real: RealSet
    synthetic: SyntheticSet
    schedule: Schedule
    sampler: Sampler
    objective: Objective
    optimizer: torch.optim.Optimizer
    seed: int
    augment: Augmentation | None = None
    project: Callable[[SyntheticSet], None] | None = None
    project_every: int = 1
    drops: Sequence[int] = ()
    beginnings: Sequence[Beginning] = ()
    quantize_from: float = 1.0
    finish: Callable[[SyntheticSet], SyntheticSet] = lambda synthetic: synthetic
    of_unit_norm: bool = False
    classes_per_pass: int | None = None

    def __post_init__(self) -> None:
        self.objective.check(self.schedule.network)

    @property
    def steps(self) -> int:
        """The number of points of the schedule."""
        return self.schedule.outer * self.schedule.inner

    @property
    def before(self) -> "list[Matching]":
        """The matchings that run before this one and whose set it learns further; usually none."""
        return [each.matching for each in self.beginnings if isinstance(each, FromMatching)]

    @property
    def parts(self) -> "list[Matching]":
        """The matchings of which this one consists, in the order in which they run; the last one takes `steps`."""
        others = [each for each in self.beginnings if not isinstance(each, FromMatching)]
        return [*(part for each in self.before for part in each.parts), replace(self, beginnings=others)]

    def run(self, keeper: Keeper | None = None, observe: Observe | None = None) -> SyntheticSet:
        """Perform the remaining steps; see `Algorithm.run`."""
        self.learn(keeper, observe)
        stored = self.finish(self.synthetic)
        stored.quantize()
        if not all(torch.isfinite(p).all() for p in stored.parameters()):  # no later loss would show it
            raise RunError(f"step {self.steps} of {self.steps}: a learned number is not finite; {LOWER_RATE}")
        return stored

    def learn(self, keeper: Keeper | None = None, observe: Observe | None = None) -> None:
        """Perform the remaining steps, after which the set can be learned further: it is not finished or rounded."""
        state = keeper.resume(self.synthetic, self.optimizer, self.schedule.network, self._more) if keeper else None
        for beginning in () if state else self.beginnings:  # they change only the set, which the state contains
            beginning(self.synthetic, keeper.beside if keeper else None)
        shown = progress("condensing") if observe is None else nullcontext(observe)
        with during(state.computing if state else self.computing), shown as observe:
            for done, point in self._points(keeper, state):
                loss, gradient = self._step(point, done)
                said = {"gradient": gradient, **self.objective.after()}
                observe(Step(done + 1, self.steps, loss, self.synthetic, said))

    def _points(self, keeper: Keeper | None, state: State | None) -> Iterator[tuple[int, Point]]:
        """The points that are left, each with the number of steps before it; checkpoints are written in between."""
        done, resumed = (state.step, state.point) if state else (0, None)
        rates = [group["lr"] for group in self.optimizer.param_groups]

        def aside(name: str, which: str) -> Keeper:
            assert keeper
            keeper.write(done, self.synthetic, self.optimizer, more=self._more)
            return keeper.beside(name, which)

        asides = aside if keeper else None
        for point in walk(self.schedule, self.synthetic, self.real, resumed, done // self.schedule.inner, asides):
            if keeper:
                keeper.offer(done, self.synthetic, self.optimizer, point, self._more)
            for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
                group["lr"] = lr * 0.2 ** sum(done >= drop for drop in self.drops)
            if done / self.steps >= self.quantize_from:
                self.synthetic.fake_quantize()
            yield done, point
            done += 1
        if keeper:
            keeper.write(done, self.synthetic, self.optimizer, more=self._more)

    def _step(self, point: Point, done: int) -> tuple[float, float]:
        """One step at a point: sum the distances of all classes, and update S along the gradient of the sum.

        Returns:
            The sum, and the norm of its gradient.
        """
        draw, change = partial(rng, self.seed, "real", point.outer, point.inner), self._change(point)
        learned = [p for p in self.synthetic.parameters() if p.requires_grad]
        loss = torch.zeros((), dtype=self.real.dtype, device=self.real.device)

        self.optimizer.zero_grad()
        for classes in self._groups():
            target = self.sampler.target(self.objective, point, self.real, classes, draw, change)
            rows = self.synthetic(classes)
            if change:
                rows = rows.map(change(classes))
            distance = self.objective.loss(point, rows, target).sum()
            distance.backward(inputs=learned)
            loss += distance.detach()
        if not torch.isfinite(loss):
            raise RunError(f"step {done + 1} of {self.steps}: the loss is {loss.item()}; {LOWER_RATE}")
        gradients = [p.grad for p in learned if p.grad is not None]
        norms = [gradient.norm() for gradient in gradients]
        if self.of_unit_norm:
            for gradient, norm in zip(gradients, norms, strict=True):
                gradient.div_(norm.clamp(min=torch.finfo(norm.dtype).tiny))
        self._update(done)
        return loss.item(), torch.stack(norms).norm().item()

    def _change(self, point: Point) -> Change | None:
        """The augmentation that real and synthetic rows of the same classes share at a point; None: there is none."""
        augment, draw = self.augment, partial(rng, self.seed, "augment", point.outer, point.inner)
        if augment is None:
            return None

        @cache
        def drawn(classes: tuple[int, ...]) -> Omega:
            return augment.siamese(classes, self.real.shape, draw)

        return lambda classes: partial(augment, omega=drawn(tuple(classes)))

    def _update(self, done: int) -> None:
        with self.synthetic.held():
            try:
                self.optimizer.step()
            except RuntimeError as error:
                if "overflow" not in str(error):
                    raise
                raise RunError(f"step {done + 1} of {self.steps}: {error}; {LOWER_RATE}") from error
            if self.project and (done + 1) % self.project_every == 0:
                self.project(self.synthetic)

    def _groups(self) -> Iterator[range]:
        """The classes, in groups whose autograd graph is in memory at a time."""
        most = self.classes_per_pass or (1 if self.real.device.type == "cpu" else self.real.classes)
        if self.objective.all_classes:
            most = self.real.classes
        for start in range(0, self.real.classes, most):
            yield range(start, min(start + most, self.real.classes))

    @property
    def _more(self) -> dict[str, Tensor]:
        """What steps change besides the set and its optimizer."""
        changing = {"objective": self.objective.state, "sampler": self.sampler.state}
        return {f"{part}.{name}": tensor for part, state in changing.items() for name, tensor in state.items()}

    @property
    def computing(self) -> Mode:
        """The fastest way to compute the steps, chosen by the network and the amount of work."""
        network = self.schedule.network
        if not network.compiled:
            return mode()
        with torch.no_grad():
            rows = self.real.classes * self.synthetic(range(1)).y.numel()
        matched = self.steps * self.objective.forwards(self.sampler.count(self.real), rows)
        trained = 3 * self.schedule.trained_rows(self.real, rows)  # forward and backward
        return worthwhile("matching", (matched + trained) * operations(network, self.real.shape), self.real.device)


@dataclass(frozen=True)
class FromMatching:
    """A beginning that runs another matching on the same synthetic set, and then unfreezes all of it.

    Arguments:
        name: what it is called in messages and in names of files.
        matching: learns the same set.
    """

    name: str
    matching: Matching

    def __call__(self, synthetic: SyntheticSet, aside: Aside | None) -> None:
        logged = time.monotonic()

        def tell(step: Step) -> None:
            nonlocal logged
            if time.monotonic() - logged > 10 or step.done == step.total:
                logged = time.monotonic()
                log.info(f"{self.name}: step {step.done}/{step.total}")

        self.matching.learn(aside and aside(self.name, self.name), tell)
        self.matching.sampler.forget()  # perhaps gigabytes, which the steps that follow do not need
        self.matching.schedule.forget()
        synthetic.frozen.zero_()

    def rare(self, synthetic: SyntheticSet) -> None:
        """None: a plan estimates the cost of the matching as it does for a run of its own."""

    def steady(self) -> "FromMatching":
        return self


def updates(algorithm: Algorithm) -> int:
    """Updates of the synthetic set in a whole run, over all its parts; 0 if it is chosen, not learned."""
    return sum(part.steps for part in algorithm.parts) if isinstance(algorithm, Matching) else algorithm.steps
