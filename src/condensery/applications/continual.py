"""Continual learning: classes arrive in stages, and only a small memory of the earlier ones is kept."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from condensery.data import Data
from condensery.errors import InputError
from condensery.evaluation.evaluate import Accuracy, evaluate
from condensery.evaluation.protocols import ProtocolFor, fixed_steps
from condensery.networks.net import Architecture
from condensery.recipes import Recipe
from condensery.runs.condensed import Condensed
from condensery.runs.run import condense
from condensery.synthetic import SyntheticSet

__all__ = ["Stage", "class_incremental"]


@dataclass(frozen=True)
class Stage:
    """The state after a stage.

    Arguments:
        classes: the names of all classes that have arrived.
        accuracy: of networks that are trained on the memory alone, on the test rows of these classes.
        floats, bytes: size of the memory.
    """

    classes: tuple[str, ...]
    accuracy: Accuracy
    floats: int
    bytes: int


def class_incremental(
    data: Data,
    memory: Recipe,
    stages: int = 5,
    net: Architecture | None = None,
    protocol: ProtocolFor | str = fixed_steps,
    repeats: int = 5,
    seed: int = 0,
    observe: Callable[[Stage], None] = lambda stage: None,
    progress: bool = True,
) -> list[Stage]:
    """Learn the classes of a data set in stages, with a memory that a recipe fills.

    When the classes of a stage arrive, their images are condensed (or chosen) by the recipe, and the set joins the
    memory; the images are then gone. After every stage, networks are trained from scratch on the memory alone, and
    tested on all classes that have arrived.

    Arguments:
        data: its classes arrive in their order, the same number in every stage.
        memory: the recipe, whose `ipc` is the memory per class. Its seed is the same in every stage.
        stages: number of stages; it divides the number of classes.
        net: the network that is trained. None: the one in which the recipe condenses.
        protocol: how it is trained and tested.
        repeats: number of networks after every stage.
        seed: seed of their weights and of the order of rows.
        observe: called after every stage.
        progress: whether to show what is being done.

    Returns:
        A `Stage` for every stage.

    Raises:
        InputError: `stages` does not divide the number of classes, a stage would have one class, or the memory has soft
            labels.

    References:
        IDC section 5.3, KFS section 4 and figure 6: a network is trained on the memory alone. (In both papers, classes
        of CIFAR-100 arrive in five stages.)
    """
    classes = data.train.classes
    if not isinstance(stages, int) or isinstance(stages, bool) or not 0 < stages < classes or classes % stages:
        fitting = [n for n in range(1, classes // 2 + 1) if classes % n == 0]
        raise InputError(
            f"`stages={stages}` does not divide the {classes} classes of {data.name} into stages of several classes; "
            f"give one of {', '.join(map(str, fitting))}"
        )
    each, kept, found = classes // stages, [], []
    for stage in range(stages):
        part = data.of_classes(range(stage * each, (stage + 1) * each))
        kept.append(condense(memory, part.train, progress=progress))
        if kept[-1].synthetic.labels is not None:
            raise InputError("the memory would have soft labels, which know no classes of later stages; learn none")
        arrived = data.of_classes(range((stage + 1) * each))
        reached = evaluate(
            _together(kept, arrived), arrived, net or memory.net, protocol, repeats, seed, progress=progress
        )
        sizes = [sum(getattr(condensed, what) for condensed in kept) for what in ("floats", "bytes")]
        found.append(Stage(arrived.class_names, reached, *sizes))
        observe(found[-1])
    return found


@torch.no_grad()
def _together(kept: list[Condensed], arrived: Data) -> Condensed:
    """The decoded rows of the sets of all stages, as one set."""
    rows = torch.cat([condensed.synthetic().x for condensed in kept])
    synthetic = SyntheticSet.from_rows(rows, replace(kept[0].space, stored="normalized"))
    data = {**kept[0].data, "name": arrived.name, "fingerprint": arrived.train.fingerprint, "rows": len(arrived.train)}
    return replace(kept[0], synthetic=synthetic, class_names=arrived.class_names, data=data)
