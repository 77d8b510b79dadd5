"""KFS, figures 2 and 9: accuracy over the budget of the evaluation, in training steps and in seconds.

    python experiments/kfs_figure2.py --data-dir DIR [--figures DIR]

The paper: SVHN and CIFAR-10, as curves without numbers. Here FashionMNIST at 1 image per class, with the sets of
idc_table10.py. A budget in steps is `kfs2022` of that length (batches of at most 256 rows), a budget in seconds is
`fixed-seconds` on this machine (batches of at most 64). Cost at `cpu` scale on 2 cores, if the sets are there: 2
hours, most of it the longest budgets. 1 set x 3 networks. Cells that are in the results file are skipped.
"""

from operator import itemgetter

from grid import Cell, fill
from record import Figures, Table, program

from condensery.evaluation import plots

METHODS = ("random", "dsa", "dm", "idc", "kfs")
BUDGETS = {"steps": (100, 200, 500, 1000, 2000), "seconds": (5, 15, 45, 120)}
PROTOCOLS = {"steps": "kfs2022", "seconds": "fixed-seconds"}
ABOUT = "KFS, figures 2 and 9: FashionMNIST, 1 image per class; accuracy over the budget of the evaluation"
CELLS = [
    Cell("FashionMNIST", 1, method, f"{PROTOCOLS[unit]}, {budget} {unit}", repeats=3,
         more={"budget": budget, "unit": unit})
    for unit, budgets in BUDGETS.items() for budget in budgets for method in METHODS
]  # fmt: skip


def drawn(table: Table) -> Figures:
    """A plot for each unit of the budget, with a curve for each method."""
    pictures = {}
    for unit in BUDGETS:
        lines = table.curves(itemgetter("method"), "budget", unit=unit)
        pictures[f"kfs-figure-2-{unit}"] = plots.plot_curves(lines, unit, "accuracy %", log=True, scale=100)
    return pictures


if __name__ == "__main__":
    program(lambda: fill("kfs_figure2", ABOUT, CELLS, __doc__, draw=drawn))
