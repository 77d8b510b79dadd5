"""Measure a condensed set: networks are trained from scratch on it and tested on the test part."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import torch
from torch import Tensor

from condensery.console import counted
from condensery.data import Data, TestSet
from condensery.errors import InputError
from condensery.evaluation.protocols import ProtocolFor, dc2021, whole
from condensery.evaluation.training import Rows, TensorRows, accuracy, computing, fit
from condensery.kernels.compiling import during
from condensery.networks.convnet import ConvNet
from condensery.networks.net import Architecture, build
from condensery.networks.network import initial
from condensery.randomness import rng
from condensery.runs.condensed import Condensed

__all__ = ["Accuracy", "Comparison", "compare", "evaluate", "evaluate_whole"]

Observe = Callable[[int, int], None]


@dataclass(frozen=True)
class Accuracy:
    """Accuracies of networks trained from scratch, each measured once, after the last epoch.

    Arguments:
        runs: one accuracy per network, in [0, 1]; set after set.
        protocol: name of the protocol by which the networks were trained.
        net: the architecture of the networks.
        seconds: wall time of training and testing.
    """

    runs: tuple[float, ...]
    protocol: str
    net: Architecture
    seconds: float

    @property
    def mean(self) -> float:
        """The mean over networks (and sets)."""
        return float(np.mean(self.runs))

    @property
    def std(self) -> float:
        """The standard deviation over all networks of all sets, divided by n, as is usual in the field."""
        return float(np.std(self.runs))

    def __str__(self) -> str:
        return f"{100 * self.mean:.1f}" + (f" ± {100 * self.std:.1f}" if len(self.runs) > 1 else "")


def evaluate(
    sets: Condensed | Sequence[Condensed],
    data: Data,
    net: Architecture | None = None,
    protocol: ProtocolFor = dc2021,
    repeats: int = 5,
    seed: int = 0,
    observe: Observe | None = None,
    dtype: torch.dtype | None = None,
    progress: bool = True,
) -> Accuracy:
    """Train `repeats` networks from scratch on each set and measure them on `data.test`.

    Arguments:
        sets: one condensed set, or several of one method (for example with different seeds); mean and std are over all
            networks. Classes are matched with those of the data by name.
        data: its test part is read once per network, after the last epoch; its train part is not used.
        net: the architecture: a `Net`, a name such as "vgg11", or a function (shape, classes) -> torch.nn.Module.
            None: that in which the first set was condensed.
        protocol: `dc2021`, `dsa2021`, `idc2022`, `imagenet2022`, `kfs2022`, `fixed_steps` or `whole`.
        repeats: networks per set.
        seed: seed of the weights, the order of rows and the augmentation.
        observe: called with (networks done, number of networks).
        dtype: number format of the rows while the networks are trained; `torch.bfloat16` is faster on processors that
            support it, and the name of the protocol then says so. Weights and measuring keep the data's format.
        progress: whether to show how many networks are done, if there is no `observe`.

    Raises:
        InputError: the classes or the shape of a set differ from those of the data; fewer than 1 repeat; no `net` for a
            set that was condensed in a custom network, which no file stores.
    """
    several = sets if isinstance(sets, Sequence) else [sets]
    if not several or not all(isinstance(condensed, Condensed) for condensed in several):
        raise InputError(f"`sets` must be a result of condense, run or load, or a list of these, got {sets!r}")
    if net is None and (net := several[0].net) is None:
        raise InputError("the set was condensed in a custom network, which no file stores; give `net`")
    if not isinstance(data, Data):
        raise InputError(f"a set is evaluated on a data set, whose test part is read, not on a {type(data).__name__}")
    pairs: list[tuple[Rows, TestSet]] = []
    for condensed in several:
        synthetic = condensed.synthetic
        if synthetic.classes != data.train.classes:
            raise InputError(
                f"the condensed set has {synthetic.classes} classes, {data.name} has {data.train.classes}; "
                "labels would be beyond the classes; evaluate it on the data that it was condensed from"
            )
        if (shape := tuple(synthetic(range(1), 1).x.shape[2:])) != data.shape:
            raise InputError(f"the condensed rows are {shape}, {data.name}'s are {data.shape}; they must be the same")
        rows = TensorRows(synthetic(), data.train.device, data.train.dtype)
        if condensed.class_names != data.class_names:
            rows.y = _renamed(rows.y, condensed, data)
        # test rows are normalized as the rows of the set are, not with the statistics of the data at hand
        pairs.append((rows, data.test.normalized_by(synthetic.space)))
    return _measure(pairs, data, net, protocol, repeats, seed, _seen(observe, progress), dtype)


def _renamed(labels: Tensor, condensed: Condensed, data: Data) -> Tensor:
    """Labels (N,) or label probabilities (N, K) of a set, renumbered as the classes of the same names in the data.

    Raises:
        InputError: the data have other classes.
    """
    mine, theirs = condensed.class_names, data.class_names
    if differing := set(mine) ^ set(theirs):
        some = min(differing)
        there, other = ("the condensed set", data.name) if some in mine else (data.name, "the condensed set")
        raise InputError(
            f"class {some!r} is in {there} but not in {other}; evaluate a set on data with the same class names"
        )
    order = torch.tensor([theirs.index(name) for name in mine], device=labels.device)
    if labels.is_floating_point():
        return torch.empty_like(labels).index_copy_(1, order, labels)
    return order[labels]


def _seen(observe: Observe | None, progress: bool) -> AbstractContextManager[Observe]:
    if observe is None and progress:
        return counted("networks measured")
    return nullcontext(observe or (lambda done, total: None))


def evaluate_whole(
    data: Data,
    net: Architecture = ConvNet(),
    protocol: ProtocolFor = whole,
    repeats: int = 5,
    seed: int = 0,
    observe: Observe | None = None,
    dtype: torch.dtype | None = None,
    progress: bool = True,
) -> Accuracy:
    """The reference: the accuracy of networks trained on all of `data.train`. See `evaluate`."""
    if not isinstance(data, Data):
        raise InputError(f"networks are trained and tested on a data set, not on a {type(data).__name__}")
    sets = [(data.train, data.test)]
    return _measure(sets, data, net, protocol, repeats, seed, _seen(observe, progress), dtype)


def _measure(
    sets: Sequence[tuple[Rows, TestSet]],
    data: Data,
    net: Architecture,
    protocol: ProtocolFor,
    repeats: int,
    seed: int,
    seen: AbstractContextManager[Observe],
    dtype: torch.dtype | None = None,
) -> Accuracy:
    if dtype not in (None, torch.float32, torch.float64, torch.float16, torch.bfloat16):
        raise InputError(f"`dtype` must be None or a floating-point torch.dtype such as torch.bfloat16, got {dtype!r}")
    for name, value in {"repeats": repeats, "seed": seed}.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise InputError(f"`{name}` must be a whole number of at least 0, got {value!r}")
    if repeats < 1:
        raise InputError(f"`repeats` must be at least 1, got {repeats}")
    if not callable(protocol):
        raise InputError(f"protocol is {protocol!r}; give a protocol such as condensery.dc2021, without quotes")
    start = time.perf_counter()
    rules = protocol(data)
    if dtype is not None:
        named = str(dtype).removeprefix("torch.")
        rules = replace(rules, name=f"{rules.name}, trained in {named}", how=replace(rules.how, dtype=dtype))
    network = build(net, data.shape, data.train.classes).to(data.train.device, data.train.dtype)
    trained = sum(rules.steps_for(len(rows)) * min(rules.how.batch_size, len(rows)) for rows, _ in sets) * repeats
    runs = []
    with during(computing(network, data.shape, trained)), seen as observe:
        for s, (rows, test) in enumerate(sets):
            for r in range(repeats):
                key = ("evaluation", s, r)
                point = initial(network, rng(seed, "weights", *key))
                point = fit(point, rows, rules.how, rules.steps_for(len(rows)), seed, key, rules.augment, rules.mix)
                runs.append(accuracy(point, test))
                observe(len(runs), repeats * len(sets))
    return Accuracy(tuple(runs), rules.name, net, time.perf_counter() - start)


@dataclass(frozen=True)
class Comparison:
    """One row of a comparison: a method, its accuracy, its stored floats and its cost."""

    method: str
    accuracy: Accuracy
    floats: int
    seconds: float
    """Seconds of condensing; those of the evaluation are in `accuracy`."""


def compare(
    sets: Iterable[tuple[str, Condensed, float]],
    data: Data,
    net: Architecture = ConvNet(),
    protocol: ProtocolFor = dc2021,
    repeats: int = 5,
    seed: int = 0,
    reference: bool = True,
    observe: Callable[[Comparison], None] = lambda row: None,
    dtype: torch.dtype | None = None,
    progress: bool = True,
) -> list[Comparison]:
    """Evaluate every condensed set under one protocol, then the whole real set (under the protocol `whole`).

    Arguments:
        sets: (name, condensed set, seconds of condensing) in the order of the table. An iterator may condense the sets
            one by one.
        reference: whether to add a row for the whole set, which takes long for a large set.
        observe: called with every finished row.
        dtype: see `evaluate`; it applies to the reference too.
        progress: whether to show how many networks are done.

    Raises:
        InputError: fewer than 1 repeat, or what `evaluate` refuses.
    """
    rows = []
    for name, condensed, seconds in sets:
        reached = evaluate(condensed, data, net, protocol, repeats, seed, dtype=dtype, progress=progress)
        rows.append(Comparison(name, reached, condensed.floats, seconds))
        observe(rows[-1])
    if reference:
        reached = evaluate_whole(data, net, repeats=repeats, seed=seed, dtype=dtype, progress=progress)
        rows.append(Comparison(reached.protocol, reached, len(data.train) * prod(data.shape), 0.0))
        observe(rows[-1])
    return rows
