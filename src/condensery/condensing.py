"""The verb: one loop that every method shares."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from condensery.augment import Augmentation
from condensery.checkpoint import Keeper
from condensery.compiling import during, worthwhile
from condensery.console import progress
from condensery.data import RealSet
from condensery.errors import RunError
from condensery.networks import operations
from condensery.objectives import Objective
from condensery.randomness import PerClass, rng
from condensery.samplers import Sampler
from condensery.schedules import Schedule, walk
from condensery.synthetic import SyntheticSet

__all__ = ["Step", "condense"]


@dataclass(frozen=True)
class Step:
    """What an observer is told after every step."""

    done: int
    total: int
    loss: float
    """Sum over classes."""
    synthetic: SyntheticSet | None
    """As it is now; None while a network is trained that only chooses."""
    said: Mapping[str, Any] = field(default_factory=dict)
    """What the objective has to say of the step, as JSON: nothing, but for an adaptive one now and then."""


def condense(
    real: RealSet,
    synthetic: SyntheticSet,
    schedule: Schedule,
    sampler: Sampler,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    seed: int,
    augment: Augmentation | None = None,
    classes_per_pass: int | None = None,
    project: Callable[[SyntheticSet], None] | None = None,
    every: int = 1,
    rate: Callable[[float], float] = lambda progress: 1.0,
    keeper: Keeper | None = None,
    observe: Callable[[Step], Any] | None = None,
) -> SyntheticSet:
    """Learn `synthetic` so that it does at the schedule's points what `real` does.

    Arguments:
        real: the real training set.
        synthetic: the set to learn; changed in place and returned.
        schedule: which points see the data; its outer x inner points are the steps.
        sampler: which real rows a step sees.
        objective: what is matched.
        optimizer: over `synthetic.parameters()`.
        seed: of the real rows and augmentations drawn.
        augment: one draw a class and step, for its real and its synthetic rows (siamese).
        classes_per_pass: classes whose graph is alive at once; 1 on a CPU, all on a GPU by default. Any value gives
            the same step up to rounding.
        project: puts the set back where it must be, in place; `SyntheticSet.clamp`, say.
        every: steps from one projection to the next.
        rate: progress in [0, 1) to a factor on the optimizer's learning rates.
        keeper: keeps checkpoints and picks up from the last one; None runs in memory only.
        observe: called after every step; by default it is shown how far the run is (`console.progress`).

    Raises:
        InputError: the checkpoint is unreadable or another run's.
        RunError: the loss, or what was learned, is not finite.
        Interrupted: the keeper was asked to stop; the state is kept.

    References:
        DC algorithm 1, DSA algorithm 1, IDC algorithm 1. DC's program's order: the losses of all classes are summed and
        S is updated once a step.
    """
    changing = {"objective": objective.state, "sampler": sampler.state}
    more = {f"{part}.{name}": tensor for part, state in changing.items() for name, tensor in state.items()}
    rates = [group["lr"] for group in optimizer.param_groups]
    state = keeper.resume(synthetic, optimizer, schedule.network, more) if keeper else None
    step = state.step if state else 0
    total = schedule.outer * schedule.inner
    of_real, of_synthetic = objective.operations
    one = operations(schedule.network, real.shape)
    with torch.no_grad():
        rows = real.classes * synthetic(range(1)).y.numel()
    ahead = total * one * (of_real * sampler.count(real) + of_synthetic * rows)
    computing = state.computing if state else worthwhile(ahead, real.device)
    per_pass = classes_per_pass or (1 if real.device.type == "cpu" else real.classes)
    learned = [parameter for parameter in synthetic.parameters() if parameter.requires_grad]

    def aside(name: str, which: str) -> Keeper:
        assert keeper
        keeper.write(step, synthetic, optimizer, more=more)
        return keeper.beside(name, which)

    resumed = state.point if state else None
    with during(computing), progress("condensing") if observe is None else nullcontext(observe) as told:
        for point in walk(schedule, synthetic, real, resumed, step // schedule.inner, aside if keeper else None):
            if keeper:
                keeper.offer(step, synthetic, optimizer, point, more)
            draw, omegas = (partial(rng, seed, what, point.outer, point.inner) for what in ("real", "augment"))
            for group, lr in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = lr * rate(step / total)
            change = partial(_changed, augment, real.shape, omegas) if augment else None
            optimizer.zero_grad()
            loss = torch.zeros((), dtype=real.dtype, device=real.device)
            for start in range(0, real.classes, per_pass):
                classes = range(start, min(start + per_pass, real.classes))
                target = sampler.target(objective, point, real, classes, draw, change)
                batch = synthetic(classes)
                part = objective.loss(point, batch.map(change(classes)) if change else batch, target).sum()
                part.backward(inputs=learned)
                loss += part.detach()
            if not torch.isfinite(loss):
                raise RunError(f"step {step + 1} of {total}: the loss is {loss.item()}; a lower --lr may help")
            with synthetic.held():
                try:
                    optimizer.step()
                except RuntimeError as error:
                    if "overflow" not in str(error):
                        raise
                    raise RunError(f"step {step + 1} of {total}: {error}; a lower --lr may help") from error
                step += 1
                if project and step % every == 0:
                    project(synthetic)
            told(Step(step, total, loss.item(), synthetic, objective.after()))
        if keeper:
            keeper.write(step, synthetic, optimizer, more=more)
    if not all(torch.isfinite(p).all() for p in learned):  # after the last step no loss would tell
        raise RunError(f"step {step} of {total}: what was learned is not finite; a lower --lr may help")
    return synthetic


def _changed(
    augment: Augmentation, shape: tuple[int, int, int], omegas: PerClass, classes: Sequence[int]
) -> Callable[[Tensor], Tensor]:
    """The augmentation of some classes' rows in a step."""
    return partial(augment, omega=augment.siamese(classes, shape, omegas))
