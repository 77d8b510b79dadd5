"""A privacy probe: can one tell from a network whether an image was among those that were condensed?"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from math import hypot
from statistics import fmean

import torch
from torch import Tensor

from condensery.algorithms.algorithm import FromRows
from condensery.algorithms.matching import Matching
from condensery.console import counted
from condensery.data import Batch, Data, RealSet
from condensery.errors import InputError
from condensery.evaluation.evaluate import rules_of
from condensery.evaluation.protocols import ProtocolFor, fixed_steps
from condensery.evaluation.statistics import area_half_width, half_width
from condensery.evaluation.training import TensorRows, fit
from condensery.fields import whole_number
from condensery.networks.names import named
from condensery.networks.net import Architecture, build
from condensery.networks.network import Point, initial, rows_at_once
from condensery.randomness import rng
from condensery.recipes import Recipe
from condensery.runs.run import condense
from condensery.synthetic import random_real

__all__ = ["Exposure", "membership"]


@dataclass(frozen=True)
class Exposure:
    """How well two attacks tell members from other images, by networks that were trained on a set.

    Arguments:
        trained_on: what the networks were trained on.
        members: which images are to be told from images that nothing was made from.
        loss: area under the ROC curve of the attack by the loss of an image, one for each network: 0.5 is guessing, 1
            is certainty.
        ratio: the same of the attack by the likelihood ratio, which takes into account how hard an image is.
        images: number of members, and of other images, that were attacked.
    """

    trained_on: str
    members: str
    loss: tuple[float, ...]
    ratio: tuple[float, ...]
    images: tuple[int, int]

    @property
    def half_widths(self) -> tuple[float, float]:
        """Half the widths of the 95 % confidence intervals of the means of `loss` and `ratio`.

        They account for the variation between networks, and for that between images, of which all networks share a
        sample.
        """
        loss, ratio = (
            hypot(half_width(areas) or 0.0, area_half_width(fmean(areas), *self.images))
            for areas in (self.loss, self.ratio)
        )
        return loss, ratio


def membership(
    data: Data,
    recipe: Recipe,
    net: Architecture | None = None,
    protocol: ProtocolFor | str = fixed_steps,
    repeats: int = 5,
    shadows: int = 8,
    most: int = 2000,
    seed: int = 0,
    progress: bool = True,
) -> list[Exposure]:
    """Attack networks that were trained on a condensed set, and compare with networks trained on real images.

    The training part is divided into three. The recipe condenses the first third, whose images are the members; those
    of the second third are not. Networks that are trained on random images of the last third tell how hard an image is.

    Arguments:
        data: the data set, of which only the training part is read.
        recipe: the recipe; its initial images, if it has real ones, are attacked as a group of their own, too.
        net: the network that is trained. None: the one in which the recipe condenses.
        protocol: how networks are trained.
        repeats: number of networks for each set.
        shadows: number of networks that are trained on images of the last third; at least 2.
        most: the most members that are attacked, and the most other images.
        seed: seed of the division, of weights and of the order of rows.
        progress: whether to show progress.

    Returns:
        Exposures of all members, and of the initial images (or of its own, if the set stores real images), by networks
        that were trained on the condensed set; and for comparison of the initial images, and of as many random images
        as the set has decoded rows, by networks that were trained on these.

    Raises:
        InputError: `shadows` is below 2, `repeats` or `most` below 1, `seed` below 0, a class has too few images to be
            divided, or the protocol trains for a time.

    References:
        Yeom et al., Privacy Risk in Machine Learning (2018), for the loss; Carlini et al., Membership Inference Attacks
        From First Principles (2022), for the likelihood ratio: the offline attack with one variance for all images.
    Departs: Carlini et al. train their networks as the attacked one was trained; here they learn real images also when
        the attacked one learned a condensed set. An attack that condenses its own images may be stronger.
    """
    for name, value, least in (("shadows", shadows, 2), ("repeats", repeats, 1), ("most", most, 1), ("seed", seed, 0)):
        whole_number(name, value, least)
    check_thirds(data, recipe, seed)
    chosen = named(net) if isinstance(net, str) else net or recipe.net
    rules_of(protocol, data, None, chosen).steps_for(1)  # refuses what trains for a time, before anything is condensed
    inside, outside, other = _thirds(data.train, seed)
    made = condense(recipe, inside, progress=progress)
    space = replace(made.space, stored="normalized")  # a recipe may have other statistics than the data
    inside, outside, other = (part.normalized_by(space) for part in (inside, outside, other))
    beginning, count = _initial(recipe, inside), min(made.rows_per_class, *inside.sizes, *other.sizes)
    with torch.no_grad():
        stored = _Images.of(made.synthetic())
    learned = {_CONDENSED: stored}
    if beginning:
        learned[_INITIAL] = beginning
    learned[_RANDOM] = _Images.drawn(inside, count, seed, "alone")
    rules = rules_of(protocol, data, made, chosen)
    network = build(chosen, data.shape, data.train.classes).to(inside.device, inside.dtype)
    todo = [(name, r, rows) for name, rows in learned.items() for r in range(repeats)]
    todo += [(_STRANGERS, k, _Images.drawn(other, count, seed, "other", k)) for k in range(shadows)]
    points: dict[str, list[Point]] = {}
    with counted("networks trained") if progress else nullcontext(lambda done, total: None) as tell:
        for done, (name, r, images) in enumerate(todo, 1):
            start, steps = initial(network, rng(seed, "weights", name, r)), rules.steps_for(len(images.y))
            point = fit(start, images.rows(), rules.how, steps, seed, (name, r), rules.augment, rules.mix)
            points.setdefault(name, []).append(point)
            tell(done, len(todo))
    # both sides of an attack have the classes in the same shares
    others = _Images.some(outside, most, seed)
    balanced = _Images.drawn(outside, min(-(-most // data.train.classes), *outside.sizes), seed, "balanced")
    attacked = [(_CONDENSED, "all condensed images", _Images.some(inside, most, seed), others)]
    if beginning:
        attacked += [(trained_on, _INITIAL, beginning, balanced) for trained_on in (_CONDENSED, _INITIAL)]
    if not isinstance(recipe.algorithm(inside), Matching):  # it stores real images
        attacked += [(_CONDENSED, "its own images", stored, balanced)]
    attacked += [(_RANDOM, _RANDOM, learned[_RANDOM], balanced)]
    return [
        Exposure(
            trained_on, members, *_areas(points[trained_on], points[_STRANGERS], images, strangers),
            (len(images.y), len(strangers.y)),
        )
        for trained_on, members, images, strangers in attacked
    ]  # fmt: skip


def check_thirds(data: Data, recipe: Recipe, seed: int) -> None:
    """Check, before anything is condensed, that a third of the training part suits a recipe.

    Raises:
        InputError: a class has too few images to be divided, or the recipe refuses the third.
    """
    if min(data.train.sizes) < 3 * recipe.ipc:
        raise InputError(
            f"a class of {data.name} has {min(data.train.sizes)} images, and three parts with {recipe.ipc} each are "
            "needed; give a smaller `ipc`"
        )
    recipe.algorithm(_thirds(data.train, seed)[0])


_CONDENSED, _INITIAL, _RANDOM, _STRANGERS = "the condensed set", "its initial images", "random images", "other images"


@dataclass(frozen=True)
class _Images:
    """Normalized rows (n, channels, height, width) and their labels (n,)."""

    x: Tensor
    y: Tensor

    @classmethod
    def of(cls, batch: Batch) -> "_Images":
        return cls(*(part.detach() for part in batch.flat()))

    @classmethod
    def drawn(cls, real: RealSet, count: int, seed: int, *key: str | int) -> "_Images":
        """`count` random rows of every class."""
        return cls.of(real.sample(count, range(real.classes), partial(rng, seed, *key)))

    @classmethod
    def some(cls, real: RealSet, most: int, seed: int) -> "_Images":
        """At most `most` random rows of a set."""
        index = torch.randperm(len(real), generator=rng(seed, "attacked"))[:most].sort().values
        return cls(real.read(index), real.labels[index.to(real.device)])

    def rows(self) -> TensorRows:
        """The same rows, to train on."""
        soft = self.y if self.y.is_floating_point() else None
        labels = self.y if soft is None else self.y.argmax(1)
        return TensorRows(Batch(self.x[None], labels[None], None if soft is None else soft[None]))


def _thirds(real: RealSet, seed: int) -> list[RealSet]:
    """Three parts of a set, each with a third of every class."""
    part = torch.zeros(len(real), dtype=torch.long)
    for c, size in enumerate(real.sizes):
        order = torch.randperm(size, generator=rng(seed, "thirds", c))
        part[real.rows(c).start + order] = torch.arange(size) % 3
    return [real.subset((part == k).nonzero().flatten().to(real.device)) for k in range(3)]


def _initial(recipe: Recipe, real: RealSet) -> _Images | None:
    """The real images from which learning starts. None: it starts from something else, or images are chosen."""
    algorithm = recipe.algorithm(real)
    if not isinstance(algorithm, Matching):
        return None
    first = algorithm.parts[0]  # what is learned before the rounds of Unrolled
    start, beginnings = first.synthetic, first.beginnings
    if told := [work.rows() for work in beginnings if isinstance(work, FromRows)]:
        rows = told[-1]
    elif beginnings:  # an autoencoder whose codes are noise, or an earlier set
        return None
    else:
        rows = random_real(first.real, recipe.ipc, recipe.seed, start.decoder)
        if not torch.equal(start.decoder.encode(start.space.encode(rows)), start.bases):
            return None
    labels = torch.arange(real.classes, device=rows.device)[:, None].expand(rows.shape[:2])
    return _Images.of(Batch(rows, labels))


def _areas(
    points: Sequence[Point], strangers: Sequence[Point], members: _Images, others: _Images
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The areas under the ROC curves of both attacks, for every network."""
    from sklearn.metrics import roc_auc_score

    x, y = torch.cat([members.x, others.x]), torch.cat([members.y, others.y])
    truth = torch.arange(len(y)) < len(members.y)
    usual = torch.stack([_margins(point, x, y)[1] for point in strangers])
    losses, ratios = [], []
    for point in points:
        likelihood, margin = _margins(point, x, y)
        losses.append(float(roc_auc_score(truth, likelihood)))
        ratios.append(float(roc_auc_score(truth, margin - usual.mean(0))))
    return tuple(losses), tuple(ratios)


@torch.no_grad()
def _margins(point: Point, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The log-likelihood of the label of each row, and its log-odds against all other classes."""
    parts = x.split(rows_at_once(x.device, x.shape))
    logits = torch.cat([point.logits(part) for part in parts]).double().cpu()
    own = torch.zeros_like(logits, dtype=torch.bool)
    own[torch.arange(len(y)), y.cpu()] = True
    rest = logits.masked_fill(own, -torch.inf).logsumexp(1)
    margin = logits[own] - rest
    return -torch.nn.functional.softplus(-margin), margin
