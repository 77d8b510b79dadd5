"""DC, figure F6: the number K of restarts and T of matching steps between them, at 10 images per class on MNIST.

    python experiments/dc_figure6.py --data-dir DIR [--figures DIR]

The paper shows curves without numbers, and concludes that K = 1000 and T = 10 suit all data sets. Here, K is varied at
T = 10 and T at K = 20, with the other settings of table 1 at 10 images (sets.py). Cost at `cpu` scale on 2 cores: 1270
matching steps take hours, because the networks are trained for 50 epochs between them, and 7 cells half an hour to
measure. 1 set x 3 networks. Cells that are in the results file are skipped.
"""

from grid import Cell, fill, having
from record import Figures, Table, program

from condensery.evaluation import plots

RESTARTS, STEPS = (5, 10, 20, 40), (1, 5, 10, 20)
ABOUT = "DC, figure F6: MNIST, 10 images per class, K restarts of T matching steps"
CELLS = [
    Cell("MNIST", 10, "dc", "dc2021", recipe=having(outer_steps=k, inner_steps=t), variant=f"K {k} T {t}", repeats=3,
         more={"K": k, "T": t})
    for k, t in dict.fromkeys([*((k, 10) for k in RESTARTS), *((20, t) for t in STEPS)])
]  # fmt: skip


def drawn(table: Table) -> Figures:
    """The curves over K at T = 10, and over T at K = 20."""
    rows = {(row["K"], row["T"]): row for row in table.rows()}
    curves = {
        "K, at T = 10": {k: rows[k, 10]["runs"] for k in RESTARTS if (k, 10) in rows},
        "T, at K = 20": {t: rows[20, t]["runs"] for t in STEPS if (20, t) in rows},
    }
    return {"dc-figure-6": plots.plot_curves(curves, "K or T", "accuracy %", log=True, scale=100)}


if __name__ == "__main__":
    program(lambda: fill("dc_figure6", ABOUT, CELLS, __doc__, draw=drawn))
