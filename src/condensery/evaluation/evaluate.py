"""Measure a condensed set: networks are trained from scratch on it and tested on the test part."""

import hashlib
import logging
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from importlib.metadata import version

import numpy as np
import torch

from condensery import __version__
from condensery.augment import Augmentation, CutMix
from condensery.console import counted
from condensery.data import Data, RealSet, TestSet
from condensery.errors import InputError
from condensery.evaluation import protocols
from condensery.evaluation.kept import Kept, Measured
from condensery.evaluation.protocols import Protocol, ProtocolFor, dc2021, whole
from condensery.evaluation.statistics import Difference, difference, half_width
from condensery.evaluation.training import DecodedRows, Rows, TensorRows, classifying, computing, fit, guesses
from condensery.fields import whole_number
from condensery.kernels.compiling import Mode, during
from condensery.networks.convnet import ConvNet
from condensery.networks.names import named
from condensery.networks.net import Architecture, Factory, Net, build, described, record
from condensery.networks.network import Network, Point, initial
from condensery.networks.packages import Packaged
from condensery.randomness import rng
from condensery.runs.checkpoint import Keeper, environment
from condensery.runs.condensed import Condensed
from condensery.runs.storage import code
from condensery.synthetic import SyntheticSet

__all__ = ["Accuracy", "asked", "evaluate", "evaluate_whole", "rules_of"]

log = logging.getLogger("condensery")

Observe = Callable[[int, int], None]

DECODED_BYTES = 2**30
"""The most bytes of decoded rows that are kept in memory; larger sets are decoded minibatch by minibatch."""

ASSUMED = 5
"""Whether compiling pays is decided for this many networks, whatever number is asked for. If it depended on that
number, networks would be computed in another mode, and not be found in the cache, when more of them are asked for."""


@dataclass(frozen=True)
class Accuracy:
    """Accuracies of networks trained from scratch, each measured once, after the last epoch.

    Arguments:
        runs: one accuracy per network, in [0, 1]; set after set.
        protocol: name of the protocol by which the networks were trained.
        net: the architecture of the networks.
        seconds: wall time of training and testing, whenever that was; if an evaluation was killed, over all sessions.
        sets: number of sets, each with the same number of networks.
        confusion: how many test rows of each class (first axis) networks took for each class (second axis), summed
            over all networks. None: unknown.
    """

    runs: tuple[float, ...]
    protocol: str
    net: Net | Factory
    seconds: float
    sets: int = 1
    confusion: tuple[tuple[int, ...], ...] | None = field(default=None, repr=False)

    @property
    def mean(self) -> float:
        """The mean over networks (and sets)."""
        return float(np.mean(self.runs))

    @property
    def std(self) -> float:
        """The standard deviation over all networks of all sets, divided by n, as is usual in the field."""
        return float(np.std(self.runs))

    @classmethod
    def of_sets(cls, several: Sequence["Accuracy"]) -> "Accuracy":
        """The accuracies on several sets of one method as one accuracy.

        Arguments:
            several: at least one, with equally many networks on every set; protocol and network are the same.
        """
        confusions = [each.confusion for each in several if each.confusion is not None]
        summed = np.sum(confusions, axis=0).tolist() if len(confusions) == len(several) else None
        return replace(
            several[0],
            runs=tuple(run for each in several for run in each.runs),
            seconds=sum(each.seconds for each in several),
            sets=sum(each.sets for each in several),
            confusion=summed and tuple(map(tuple, summed)),
        )

    @property
    def of_classes(self) -> tuple[float, ...] | None:
        """The accuracy on the test rows of each class, in [0, 1], over all networks; nan for a class without any.

        None: unknown.
        """
        if self.confusion is None:
            return None
        return tuple(row[c] / sum(row) if sum(row) else float("nan") for c, row in enumerate(self.confusion))

    @property
    def independent(self) -> tuple[float, ...]:
        """The values that are independent: the accuracies of networks of one set, or the mean of each of several."""
        if self.sets == 1:
            return self.runs
        return tuple(float(mean) for mean in np.reshape(self.runs, (self.sets, -1)).mean(1))

    @property
    def half_width(self) -> float | None:
        """Half the width of the 95 % confidence interval of the mean. None: there is one value only."""
        return half_width(self.independent)

    def minus(self, other: "Accuracy") -> Difference:
        """By how much this accuracy is higher. Networks with the same seed are paired, or sets at the same place."""
        paired = (self.sets, len(self.runs)) == (other.sets, len(other.runs))
        return difference(self.independent, other.independent, paired)

    def __str__(self) -> str:
        return f"{100 * self.mean:.1f}" + (f" ± {100 * self.std:.1f}" if len(self.runs) > 1 else "")


