"""Class-incremental learning: five stages of two classes each, from the memory alone.

    python experiments/continual.py --data-dir DIR [--data FashionMNIST] [--memory random kfs+compact] [--figures DIR]

DC, IDC and KFS measure CIFAR-100 in stages of 20 classes with 20 images each; here FashionMNIST and `cifar10-jpeg`, 10
images per class, ConvNet-3 of width 64, `fixed-steps`. Every recipe condenses the classes of a stage when they arrive,
and never sees them again.

The table `values` has memories of equally many values, one for each recipe, and 5 networks after every stage. The table
`bytes` has memories of about equally many bytes (a value of a real image takes one, and so does a learned one with
`+compact`), in 5 runs, each with a memory of its own and one network after every stage. There, everything is in
bfloat16. Cost at `cpu` scale on 2 cores: a quarter of an hour for a learned memory. Rows that are in the results file
are skipped; memories are kept in `runs/continual`, for each commit.
"""

from itertools import product
from operator import itemgetter
from pathlib import Path

import sets
import torch
from grid import at_hand
from record import Figures, Table, brief, few, options, parsed, program, small, smoke_run, write_figures

from condensery import Compact, ConvNet, Recipe
from condensery.applications import Stage, class_incremental
from condensery.data import Data
from condensery.evaluation import plots
from condensery.evaluation.protocols import fixed_steps
from condensery.runs.session import seconds_of

DATASETS = ("FashionMNIST", "cifar10-jpeg")
TABLES = {
    "values": ("random", "herding", "dm", "idc", "kfs"),
    "bytes": ("random", "herding", "dm+compact", "kfs+compact"),
}
MEMORIES = list(dict.fromkeys(memory for table in TABLES.values() for memory in table))
IPC, STAGES, REPEATS, RUNS, NET = 10, 5, 5, 5, ConvNet(width=64)
ABOUT = "Class-incremental learning from the memory alone, 10 images per class; ConvNet-3, width 64; test accuracy"


def recipe_of(dataset: str, memory: str, seed: int = 0, half: bool = False) -> Recipe:
    """The quick preset of a method, with 10 images per class (the fields of single images, not those of tables)."""
    method, _, added = memory.partition("+")
    fields = {"synthetic_dtype": "bfloat16"} if half and method in ("dm", "kfs") else {}
    recipe = sets.recipe_of(dataset, 1, method).having(ipc=IPC, net=NET, seed=seed, **fields)
    return small(Compact(recipe) if added else recipe)


def stages_with(data: Data, dataset: str, memory: str, part: str, runs: Path) -> list[Stage]:
    """The stages with a memory: of five networks, or of five runs."""
    protocol, count = brief(fixed_steps), 1 if smoke_run() else STAGES
    if part == "values":
        recipe, folder = recipe_of(dataset, memory), runs / "0"
        return class_incremental(data, recipe, count, recipe.net, protocol, few(REPEATS), folder=folder, progress=False)
    found = []
    for seed in range(few(RUNS)):
        recipe, folder = recipe_of(dataset, memory, seed, half=True), runs / str(seed)
        found.append(
            class_incremental(
                data, recipe, count, recipe.net, protocol, 1, seed, folder=folder, dtype=torch.bfloat16, progress=False
            )
        )
        print(dataset, memory, seed, *(stage.accuracy for stage in found[-1]), flush=True)
    return Stage.of_sets(found)


def measure(table: Table, data: Data, dataset: str, memory: str, part: str) -> None:
    runs = table.runs / table.commit[:7] / f"{part}-{dataset}-{memory}"
    stages = stages_with(data, dataset, memory, part, runs)
    spent = sum(seconds_of(folder) for folder in (runs / "0").iterdir())  # of the first memory
    for stage in stages:  # all or none
        table.add(
            data, stage.accuracy, recipe_of(dataset, memory, half=part == "bytes").record(), spent, table=part,
            dataset=dataset, memory=memory, classes=len(stage.classes), floats=stage.floats, bytes=stage.bytes,
        )  # fmt: skip


def drawn(table: Table) -> Figures:
    """Accuracy over the number of classes so far, a plot for each table and data set."""
    pictures = {}
    for part, dataset in product(TABLES, DATASETS):
        if lines := table.curves(itemgetter("memory"), "classes", table=part, dataset=dataset):
            curves = plots.plot_curves(lines, "classes so far", "accuracy %", scale=100)
            pictures[f"continual-{part}-{dataset}"] = curves
    return pictures


def main() -> None:
    parser = options(__doc__, figures=True)
    parser.add_argument("--data", nargs="+", choices=DATASETS, default=DATASETS, help="only these data sets")
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES), help="only these tables")
    parser.add_argument("--memory", nargs="+", choices=MEMORIES, default=MEMORIES, help="only these memories")
    given = parsed(parser, data=DATASETS[:1], memory=["random", "kfs", "kfs+compact"])
    table = Table("continual", ABOUT)
    for dataset, part in product(given.data, given.tables):
        for memory in TABLES[part]:
            if memory not in given.memory or table.has(table=part, dataset=dataset, memory=memory):
                continue
            if (data := at_hand(dataset, given.data_dir)) is not None:
                measure(table, data, dataset, memory, part)
    if given.figures:
        write_figures(drawn(table), given.figures)


if __name__ == "__main__":
    program(main)
