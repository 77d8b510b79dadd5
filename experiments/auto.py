"""Whether `auto` chooses well: its set against the set of every candidate, in the same minutes and bytes.

    python experiments/auto.py --data-dir DIR [--data USPS MNIST] [--minutes 3]

The data are not among those of `experiments/bytes.py`, from which `auto` knows what usually does well, and sets have
the bytes of 4 real images per class. `auto` spends a part of its minutes on a trial, and the rest on the set; each
candidate alone spends all of them on its set, and takes as many steps as fit by its plan, but at most 4 times as many
as its preset. All are planned before, so that none of them spends its minutes on compiling.
1 set x 3 networks of width 64, trained in bfloat16 under `fixed-steps`; the test part. Minutes depend on the machine:
run nothing beside it. Cost at `cpu` scale on 2 cores: half an hour for a data set. Cells that are in the results file
are skipped.
"""

import math
import time
from contextlib import suppress
from typing import Any

import sets
import torch
from grid import at_hand
from record import Table, compiled, evaluate, options, parsed, program, small, smoke_run

import condensery as cd
from condensery import ConvNet, InputError, Recipe
from condensery.data import Data
from condensery.evaluation.protocols import fixed_steps
from condensery.runs.auto import REAL, auto, candidates, fitted
from condensery.runs.planning import plan

NET = ConvNet(width=64)
DATA = ("MNIST", "USPS", "svhn-train-subset", "imagenette-128-subset-32")
IMAGES = 4
SCALES = 128  # bytes, which hold the scales of every learned set here
ABOUT = "The choice of `auto` against every candidate, in equal minutes and bytes: ConvNet-3, width 64; test accuracy"


def alone(recipe: Recipe, data: Data, bytes: int, minutes: float) -> Recipe:
    """The recipe with as many steps as the minutes hold."""
    recipe = small(recipe.within(bytes, data.train))
    if recipe.name in REAL or smoke_run():
        return recipe
    start = time.perf_counter()
    planned = plan(recipe, data.train, progress=False)
    return fitted(recipe, planned, 60 * minutes - (time.perf_counter() - start))


def measure(table: Table, dataset: str, data: Data, minutes: float) -> None:
    """Fill in the rows of a data set that the table does not contain."""
    bytes = data.train.classes * IMAGES * math.prod(data.shape) + SCALES
    names = list(candidates(data.shape))
    cells: list[dict[str, Any]] = [
        {"dataset": dataset, "method": name, "minutes": minutes}
        for name in (names[:1] if smoke_run() else ["auto", *names])  # the trial of `auto` takes a minute on any data
    ]
    if all(table.has(**cell) for cell in cells):
        return
    for recipe in candidates(data.shape).values():  # what is compiled now is not compiled in the minutes
        with compiled(), suppress(InputError):
            alone(recipe, data, bytes, minutes)
    for cell in cells:
        if table.has(**cell):
            continue
        name = cell["method"]
        start, chosen = time.perf_counter(), None
        try:
            with compiled():
                if name == "auto":
                    choice = auto(data, bytes, minutes)
                    chosen, recipe = choice.name, choice.recipe
                else:
                    recipe = alone(candidates(data.shape)[name], data, bytes, minutes)
                made = cd.condense(recipe, data.train, progress=False)
        except InputError as error:
            print(f"{cell}: left out ({error})", flush=True)
            continue
        seconds = time.perf_counter() - start
        reached = evaluate(made, data, NET, fixed_steps, 3, torch.bfloat16)
        table.add(data, reached, made.recipe, seconds, **cell, chosen=chosen, bytes=made.bytes, budget=bytes)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--data", nargs="+", choices=DATA, default=DATA, help="only these data sets")
    parser.add_argument("--minutes", type=float, default=3.0, help="minutes for every set (default: 3)")
    given = parsed(parser, data=["USPS"], minutes=0.05)
    assert set(DATA) <= set(sets.READERS)
    table = Table("auto", ABOUT)
    for dataset in given.data:
        if (data := at_hand(dataset, given.data_dir)) is not None:
            measure(table, dataset, data, given.minutes)


if __name__ == "__main__":
    program(main)