def evaluate(
    sets: Condensed | Sequence[Condensed],
    data: Data,
    net: Architecture | None = None,
    protocol: ProtocolFor | str = dc2021,
    repeats: int = 5,
    seed: int = 0,
    observe: Observe | None = None,
    dtype: torch.dtype | None = None,
    progress: bool = True,
) -> Accuracy:
    """Train `repeats` networks from scratch on each set and measure them on `data.test`.

    The accuracy of each network stays in the cache folder (see CONDENSERY_CACHE), and so does the state of the one in
    training. No network is trained twice by the same code on the same kind of machine, and a call that was killed goes
    on where it stopped. Nothing is kept if the network, the learning rate schedule or the augmentation is code of your
    own, since nothing tells whether it has changed.

    Arguments:
        sets: one condensed set, or several of one method (for example with different seeds); mean and std are over all
            networks. Classes are matched with those of the data by name.
        data: its test part is read once per network, after the last epoch; its train part is not used.
        net: the architecture: a `Net`, a name such as "vgg11", or a function (shape, classes) -> torch.nn.Module.
            None: that in which the first set was condensed.
        protocol: a function of `condensery.evaluation.protocols`, such as `idc2022`, or its name, such as "idc2022".
        repeats: networks per set.
        seed: seed of the weights, the order of rows and the augmentation.
        observe: called with (networks done, number of networks).
        dtype: number format of the rows while the networks are trained: None (that of the data), `torch.bfloat16`,
            which is faster on processors that support it, or `torch.float16`. The name of the protocol says so. Weights
            and measuring keep the data's format.
        progress: whether to show how many networks are done, if there is no `observe`.

    Raises:
        InputError: the classes or the shape of a set differ from those of the data, which may also have no test rows;
            the sets differ in size; `repeats` is below 1; or a set was condensed in a custom network, which no file
            stores, and `net` is not given.
    """
    several = sets if isinstance(sets, Sequence) else [sets]
    if not several or not all(isinstance(condensed, Condensed) for condensed in several):
        raise InputError(f"`sets` must be a result of condense, run or load, or a list of these, got {sets!r}")
    if not isinstance(data, Data):
        raise InputError(f"a set is evaluated on a data set, whose test part is read, not on a {type(data).__name__}")
    net = asked(net, several[0], data, protocol)
    pairs: list[tuple[Rows, TestSet]] = []
    for condensed in several:
        synthetic = condensed.synthetic
        if synthetic.classes != data.train.classes:
            raise InputError(
                f"the condensed set has {synthetic.classes} classes, {data.name} has {data.train.classes}; "
                "labels would be beyond the classes; evaluate it on the data that it was condensed from"
            )
        if condensed.bases_per_class != several[0].bases_per_class:
            raise InputError(
                f"sets store {several[0].bases_per_class} and {condensed.bases_per_class} images or codes per class; "
                "evaluate them one by one"
            )
        if (shape := tuple(synthetic(range(1), 1).x.shape[2:])) != data.shape:
            raise InputError(f"the condensed rows are {shape}, {data.name}'s are {data.shape}; they must be the same")
        # test rows are normalized as the rows of the set are, not with the statistics of the data at hand
        rows = _rows(_in_order(condensed, data), data, DECODED_BYTES // len(several))
        pairs.append((rows, data.test.normalized_by(synthetic.space)))
    return _measure(pairs, data, net, protocol, several[0], repeats, seed, _seen(observe, progress), dtype)


def asked(net: Architecture | None, condensed: Condensed, data: Data, protocol: ProtocolFor | str) -> Net | Factory:
    """The architecture to measure with: the one that is asked for, or that in which the set was condensed.

    In the second case, instance norm replaces batch norm if the protocol says so: few rows give poor statistics.

    Raises:
        InputError: it was condensed in a custom network.
    """
    if net is not None:
        return named(net) if isinstance(net, str) else net
    if (own := condensed.net) is None:
        raise InputError("the set was condensed in a custom network, which no file stores; give `net`")
    if not isinstance(own, Net):
        return own
    instance = own.with_instance_norm()
    return own if rules_of(protocol, data, condensed, instance).batch_norm else instance


def rules_of(protocol: ProtocolFor | str, data: Data, condensed: Condensed | None, net: Architecture) -> Protocol:
    """How a network is trained on a set, or on the whole training part, by a protocol or the one with a name.

    Raises:
        InputError: there is no such protocol.
    """
    return protocols.named(protocol)(data, condensed, net)


@torch.no_grad()
def _rows(synthetic: SyntheticSet, data: Data, most: int) -> Rows:
    """The rows of a set: decoded once, or minibatch by minibatch if they would take more than `most` bytes.

    Raises:
        InputError: they would take more memory than `errors.bounded` allows, and cannot be decoded in parts.
    """
    device, dtype = data.train.device, data.train.dtype
    a_base = synthetic(range(1), 1).x
    size = synthetic.classes * synthetic.bases_per_class * a_base.numel() * dtype.itemsize
    if size > most and synthetic.decoder.even:
        return DecodedRows(synthetic, device, dtype)
    return TensorRows(synthetic.decoded(), device, dtype)


def _in_order(condensed: Condensed, data: Data) -> SyntheticSet:
    """The set with its classes in the order of the data's classes of the same names.

    Raises:
        InputError: the data have other classes.
    """
    mine, theirs, synthetic = condensed.class_names, data.class_names, condensed.synthetic
    if mine == theirs:
        return synthetic
    if differing := set(mine) ^ set(theirs):
        some = min(differing)
        there, other = ("the condensed set", data.name) if some in mine else (data.name, "the condensed set")
        raise InputError(
            f"class {some!r} is in {there} but not in {other}; evaluate a set on data with the same class names"
        )
    order = [mine.index(name) for name in theirs]
    labels = None if synthetic.labels is None else synthetic.labels.detach()[order][:, :, order]
    bases = synthetic.bases.detach()[order]
    return SyntheticSet(bases, synthetic.space, synthetic.decoder, labels, synthetic.format, synthetic.grids)


def _seen(observe: Observe | None, progress: bool) -> AbstractContextManager[Callable[[float, int], None]]:
    """The function that is told how many networks are done, with a fraction for the one in training."""
    if observe is None and progress:
        return counted("networks measured")
    told = observe or (lambda done, total: None)
    return nullcontext(lambda done, total: told(int(done), total) if done == int(done) else None)


def evaluate_whole(
    data: Data,
    net: Architecture = ConvNet(),
    protocol: ProtocolFor | str = whole,
    repeats: int = 5,
    seed: int = 0,
    observe: Observe | None = None,
    dtype: torch.dtype | None = None,
    progress: bool = True,
) -> Accuracy:
    """The reference: the accuracy of networks trained on all of `data.train`. See `evaluate`.

    Accuracies stay in the cache folder (see CONDENSERY_CACHE), so that each network is trained only once for the same
    data, architecture and protocol on the same kind of machine, unless one of these is code of your own (see
    `evaluate`).
    """
    if not isinstance(data, Data):
        raise InputError(f"networks are trained and tested on a data set, not on a {type(data).__name__}")
    net = named(net) if isinstance(net, str) else net
    sets = [(data.train, data.test)]
    return _measure(sets, data, net, protocol, None, repeats, seed, _seen(observe, progress), dtype)


def _measure(
    sets: Sequence[tuple[Rows, TestSet]],
    data: Data,
    net: Net | Factory,
    protocol: ProtocolFor | str,
    first: Condensed | None,
    repeats: int,
    seed: int,
    seen: AbstractContextManager[Callable[[float, int], None]],
    dtype: torch.dtype | None = None,
) -> Accuracy:
    whole_number("repeats", repeats, 1)
    whole_number("seed", seed, 0)
    if not len(data.test):
        raise InputError(f"{data.name} has no test rows, so nothing can be measured on it; give data with a test part")
    rules = rules_of(protocol, data, first, net).trained_in(dtype, data)
    network = build(net, data.shape, data.train.classes).to(data.train.device, data.train.dtype)
    classes, about = data.train.classes, None
    if rules.seconds is None and from_library(net, rules):
        about = [
            __version__, None if first is None else code(),  # networks on the whole set serve later code too
            version(net.package) if isinstance(net, Packaged) else None,
            environment(data.train.device), data.test.fingerprint, record(net), seed, rules.record(),
        ]  # fmt: skip
    every: list[Measured] = []
    with seen as observe:
        for s, (rows, test) in enumerate(sets):
            training_mode = _mode(network, data, rows, rules)
            testing_mode = classifying(network, data.shape, ASSUMED * len(test))
            modes = [training_mode, testing_mode]
            kept = Kept(about and [*about, *modes, s, _contents(rows, test)], classes, len(test))
            done = kept.read()[:repeats]
            if done and first is not None:
                known = f"{described(net)}: {len(done)} of {repeats} networks were trained before"
                log.info(f"{known}, and their accuracies are taken from the cache (CONDENSERY_CACHE)")
            with during(training_mode):
                steps = _steps(network, rows, rules, seed)
            for r in range(len(done), repeats):
                start, key, keeper = time.perf_counter(), ("evaluation", s, r), kept.training(r, steps)
                point = initial(network, rng(seed, "weights", *key))
                with during(training_mode):
                    before, total = len(every) + r, repeats * len(sets)
                    part = _fractions(observe, before, total)
                    fitted = _fitted(point, rows, rules, steps, seed, key, keeper, part)
                with during(testing_mode):
                    found = guesses(fitted, test)
                counts = (test.labels * classes + found).bincount(minlength=classes**2).cpu()
                seconds = time.perf_counter() - start + (keeper.clock.before if keeper else 0.0)
                done.append(Measured(counts.view(classes, classes), seconds))
                kept.write(done)
                observe(before + 1, total)
            every += done
    runs = tuple(int(each.confusion.trace()) / int(each.confusion.sum()) for each in every)
    confusion = tuple(map(tuple, torch.stack([each.confusion for each in every]).sum(0).tolist()))
    return Accuracy(runs, rules.name, net, sum(each.seconds for each in every), len(sets), confusion)


def from_library(net: Net | Factory, rules: Protocol) -> bool:
    """Whether a network and its training are this library's code, or that of packages that have a version."""
    augment, mix = rules.augment or Augmentation(), rules.mix or CutMix()
    parts = [rules.how.schedule, *map(type, (net, augment, *augment.always, *augment.one_of, mix))]
    return all(part.__module__.partition(".")[0] == "condensery" for part in parts)


def _contents(rows: Rows, test: TestSet) -> list[str]:
    """What tells the rows of a training set, and how test rows are read, from others."""
    if isinstance(rows, RealSet):
        trained = [rows.fingerprint, rows.space.fingerprint, str(rows.dtype)]
    else:
        digest = hashlib.blake2b(digest_size=16)
        for x, y, _ in rows.minibatches(256, rng(0, "contents")):
            for part in (x, y):
                digest.update(part.detach().cpu().contiguous().view(torch.uint8).numpy().data)
        trained = [digest.hexdigest()]
    return [*trained, test.space.fingerprint, str(test.dtype)]


def _mode(network: Network, data: Data, rows: Rows, rules: Protocol) -> Mode:
    """The fastest mode for training the usual number of networks on a set by a protocol."""
    if rules.seconds is not None:  # in a minute, compiling pays
        return computing(network, data.shape, sys.maxsize if ASSUMED * rules.seconds >= 60 else 0)
    trained = rules.steps_for(len(rows)) * min(rules.how.batch_size, len(rows))
    return computing(network, data.shape, ASSUMED * trained)


def _steps(network: Network, rows: Rows, rules: Protocol, seed: int) -> int:
    """How many steps a protocol takes on some rows; if it says for how many seconds, by timing some."""
    if rules.seconds is None:
        return rules.steps_for(len(rows))
    point, count, took = initial(network, rng(seed, "weights", "timing")), 2, 0.0
    _fitted(point, rows, rules, count, seed, ("timing",))  # the first steps may compile
    while took < min(rules.seconds / 10, 2.0):
        count *= 2
        start = time.perf_counter()
        _fitted(point, rows, rules, count, seed, ("timing",))
        took = time.perf_counter() - start
    return max(1, int(rules.seconds * count / took))


def _fitted(
    point: Point,
    rows: Rows,
    rules: Protocol,
    steps: int,
    seed: int,
    key: tuple[str | int, ...],
    keeper: Keeper | None = None,
    report: Callable[[int, int, float], None] | None = None,
) -> Point:
    """The point after some steps by a protocol."""
    return fit(point, rows, rules.how, steps, seed, key, rules.augment, rules.mix, keeper=keeper, report=report)


def _fractions(observe: Callable[[float, int], None], before: int, total: int) -> Callable[[int, int, float], None]:
    """Tells, after every update but the last, how much of the network after the first `before` is trained."""

    def report(done: int, steps: int, loss: float) -> None:
        if done < steps:
            observe(before + done / steps, total)

    return report
