"""Continual learning: classes arrive in stages, and only a small memory of the earlier ones is kept."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from condensery.algorithms.algorithm import Algorithm, Aside
from condensery.algorithms.autoencoder import Autoencoder
from condensery.algorithms.matching import Matching
from condensery.applications.rehearsal import Distillation, Stage, check_memory, distilling, grown, stage_folder
from condensery.data import Data, RealSet
from condensery.decoders import Factorized
from condensery.errors import InputError
from condensery.evaluation import protocols
from condensery.evaluation.evaluate import Accuracy, asked, evaluate
from condensery.evaluation.protocols import Protocol, ProtocolFor, fixed_steps
from condensery.evaluation.training import TensorRows, accuracy, fit
from condensery.fields import whole_number
from condensery.formats import size
from condensery.networks.net import Architecture, Factory, Net, build
from condensery.networks.network import Point
from condensery.randomness import rng
from condensery.recipes import Recipe
from condensery.runs.condensed import Condensed
from condensery.runs.run import Alteration, made
from condensery.synthetic import SyntheticSet

__all__ = ["SHARED", "class_incremental", "stages_of"]


def class_incremental(
    data: Data,
    memory: Recipe,
    stages: int = 5,
    net: Architecture | None = None,
    protocol: ProtocolFor | str = fixed_steps,
    repeats: int = 5,
    seed: int = 0,
    observe: Callable[[Stage], None] = lambda stage: None,
    distillation: Distillation | None = None,
    share_decoders: bool = False,
    folder: str | Path | None = None,
    dtype: torch.dtype | None = None,
    progress: bool = True,
) -> list[Stage]:
    """Learn the classes of a data set in stages, with a memory that a recipe fills.

    When the classes of a stage arrive, their images are condensed (or chosen) by the recipe, and the set joins the
    memory; the images are then gone. After every stage, networks are trained on the memory alone, and tested on all
    classes that have arrived: networks from scratch, or with distillation those of the last stage, which go on.

    Arguments:
        data: its classes arrive in their order, the same number in every stage.
        memory: the recipe, whose `ipc` is the memory per class. Its seed is the same in every stage.
        stages: number of stages; it divides the number of classes.
        net: the network that is trained. None: the one in which the recipe condenses.
        protocol: how it is trained and tested.
        repeats: number of networks after every stage.
        seed: seed of their weights and of the order of rows.
        observe: called after every stage.
        distillation: the loss that keeps the outputs of networks that go on near those of the last stage. None: every
            stage trains networks from scratch.
        share_decoders: whether decoders are learned in the first stage only; later stages learn codes for them, and the
            memory holds them once.
        folder: the folder of the runs that condense, one for each stage, from which the same call goes on. None:
            nothing is kept.
        dtype: number format of the rows while the networks are trained; see `evaluate`.
        progress: whether to show what is being done.

    Returns:
        A `Stage` for every stage.

    Raises:
        InputError: `stages` does not divide the number of classes, a stage would have one class, the classes of the
            first stage have no test images, the recipe refuses the data or learns soft labels, it has no decoders to
            share or would learn them in every stage, a number is out of range, or the folder contains other runs.

    References:
        IDC section 5.3, KFS section 4 and figure 6: a network is trained on the memory alone. (Classes of CIFAR-100
        arrive in five stages; in IDC, with distillation and 1000 epochs each.)
    """
    points = list[Point]()
    whole_number("repeats", repeats, 1)
    whole_number("seed", seed, 0)
    protocols.check_dtype(dtype, data)
    for part in stages_of(data, stages):
        check_memory(memory, part.train, share_decoders)
    begun = next(stages_of(data, stages)).train
    kind = protocols.named(protocol)

    def of_stored(data: Data, condensed: Condensed | None = None, net: Architecture | None = None) -> Protocol:
        return kind(data, kept[-1], net)  # the memory as it is stored; `condensed` has been decoded

    if distillation:
        kind(data, None, net).steps_for(1)  # refuses what trains for a time, before anything is condensed
    kept, found = list[Condensed](), []
    for stage, part in enumerate(stages_of(data, stages)):
        alteration = _with_decoders_of(kept[0], memory, begun) if share_decoders and kept else None
        kept.append(made(memory, part, stage_folder(folder, stage), progress, alteration))
        kept[-1].synthetic.to(part.train.device)  # a set that was kept is on the CPU
        if alteration:
            kept[-1] = _sharing(kept[-1], kept[0], stage_folder(folder, stage))
        arrived = data.of_classes(range((stage + 1) * part.train.classes))
        together = _together(kept, arrived)
        given = net or (memory.net if together.net is None else None)
        if distillation is None:
            reached = evaluate(together, arrived, given, of_stored, repeats, seed, dtype=dtype, progress=progress)
        else:
            trained = asked(given, together, arrived, of_stored)
            rules = of_stored(arrived, together, trained).trained_in(dtype, data)
            reached, points = _distilled(together, arrived, trained, rules, repeats, seed, distillation, points)
        found.append(Stage(arrived.class_names, reached, *_sizes(kept)))
        observe(found[-1])
    return found


def stages_of(data: Data, stages: int) -> Iterator[Data]:
    """The classes of every stage, as a data set each.

    Raises:
        InputError: `stages` does not divide the number of classes, a stage would have one class, or the classes of the
            first stage have no test images.
    """
    classes = data.train.classes
    if not isinstance(stages, int) or isinstance(stages, bool) or not 0 < stages < classes or classes % stages:
        fitting = [n for n in range(1, classes // 2 + 1) if classes % n == 0]
        several = f"give one of {', '.join(map(str, fitting))}"
        none = "no number above 1 does, so leave a class out, or take data sets as stages (`task_incremental`, --then)"
        raise InputError(
            f"`stages={stages}` does not divide the {classes} classes of {data.name} into stages of several classes; "
            f"{several if len(fitting) > 1 else none}"
        )
    if not bool((data.test.labels < classes // stages).any()):
        raise InputError(
            f"{data.name} has no test images of the {classes // stages} classes of the first stage; "
            "add some, or give fewer stages"
        )
    each = classes // stages
    return (data.of_classes(range(first, first + each)) for first in range(0, classes, each))


SHARED = "codes for the decoders of the first stage"
"""What is changed in the later stages of a memory whose decoders are shared."""


def _with_decoders_of(first: Condensed, memory: Recipe, real: RealSet) -> Alteration:
    """A later stage learns codes for the decoders of the first one, which are not learned any further.

    A strict budget leaves room for decoders all the same, so that all classes have equally many codes.

    Arguments:
        first: the set of the first stage.
        memory: the recipe that made it.
        real: the rows from which it was made.

    References:
        KFS section 4: decoders are learned on the first classes.
    """

    def of(usual: Algorithm) -> Matching:
        assert isinstance(usual, Matching)
        usual.synthetic.decoder = first.synthetic.decoder.requires_grad_(False)
        usual.synthetic.grids = {k: grid for k, grid in first.synthetic.grids.items() if k.startswith("decoder.")}
        encoder = _FirstEncoder(memory, real)
        beginnings = [encoder if isinstance(work, Autoencoder) else work for work in usual.beginnings]
        return replace(usual, beginnings=beginnings)

    return Alteration(SHARED, of)


@dataclass(frozen=True)
class _FirstEncoder:
    """A beginning that gives the decoders of the first stage the encoder that makes codes for them.

    An encoder is not stored, so if the decoders are from a file, it is trained again, with the same seed.

    Arguments:
        memory, real: see `_with_decoders_of`.
    """

    memory: Recipe
    real: RealSet

    def __call__(self, synthetic: SyntheticSet, aside: Aside | None) -> None:
        decoder = synthetic.decoder
        assert isinstance(decoder, Factorized)
        if decoder.encoder is None:
            again = self.memory.algorithm(self.real)
            assert isinstance(again, Matching)
            assert isinstance(again.synthetic.decoder, Factorized)
            for work in again.beginnings:
                if isinstance(work, Autoencoder):
                    work(again.synthetic, aside)
            assert again.synthetic.decoder.encoder
            decoder.with_encoder(again.synthetic.decoder.encoder)

    def rare(self, synthetic: SyntheticSet) -> None:
        """None: the work is no part of a plan."""

    def steady(self) -> "_FirstEncoder":
        return self


def _sharing(later: Condensed, first: Condensed, folder: Path | None) -> Condensed:
    """The set of a later stage, which has the very decoders of the first one, also if both are from files.

    Raises:
        InputError: its codes are for other decoders.
    """
    theirs, ours = first.synthetic.decoder.state_dict(), later.synthetic.decoder.state_dict()
    if not all(value.equal(ours[name]) for name, value in theirs.items()):
        raise InputError(f"{folder}: its codes are for other decoders than those of the first stage; remove the folder")
    later.synthetic.decoder = first.synthetic.decoder
    return later


def _sizes(kept: list[Condensed]) -> tuple[int, int]:
    """The floats and the bytes of all sets; a decoder that sets share is counted once."""
    stored = {
        id(value): (value.numel(), size(value, each.synthetic.format, each.synthetic.grids.get(name)))
        for each in kept for name, value in each.synthetic.named_parameters()
    }  # fmt: skip
    floats, of_bytes = zip(*stored.values(), strict=True)
    return sum(floats), sum(of_bytes)


@torch.no_grad()
def _together(kept: list[Condensed], arrived: Data) -> Condensed:
    """The decoded rows of the sets of all stages, as one set."""
    rows = torch.cat([condensed.synthetic().x for condensed in kept])
    synthetic = SyntheticSet.from_rows(rows, replace(kept[0].space, stored="normalized"))
    data = {**kept[0].data, "name": arrived.name, "fingerprint": arrived.train.fingerprint, "rows": len(arrived.train)}
    return replace(kept[0], synthetic=synthetic, class_names=arrived.class_names, data=data)


def _distilled(
    together: Condensed,
    arrived: Data,
    net: Net | Factory,
    rules: Protocol,
    repeats: int,
    seed: int,
    distillation: Distillation,
    points: list[Point],
) -> tuple[Accuracy, list[Point]]:
    """The accuracy of the networks of the last stage that go on learning, and these networks."""
    start = time.perf_counter()
    network = build(net, arrived.shape, arrived.train.classes).to(arrived.train.device, arrived.train.dtype)
    with torch.no_grad():
        rows = TensorRows(together.synthetic())
    fitted = []
    for r, before in enumerate(points or [None] * repeats):
        key = ("stage", arrived.train.classes, r)
        point, regularizer = grown(before, network, rng(seed, "weights", *key)), distilling(before, distillation)
        steps = rules.steps_for(len(rows))
        fitted.append(fit(point, rows, rules.how, steps, seed, key, rules.augment, rules.mix, regularizer=regularizer))
    test = arrived.test.normalized_by(together.space)
    runs = tuple(accuracy(point, test) for point in fitted)
    return Accuracy(runs, f"{rules.name}, distilled", net, time.perf_counter() - start), fitted
