"""Measure several methods under one protocol, and say by how much they differ."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch

from condensery.data import Data
from condensery.errors import InputError
from condensery.evaluation.evaluate import Accuracy, evaluate, evaluate_whole
from condensery.evaluation.protocols import ProtocolFor, dc2021
from condensery.evaluation.statistics import Difference
from condensery.networks.convnet import ConvNet
from condensery.networks.net import Architecture
from condensery.runs.condensed import Condensed

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison:
    """One row of a comparison: a method at a size, measured with one network."""

    method: str
    images: int | None
    """Stored images (or codes) per class. None: the whole real set."""
    accuracy: Accuracy
    floats: int
    bytes: int
    """What is stored, in its own number format."""
    seconds: float
    """Seconds of condensing; those of the evaluation are in `accuracy`."""
    gain: Difference | None = None
    """How much better it is than the first method of the table at the same size, with the same network. None: this is
    the first method, or the whole real set."""


def compare(
    sets: Mapping[str, Condensed | Sequence[Condensed]] | Iterable[tuple[str, Condensed | Sequence[Condensed], float]],
    data: Data,
    nets: Architecture | Sequence[Architecture] = ConvNet(),
    protocol: ProtocolFor | str = dc2021,
    repeats: int = 5,
    seed: int = 0,
    sizes: Sequence[int] = (),
    reference: bool = True,
    observe: Callable[[Comparison], None] = lambda row: None,
    dtype: torch.dtype | None = None,
    progress: bool = True,
) -> list[Comparison]:
    """Evaluate every condensed set under one protocol, then the whole real set (under the protocol `whole`).

    Arguments:
        sets: for the name of every method a condensed set, or several with different seeds, in the order of the table.
            The first is the one that others are compared with. Or tuples (name, set or sets, seconds of condensing); an
            iterator may condense the sets one by one.
        nets: one architecture or several.
        sizes: numbers of stored images per class; for each number, as many of the first images of every set are
            measured. None given: whole sets only.
        reference: whether to add a row for the whole set, which takes long for a large set.
        observe: called with every finished row.
        dtype: see `evaluate`; it applies to the reference too.
        progress: whether to show how many networks are done.

    Raises:
        InputError: `sets` is something else, a method has no sets, a set does not have one of the sizes, or `evaluate`
            refuses its arguments.
    """
    several = list(nets) if isinstance(nets, Sequence) and not isinstance(nets, str) else [nets]
    rows: list[Comparison] = []

    def add(row: Comparison) -> None:
        rows.append(row)
        observe(row)

    first: dict[tuple[int, int], Accuracy] = {}
    if isinstance(sets, Condensed) or (isinstance(sets, list) and any(isinstance(each, Condensed) for each in sets)):
        raise InputError("sets are compared by their names; give a dictionary such as {'dc': made}")
    named = ((name, given, 0.0) for name, given in sets.items()) if isinstance(sets, Mapping) else sets
    for name, given, seconds in named:
        made = _checked(name, given)
        for size in sizes or [made[0].bases_per_class]:
            parts = [condensed if size == condensed.bases_per_class else condensed.subset(size) for condensed in made]
            for i, net in enumerate(several):
                reached = evaluate(parts, data, net, protocol, repeats, seed, dtype=dtype, progress=progress)
                place = (i, size if sizes else 0)
                gain = reached.minus(first[place]) if place in first else None
                first.setdefault(place, reached)
                add(Comparison(name, size, reached, parts[0].floats, parts[0].bytes, seconds, gain))
    if reference:
        values = len(data.train) * prod(data.shape)
        for net in several:
            reached = evaluate_whole(data, net, repeats=repeats, seed=seed, dtype=dtype, progress=progress)
            add(Comparison(reached.protocol, None, reached, values, len(data.train) * data.train.bytes_per_image, 0.0))
    return rows


def _checked(name: str, given: Any) -> list[Condensed]:
    """The sets of a method.

    Raises:
        InputError: there is none, or something else is among them.
    """
    made = list(given) if isinstance(given, list | tuple) else [given]
    if not made or not all(isinstance(each, Condensed) for each in made):
        raise InputError(f"{name}: give a result of condense, run or load, or a list of these, not {given!r}")
    return made
