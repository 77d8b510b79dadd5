"""Accuracy over the bytes of a set: real images and learned sets, in four bytes per number and in one.

    python experiments/bytes.py --data-dir DIR [--data digits FashionMNIST] [--methods random kfs] [--figures DIR]

A real image takes a byte per value. A learned number takes four bytes, or one where the name of the method has
"+compact". On images larger than the digits, KFS and IDC learn in bfloat16, DM in float32.
Every method gets the largest set that fits into the budget; where a budget does not hold one image or code per class,
the cell is left out. One protocol, `fixed-steps`, which trains for as long at every size; ConvNet-3 of width 64, in
which sets of images larger than the digits are learned, too, and which is then trained in bfloat16.

Cost at `cpu` scale on 2 cores: 1 to 5 minutes for a cell of the digits, 5 to 30 for one of larger images.
1 set x 3 networks; 3 sets of random images. Cells that are in the results file are skipped.
"""

from dataclasses import replace
from operator import itemgetter
from pathlib import Path

import sets
import torch
from grid import at_hand
from record import Figures, Table, evaluate, few, options, parsed, program, small, smoke_run, stored, write_figures

from condensery import DM, IDC, KFS, Compact, ConvNet, Herding, InputError, Random, Recipe, Unrolled
from condensery.evaluation import plots
from condensery.evaluation.protocols import fixed_steps

HALF, NET = {"real_dtype": "bfloat16"}, ConvNet(width=64)
METHODS: dict[str, tuple[Recipe, Recipe]] = {
    "random": (Random(), Random()),
    "herding": (Herding(feature_epochs=2), Herding(feature_epochs=2)),
    "dm": (DM.digits(), DM.quick()),
    "idc": (IDC.digits(), IDC.quick().having(**HALF, network_dtype="bfloat16")),
    "kfs": (KFS.digits(), KFS.quick().having(**HALF, synthetic_dtype="bfloat16")),
}
METHODS |= {f"{name}+compact": (Compact(METHODS[name][0]), Compact(METHODS[name][1])) for name in ("dm", "idc", "kfs")}
METHODS |= {
    f"{name}+unrolled": (
        Unrolled.quick(METHODS[name][0]), replace(Unrolled.quick(METHODS[name][1]), unrolled_dtype="bfloat16")
    )
    for name in ("kfs", "kfs+compact")
}  # fmt: skip
"""Recipes for the digits, and for larger images."""
BUDGETS = {
    "digits": (768, 1408, 2688, 5248, 10368),
    "FashionMNIST": (8000, 32000),
    "cifar10-jpeg": (32000, 124000),
}
"""1 to 16 real images per class of the digits, 1 and 4 of the others, and bytes for scales: 4 real images take as much
as one learned image in float32."""
ABOUT = "Accuracy over the bytes of a set: ConvNet-3, width 64; test accuracy"


def measure(table: Table, dataset: str, method: str, budget: int, folder: Path | None) -> None:
    """Condense and measure a cell that the table does not contain."""
    cell = {"dataset": dataset, "method": method, "budget": budget}
    if table.has(**cell) or (data := at_hand(dataset, folder)) is None:
        return
    recipe = METHODS[method][dataset != "digits"]
    if dataset != "digits":
        recipe = recipe.having(net=NET)
    try:
        recipe = small(recipe).within(budget, data.train)
        recipe.algorithm(data.train)  # refuses what it cannot learn
    except InputError as error:
        print(f"{cell}: left out ({error})", flush=True)
        return
    seeds = range(few(3) if method == "random" else 1)
    made = [stored(f"{dataset}-{budget}-bytes-{method}-{n}", recipe.having(seed=n), data) for n in seeds]
    found = [kept.condensed for kept in made]
    dtype = None if dataset == "digits" else torch.bfloat16
    reached = evaluate(found, data, NET, fixed_steps, 1 if len(found) > 1 else 3, dtype)
    table.add(
        data, reached, recipe.record(), made[0].seconds, made[0].commit, made[0].processor, **cell,
        bytes=found[0].bytes, floats=found[0].floats, per_class=found[0].bases_per_class,
    )  # fmt: skip


def drawn(table: Table) -> Figures:
    """A plot for each data set, with a curve for each method."""
    pictures = {}
    for dataset in BUDGETS:
        found = table.curves(itemgetter("method"), "bytes", dataset=dataset)
        if lines := {method: found[method] for method in METHODS if method in found}:
            pictures[f"bytes-{dataset}"] = plots.plot_curves(lines, "bytes", "accuracy %", log=True, scale=100)
    return pictures


def main() -> None:
    parser = options(__doc__, figures=True)
    parser.add_argument("--data", nargs="+", choices=list(BUDGETS), default=list(BUDGETS), help="only these data sets")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS), help="only these methods")
    given = parsed(parser, data=["digits"], methods=["random", "dm", "kfs+compact"])
    assert set(BUDGETS) <= set(sets.READERS)
    table = Table("bytes", ABOUT)
    for dataset in given.data:
        for budget in BUDGETS[dataset][-1:] if smoke_run() else BUDGETS[dataset]:
            for method in given.methods:
                measure(table, dataset, method, budget, given.data_dir)
    if given.figures:
        write_figures(drawn(table), given.figures)


if __name__ == "__main__":
    program(main)
