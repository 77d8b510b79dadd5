"""Class-incremental learning: five stages of two classes each, from the memory alone.

    python experiments/continual.py --data-dir DIR [--data FashionMNIST] [--memory random kfs] [--figures DIR]

DC, IDC and KFS measure CIFAR-100 in stages of 20 classes with 20 images each; here FashionMNIST and `cifar10-jpeg`, 10
images per class, ConvNet-3 of width 64, 5 networks after every stage, `fixed-steps`. Every recipe condenses the classes
of a stage when they arrive, and never sees them again. Cost at `cpu` scale on 2 cores: a quarter of an hour for a
learned memory. Rows that are in the results file are skipped.
"""

import time

import sets
from grid import at_hand
from record import Figures, Table, brief, few, options, parsed, program, small, smoke_run, write_figures

from condensery import ConvNet, Recipe
from condensery.applications import class_incremental
from condensery.data import Data
from condensery.evaluation import plots
from condensery.evaluation.protocols import fixed_steps

EQUAL = ("random, in equal bytes", "herding, in equal bytes")  # a value of a real image takes one byte, not four
DATASETS, MEMORIES = ("FashionMNIST", "cifar10-jpeg"), ("random", "herding", "dm", "idc", "kfs", *EQUAL)
IPC, STAGES, REPEATS, NET = 10, 5, 5, ConvNet(width=64)
ABOUT = "Class-incremental learning from the memory alone, 10 images per class; ConvNet-3, width 64; test accuracy"


def recipe_of(dataset: str, memory: str) -> Recipe:
    """The quick preset of a method, with 10 images per class (the fields of single images, not those of tables)."""
    method, _, equal = memory.partition(", ")
    return small(sets.recipe_of(dataset, 1, method).having(ipc=4 * IPC if equal else IPC, net=NET))


def measure(table: Table, data: Data, dataset: str, memory: str) -> None:
    recipe, start = recipe_of(dataset, memory), time.perf_counter()
    stages = class_incremental(
        data, recipe, 1 if smoke_run() else STAGES, recipe.net, brief(fixed_steps), few(REPEATS), progress=False
    )
    spent = time.perf_counter() - start - sum(stage.accuracy.seconds for stage in stages)
    for stage in stages:  # all or none
        table.add(
            data, stage.accuracy, recipe.record(), spent, dataset=dataset, memory=memory, classes=len(stage.classes),
            floats=stage.floats, bytes=stage.bytes,
        )  # fmt: skip


def drawn(table: Table) -> Figures:
    """Accuracy over the number of classes so far, a plot for each data set."""
    pictures = {}
    for dataset in DATASETS:
        lines: dict[str, dict[int, list[float]]] = {}
        for row in table.rows():
            if row["dataset"] == dataset:
                lines.setdefault(row["memory"], {})[row["classes"]] = row["runs"]
        if lines:
            pictures[f"continual-{dataset}"] = plots.plot_curves(lines, "classes so far", "accuracy %", scale=100)
    return pictures


def main() -> None:
    parser = options(__doc__, figures=True)
    parser.add_argument("--data", nargs="+", choices=DATASETS, default=DATASETS, help="only these data sets")
    parser.add_argument("--memory", nargs="+", choices=MEMORIES, default=MEMORIES, help="only these memories")
    given = parsed(parser, data=DATASETS[:1], memory=["random", "kfs"])
    table = Table("continual", ABOUT)
    for dataset in given.data:
        for memory in given.memory:
            if table.has(dataset=dataset, memory=memory) or (data := at_hand(dataset, given.data_dir)) is None:
                continue
            measure(table, data, dataset, memory)
    if given.figures:
        write_figures(drawn(table), given.figures)


if __name__ == "__main__":
    program(main)
