"""What a set gains over random real images that take the same storage, and how close it comes to the whole set."""

from dataclasses import dataclass, replace
from math import e, exp, prod

import torch

from condensery.algorithms import coresets
from condensery.data import Data
from condensery.errors import InputError
from condensery.evaluation.evaluate import Accuracy, evaluate, evaluate_whole
from condensery.evaluation.protocols import Protocol, ProtocolFor, dc2021, named
from condensery.evaluation.statistics import Difference
from condensery.networks.net import Architecture
from condensery.runs.condensed import Condensed

__all__ = ["Scores", "equal_storage", "random_rival", "scores"]


@dataclass(frozen=True)
class Scores:
    """Accuracies of a set and of random real images in its place, under one protocol, and of the whole set.

    Accuracies are given with the augmentation of the protocol and without any; all scores are fractions.

    Arguments:
        ours, ours_plain: the set, with and without augmentation.
        floats, floats_plain: random images with as many stored values (at least one image per class).
        bytes, bytes_plain: random images with as many bytes. A value of an 8-bit image takes one byte.
        images: the number of random images per class at equal values and at equal bytes.
        whole: networks trained on the whole training part. None: not measured.

    References:
        DD-Ranking (Li et al. 2025) for HLR, IOR, LRS and ARS.
    Departs: random images are compared at equal storage, under the same protocol; accuracies are those after the last
        epoch, and no learning rate is searched on the test part. The whole set is trained under the protocol `whole`,
        so HLR and LRS compare two protocols.
    """

    ours: Accuracy
    ours_plain: Accuracy
    floats: Accuracy
    floats_plain: Accuracy
    bytes: Accuracy
    bytes_plain: Accuracy
    images: tuple[int, int]
    whole: Accuracy | None = None

    @property
    def accuracies(self) -> dict[str, Accuracy]:
        """All accuracies by what was measured; those without augmentation only if the protocol has any."""
        by_floats, by_bytes = (f"random, {n} per class" for n in self.images)
        names = ("the set", f"{by_floats} (equal floats)", f"{by_bytes} (equal bytes)")
        found = dict(zip(names, (self.ours, self.floats, self.bytes), strict=True))
        if self.ours_plain is not self.ours:  # the protocol has an augmentation
            plain = (self.ours_plain, self.floats_plain, self.bytes_plain)
            found |= {f"{name}, no augmentation": each for name, each in zip(names, plain, strict=True)}
        return found if self.whole is None else found | {self.whole.protocol: self.whole}

    @property
    def ior(self) -> Difference:
        """Improvement over random: the gain over random images with as many stored values."""
        return self.ours.minus(self.floats)

    @property
    def ior_bytes(self) -> Difference:
        """The gain over random images with as many bytes."""
        return self.ours.minus(self.bytes)

    @property
    def hlr(self) -> float | None:
        """Hard label recovery: by how much the whole set is better (smaller is better)."""
        return None if self.whole is None else self.whole.mean - self.ours.mean

    @property
    def lrs(self) -> float | None:
        """Label-robust score in [0, 1]: IOR and -HLR with weights of one half, rescaled."""
        return None if self.hlr is None else _rescaled((self.ior.mean - self.hlr) / 2)

    @property
    def ars(self) -> float:
        """Augmentation-robust score in [0, 1]: the gains with and without augmentation, weights of a half, rescaled."""
        return _rescaled((self.ior.mean + self.ours_plain.minus(self.floats_plain).mean) / 2)


def _rescaled(alpha: float) -> float:
    return (exp(alpha) - exp(-1)) / (e - exp(-1))


def equal_storage(condensed: Condensed, data: Data) -> tuple[int, int]:
    """How many real images per class have as many values as a set, and how many as many bytes; at least one each.

    Raises:
        InputError: a class has fewer images.
    """
    values = data.train.classes * prod(data.shape)
    images = (
        max(1, condensed.floats // values),
        max(1, condensed.bytes // (data.train.classes * data.train.bytes_per_image)),
    )
    if max(images) > (least := min(data.train.sizes)):
        raise InputError(
            f"{max(images)} random images per class would take as much storage, but a class of {data.name} has only "
            f"{least}; give a smaller subset of the set"
        )
    return images


def random_rival(condensed: Condensed, data: Data, images: int, seed: int = 0) -> Condensed:
    """Random real images that take the place of a set.

    Arguments:
        images: the number of images per class, such as one of `equal_storage`.
    """
    chosen = coresets.random(data.train, images, seed)
    return Condensed(chosen, data.class_names, {"name": "random", "ipc": images}, 0, condensed.data)


def scores(
    condensed: Condensed,
    data: Data,
    net: Architecture | None = None,
    protocol: ProtocolFor | str = dc2021,
    repeats: int = 5,
    seed: int = 0,
    whole: bool = True,
    dtype: torch.dtype | None = None,
    progress: bool = True,
) -> Scores:
    """Measure a set and its two rivals of random images, with and without augmentation.

    Arguments:
        whole: whether to train on the whole set too, which takes long for a large one.
        condensed, data, net, protocol, repeats, seed, dtype, progress: see `evaluate`.

    Raises:
        InputError: what `evaluate` refuses, or a class has too few images to store as many bytes.
    """

    of = named(protocol)

    def plain(data: Data, condensed: Condensed | None = None, net: Architecture | None = None) -> Protocol:
        rules = of(data, condensed, net)
        return replace(rules, name=f"{rules.name}, no augmentation", augment=None, mix=None)

    images = equal_storage(condensed, data)
    rivals = [random_rival(condensed, data, ipc, seed) for ipc in images]

    def both(measured: Condensed, net: Architecture | None) -> tuple[Accuracy, Accuracy]:
        reached = evaluate(measured, data, net, of, repeats, seed, dtype=dtype, progress=progress)
        rules = of(data, measured, reached.net)
        if rules.augment is None and rules.mix is None:  # the same networks
            return reached, reached
        return reached, evaluate(measured, data, net, plain, repeats, seed, dtype=dtype, progress=progress)

    ours = both(condensed, net)
    net = ours[0].net
    by_floats, by_bytes = (both(rival, net) for rival in rivals)
    reference = evaluate_whole(data, net, repeats=repeats, seed=seed, dtype=dtype, progress=progress) if whole else None
    return Scores(*ours, *by_floats, *by_bytes, images, reference)
