"""Networks that go on learning when classes or tasks arrive: rehearsal of a memory, and distillation."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from condensery.algorithms.matching import Matching
from condensery.console import counted
from condensery.data import Data, RealSet, TestSet
from condensery.decoders import Factorized
from condensery.errors import InputError
from condensery.evaluation.evaluate import Accuracy
from condensery.evaluation.training import USUAL, Training, fit, guesses
from condensery.fields import whole_number
from condensery.networks.names import named
from condensery.networks.net import Architecture, build
from condensery.networks.network import Network, Point, initial
from condensery.randomness import rng
from condensery.recipes import Recipe
from condensery.runs.condensed import Condensed
from condensery.runs.run import made
from condensery.synthetic import SyntheticSet

__all__ = ["Distillation", "Stage", "check_memory", "distilling", "grown", "stage_folder", "task_incremental"]


@dataclass(frozen=True)
class Stage:
    """The state after a stage.

    Arguments:
        classes: the names of all classes that have arrived.
        accuracy: on the test rows of what has arrived.
        floats, bytes: size of the memory.
    """

    classes: tuple[str, ...]
    accuracy: Accuracy
    floats: int
    bytes: int

    @staticmethod
    def of_sets(several: "Sequence[Sequence[Stage]]") -> "list[Stage]":
        """The stages of several memories that one recipe filled with different seeds, with the accuracies of all."""
        return [
            replace(stages[0], accuracy=Accuracy.of_sets([stage.accuracy for stage in stages]))
            for stages in zip(*several, strict=True)
        ]


@dataclass(frozen=True)
class Distillation:
    """A loss that keeps a network from forgetting: for earlier classes, its outputs stay near those of its last stage.

    Arguments:
        weight: factor of this loss.
        temperature: both outputs are divided by it before the softmax; the loss is multiplied by its square.

    References:
        Li and Hoiem, Learning without Forgetting (2016); Castro et al., End-to-End Incremental Learning (2018); DC
        appendix A (weight 1.0, temperature 2).
    """

    weight: float = 1.0
    temperature: float = 2.0

    def __call__(self, logits: Tensor, before: Tensor) -> Tensor:
        """The loss.

        Arguments:
            logits: of the network, shape (n, classes).
            before: of the network of the last stage, which knew the first classes only, shape (n, earlier classes).
        """
        t = self.temperature
        ours, theirs = (logits[:, : before.shape[1]] / t).log_softmax(1), (before / t).log_softmax(1)
        return self.weight * t**2 * F.kl_div(ours, theirs, reduction="batchmean", log_target=True)


def grown(before: Point | None, network: Network, generator: torch.Generator) -> Point:
    """The weights of the last stage in a network with more outputs, whose weights are new; or new weights at first.

    Arguments:
        before: the network after the last stage. None: this is the first one.
        network: the architecture with the outputs of all classes so far.
        generator: for the new weights.
    """
    point = initial(network, generator)
    for mine, theirs in ((point.params, before.params), (point.buffers, before.buffers)) if before else ():
        for name, value in theirs.items():
            mine[name][tuple(slice(size) for size in value.shape)] = value
    return point


def distilling(before: Point | None, distillation: Distillation | None) -> Callable[[Tensor, Tensor], Tensor] | None:
    """The loss that `fit` adds so that outputs stay near those of the last stage. None: there is nothing to add."""
    if before is None or distillation is None:
        return None
    teacher, loss = before, distillation

    def regularizer(x: Tensor, logits: Tensor) -> Tensor:
        with torch.no_grad():
            told = teacher.logits(x)
        return loss(logits, told)

    return regularizer


def stage_folder(folder: str | Path | None, stage: int) -> Path | None:
    """The folder of the run that condenses in a stage, counted from 0. None: nothing is kept."""
    return None if folder is None else Path(folder, f"stage-{stage + 1}")


REHEARSAL = replace(USUAL, batch_size=256)
"""How a network learns a new data set and the memory of earlier ones."""


def task_incremental(
    tasks: Sequence[Data],
    memory: Recipe | Sequence[Condensed],
    net: Architecture | None = None,
    distillation: Distillation | None = Distillation(),
    how: Training = REHEARSAL,
    steps: tuple[int, int] = (5000, 500),
    repeats: int = 5,
    seed: int = 0,
    observe: Callable[[Stage], None] = lambda stage: None,
    folder: str | Path | None = None,
    progress: bool = True,
) -> list[Stage]:
    """Learn several data sets one after another, with a memory of the earlier ones that a recipe fills.

    In every stage, the network goes on learning on all rows of the new task and on the memory. From the second stage
    on, it then learns, with a tenth of the learning rate, on the memory of all tasks alone, in which every class has as
    many rows. Outputs belong to names of classes: tasks that share them share the outputs, and others add theirs.

    Arguments:
        tasks: the data sets, whose rows have the same shape; each is normalized by its own mean and std.
        memory: the recipe, whose `ipc` is the memory per class and task; or a set for every task, already condensed.
        net: the network that is trained. None: the one in which the recipe condenses; sets need one.
        distillation: the loss that keeps outputs near those of the last stage. None: there is none.
        how: how weights are updated in the first part of a stage.
        steps: updates in the two parts of a stage.
        repeats: number of networks.
        seed: seed of weights and of the order of rows.
        observe: called after every stage.
        folder: the folder of the runs that condense, one for each task, from which the same call goes on. None: nothing
            is kept.
        progress: whether to show what is being done.

    Returns:
        A `Stage` for every task; its accuracy is the mean over all tasks so far, on all classes so far.

    Raises:
        InputError: there are no tasks, their rows have different shapes, the memory has soft labels, sets are given
            without a network, not for every task or not of its classes and shape, the recipe refuses a task, or a
            number is out of range.

    References:
        DC section 3.2, figure 4 and appendix A (SVHN, MNIST, USPS; 10 images per class; 5000 and 500 iterations at 0.01
        and 0.001), with the training of Castro et al. 2018.
    """
    if not tasks or len({task.shape for task in tasks}) > 1:
        shapes = ", ".join(f"{task.name} {'x'.join(map(str, task.shape))}" for task in tasks)
        raise InputError(
            f"tasks must have rows of one shape ({shapes or 'there are none'}); resize them with Data.resized"
        )
    if isinstance(steps, str) or [type(count) for count in steps] != [int, int]:
        raise InputError(f"`steps` must be two whole numbers of at least 1, got {steps!r}")
    for count in steps:
        whole_number("steps", count, 1)
    whole_number("repeats", repeats, 1)
    whole_number("seed", seed, 0)
    ready = None if isinstance(memory, Recipe) else list(memory)
    if ready is None:
        for task in tasks:
            check_memory(cast(Recipe, memory), task.train)
    else:
        _suit(ready, tasks)
        if net is None:
            raise InputError("sets do not say which network is trained; give `net`")
    given = memory.net if net is None and isinstance(memory, Recipe) else net
    assert given is not None
    chosen = named(given) if isinstance(given, str) else given
    memories: list[_Part] = []
    points: list[Point | None] = [None] * repeats
    found, names, sizes = [], list[str](), [0, 0]
    for stage, task in enumerate(tasks):
        names += [name for name in task.class_names if name not in names]
        ids = [torch.tensor([names.index(name) for name in each.class_names]) for each in tasks[: stage + 1]]
        place = stage_folder(folder, stage)
        condensed = ready[stage] if ready else made(cast(Recipe, memory), task, place, progress)
        start = time.perf_counter()
        sizes = [sizes[0] + condensed.floats, sizes[1] + condensed.bytes]
        rows = _Joined([_Part(task.train.read, ids[-1][task.train.labels.cpu()]), *memories])
        order = torch.tensor([names.index(name) for name in condensed.class_names])
        memories.append(_remembered(condensed, order, task.train))
        network = build(chosen, task.shape, len(names)).to(task.train.device, task.train.dtype)
        with counted(f"networks trained on {task.name}") if progress else nullcontext(lambda done, total: None) as tell:
            for r, before in enumerate(points):
                key, regularizer = ("task", stage, r), distilling(before, distillation)
                point = grown(before, network, rng(seed, "weights", *key))
                point = replace(fit(point, rows, how, steps[0], seed, key, regularizer=regularizer), momenta={})
                if stage:
                    slow, balanced = replace(how, lr=how.lr / 10), _Joined(memories)
                    point = fit(point, balanced, slow, steps[1], seed, ("balanced", *key), regularizer=regularizer)
                points[r] = point
                tell(r + 1, repeats)
        runs = [
            fmean(_accuracy(point, each.test, places) for each, places in zip(tasks, ids, strict=False))
            for point in points if point
        ]  # fmt: skip
        words = f"rehearsal{', distilled' if distillation else ''} ({steps[0]} + {steps[1]} steps){how.number_format}"
        found.append(Stage(tuple(names), Accuracy(tuple(runs), words, chosen, time.perf_counter() - start), *sizes))
        observe(found[-1])
    return found


def _suit(sets: Sequence[Condensed], tasks: Sequence[Data]) -> None:
    """Check that there is a set for every task, with its classes and its shape, and that no set has soft labels.

    Raises:
        InputError: one of these fails.
    """
    if len(sets) != len(tasks):
        raise InputError(f"{len(sets)} sets are given for {len(tasks)} tasks; give one for each")
    for condensed, task in zip(sets, tasks, strict=True):
        _check_labels(condensed.synthetic)
        if set(condensed.class_names) != set(task.class_names):
            raise InputError(f"the set for {task.name} has other classes; give one that was condensed from this task")
        if (shape := tuple(condensed.synthetic(range(1), 1).x.shape[2:])) != task.shape:
            raise InputError(f"the rows of the set for {task.name} are {shape}, those of the task {task.shape}")


def check_memory(memory: Recipe, real: RealSet, share_decoders: bool = False) -> None:
    """Check, before anything is condensed, that a recipe can fill the memory.

    Arguments:
        memory: the recipe.
        real: what it condenses.
        share_decoders: whether decoders are learned in the first stage only; see `class_incremental`.

    Raises:
        InputError: the recipe refuses `real`, or its sets would have soft labels; or decoders are to be shared, and it
            has none, or would learn them in every stage.
    """
    algorithm = memory.algorithm(real)
    _check_labels(algorithm.synthetic)
    if not share_decoders:
        return
    if not isinstance(algorithm, Matching) or not isinstance(algorithm.synthetic.decoder, Factorized):
        raise InputError(f"{memory.name} has no decoders to share; leave out `share_decoders`, or take kfs")
    if len(algorithm.parts) > 1:
        raise InputError(f"{memory.name} would learn decoders in every stage; leave out `share_decoders`")


def _check_labels(synthetic: SyntheticSet) -> None:
    """Check that the labels of a set are not soft.

    Raises:
        InputError: they are.
    """
    if synthetic.labels is not None:
        raise InputError("the memory would have soft labels, which know no classes of later stages; learn none")


@dataclass(frozen=True)
class _Part:
    """Some rows to train on.

    Arguments:
        read: gives the normalized rows at an index (n,).
        labels: their ids among all classes so far.
    """

    read: Callable[[Tensor], Tensor]
    labels: Tensor


class _Joined:
    """The rows of several parts as one set to train on, in one random order; see `Rows`."""

    def __init__(self, parts: Sequence[_Part]):
        self.parts = list(parts)
        self.starts = [sum(len(part.labels) for part in parts[:i]) for i in range(len(parts))]

    def __len__(self) -> int:
        return sum(len(part.labels) for part in self.parts)

    def minibatches(self, size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for index in torch.randperm(len(self), generator=generator).split(size):
            x, y = [], []
            for part, start in zip(self.parts, self.starts, strict=True):
                here = index[(index >= start) & (index < start + len(part.labels))] - start
                x.append(part.read(here))
                y.append(part.labels[here].to(x[-1].device))
            yield torch.cat(x), torch.cat(y), index


@torch.no_grad()
def _remembered(condensed: Condensed, ids: Tensor, real: RealSet) -> _Part:
    """The decoded rows of a set, whose classes have these ids, read and normalized as the rows of its task are."""
    x, y = condensed.synthetic().flat()
    if condensed.space.fingerprint != real.space.fingerprint:  # it was condensed with other statistics, or whitened
        x = real.space.normalize(condensed.space.unit(x))
    x = x.to(real.device, real.dtype)  # a set from a file is on the CPU
    return _Part(lambda index: x[index.to(x.device)], ids[y.cpu()])


def _accuracy(point: Point, test: TestSet, ids: Tensor) -> float:
    """The fraction of test rows that are taken for their own class, among all classes so far."""
    return float((guesses(point, test) == ids.to(test.device)[test.labels]).double().mean())
