"""IDC, figure 5: condensing in one network that was trained for some epochs, and the gradients of that network.

    python experiments/idc_figure5.py [--figures DIR]      # digits; about 20 minutes on 2 CPU cores

The paper: ImageNet-10, as curves without numbers; networks of about 10 epochs are best. Here: the digits at 1 image
per class, `idc:digits` in which every restart takes the same network, trained for some epochs on all real rows and not
trained further. The table has the accuracy (1 set x 3 networks under `idc2022`), the L1 norm of the gradient of 64 real
rows of a class, and the mean cosine between the gradients of two single rows of a class. Cells that are in the results
file are skipped.
"""

from functools import partial
from itertools import combinations

import torch
from record import Figures, Table, condensed, evaluate, few, options, parsed, program, read, small, write_figures
from torch.nn import functional as F

from condensery.algorithms.matching import Matching
from condensery.data import Batch, Data, digits
from condensery.evaluation import plots
from condensery.evaluation.protocols import idc2022
from condensery.networks.network import Point
from condensery.objectives import GradientMatching, convolutions
from condensery.randomness import rng
from condensery.recipes import IDC

EPOCHS, ROWS, SINGLE = (0, 1, 3, 10, 30, 100), 64, 8


def trained(recipe: IDC, data: Data) -> Point:
    """The network in which a recipe condenses."""
    matching = recipe.algorithm(data.train)
    assert isinstance(matching, Matching)
    return matching.schedule.start(0, data.train)


def norm(point: Point, rows: Batch) -> float:
    """The L1 norm of the gradient of a class's rows in the convolutions, the mean over classes."""
    return float(_gradients(point, rows).abs().sum(1).mean())


def likeness(point: Point, rows: Batch) -> float:
    """The mean cosine between the gradients of two single rows of a class."""
    single = [_gradients(point, rows.rows(slice(i, i + 1))) for i in range(rows.y.shape[1])]
    return float(torch.stack([F.cosine_similarity(a, b) for a, b in combinations(single, 2)]).mean())


def _gradients(point: Point, rows: Batch) -> torch.Tensor:
    return torch.cat([part.flatten(1) for part in GradientMatching(match=convolutions).statistic(point, rows)], 1)


def drawn(table: Table) -> Figures:
    """The accuracy, the norm and the cosine over the epochs, each in a plot."""
    rows = {row["epochs"] + 1: row for row in table.rows()}
    kinds = {
        "": (100.0, "accuracy %", {place: row["runs"] for place, row in rows.items()}),
        "-norm": (1.0, "L1 norm of a class's gradient", {place: [row["norm"]] for place, row in rows.items()}),
        "-cosine": (1.0, "cosine of two rows' gradients", {place: [row["cosine"]] for place, row in rows.items()}),
    }
    return {
        f"idc-figure-5{kind}": plots.plot_curves({"one network": line}, "epochs + 1", label, log=True, scale=scale)
        for kind, (scale, label, line) in kinds.items()
    }


def main() -> None:
    given = parsed(options(__doc__, data=False, figures=True))
    table = Table("idc_figure5", "IDC, figure 5: digits, 1 image per class, condensed in one trained network")
    data = read(lambda folder: digits(), None)
    rows = data.train.sample(ROWS, range(data.train.classes), partial(rng, 0, "figure 5"))
    for epochs in EPOCHS[: few(len(EPOCHS))]:
        if table.has(epochs=epochs):
            continue
        recipe = IDC.digits().having(early_epochs=epochs, pool=1, network_rows=0)
        made, seconds = condensed(recipe, data)
        reached = evaluate(made, data, protocol=idc2022, repeats=3)
        point = trained(small(recipe), data)
        table.add(
            data, reached, made.recipe, seconds, epochs=epochs, norm=norm(point, rows),
            cosine=likeness(point, rows.rows(slice(few(SINGLE)))),
        )  # fmt: skip
    if given.figures:
        write_figures(drawn(table), given.figures)


if __name__ == "__main__":
    program(main)
