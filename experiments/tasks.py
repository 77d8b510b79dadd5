"""Task-incremental learning: data sets one after another, DC's figure 4 at CPU scale.

    python experiments/tasks.py --data-dir DIR [--memory random kfs ...] [--orders digits clothes] [--figures DIR]

The paper: SVHN, MNIST, USPS as 32 x 32 RGB, 10 images per class in the memory, with and without distillation (weight
1.0, temperature 2), 5000 and 500 iterations, mean accuracy over the tasks so far, 2000 test rows each. Here `digits` is
`svhn-train-subset` (864 training and 219 test rows), MNIST, USPS; `clothes` is MNIST, USPS, FashionMNIST, because that
subset is small. 500 and 50 iterations of 64 rows, ConvNet-3 of width 32, 5 networks. Cost at `cpu` scale on 2 cores: 10
to 20 minutes for each line. Sets are kept in `runs/tasks`; rows that are in the results file are skipped.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import sets
import torch
from record import Figures, Table, few, kept, options, parsed, program, read, small, smoke_run, write_figures

from condensery import ConvNet
from condensery.applications import Distillation, task_incremental
from condensery.data import Data, TestSet
from condensery.evaluation import plots
from condensery.evaluation.training import Training
from condensery.randomness import rng

ORDERS = {"digits": ("svhn-train-subset", "MNIST", "USPS"), "clothes": ("MNIST", "USPS", "FashionMNIST")}
MEMORIES, IPC, REPEATS, NET = ("random", "herding", "dm", "idc", "kfs"), 10, 5, ConvNet(width=32)
HOW, STEPS = Training(0.01, 0.9, 5e-4, 64), (500, 50)
ABOUT = "Task-incremental learning, 10 images per class in the memory; ConvNet-3, width 32; mean test accuracy"


def fewer(data: Data, count: int = 2000) -> Data:
    """The data with at most `count` random test rows, so that data sets of many rows are measured on as many."""
    test, labels = data.test, data.test.labels
    chosen = torch.randperm(len(labels), generator=rng(0, "test rows"))[:count].sort().values
    return replace(data, test=TestSet(test.images[chosen], labels[chosen], test.space, test.dtype, test.device))


def task(name: str, folder: Path | None) -> Data:
    """A data set as a task: 32 x 32 pixels, three channels, at most 2000 test rows."""
    return fewer(read(sets.READERS[name], folder).resized(8 if smoke_run() else 32, 3))


def drawn(table: Table) -> Figures:
    """Accuracy over the number of tasks so far, a plot for each order."""

    def name(row: dict[str, Any]) -> str:
        return f"{row['memory']}{', distilled' if row['distilled'] else ''}"

    pictures = {}
    for order in ORDERS:
        if lines := table.curves(name, "tasks", order=order):
            pictures[f"tasks-{order}"] = plots.plot_curves(lines, "tasks so far", "mean accuracy %", scale=100)
    return pictures


def main() -> None:
    parser = options(__doc__, figures=True)
    parser.add_argument("--memory", nargs="+", choices=MEMORIES, default=MEMORIES, help="only these memories")
    parser.add_argument("--orders", nargs="+", choices=list(ORDERS), default=list(ORDERS), help="only these orders")
    given = parsed(parser, memory=["random"], orders=["digits"])
    table = Table("tasks", ABOUT)
    for order in given.orders:
        tasks = list[Data]()
        for memory in given.memory:
            for distilled in (False, True):
                if not table.has(order=order, memory=memory, distilled=distilled):
                    tasks = tasks or [task(name, given.data_dir) for name in ORDERS[order]]
                    measure(table, order, memory, distilled, tasks)
    if given.figures:
        write_figures(drawn(table), given.figures)


def measure(table: Table, order: str, memory: str, distilled: bool, tasks: list[Data]) -> None:
    recipe = small(sets.recipe_of("MNIST", 1, memory).having(ipc=IPC, net=NET))
    made = [kept(recipe, each, table.runs / f"{each.name}-{memory}") for each in tasks]  # once for all lines
    stages = task_incremental(
        tasks, [each.condensed for each in made], recipe.net, Distillation() if distilled else None, HOW,
        (few(STEPS[0]), few(STEPS[1])), few(REPEATS), progress=False,
    )  # fmt: skip
    for count, stage in enumerate(stages, 1):  # all or none
        last = made[count - 1]
        table.add(
            tasks[count - 1], stage.accuracy, recipe.record(), last.seconds, last.commit, last.processor, order=order,
            memory=memory, distilled=distilled, tasks=count, floats=stage.floats, bytes=stage.bytes,
        )  # fmt: skip


if __name__ == "__main__":
    program(main)
