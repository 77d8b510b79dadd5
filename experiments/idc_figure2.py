"""IDC, figure 2: the matching loss of a set over the number of its rows and over their resolution.

    python experiments/idc_figure2.py --data-dir DIR [--figures DIR]

The paper: CIFAR-10, as a curve and a heat map without numbers. Here: FashionMNIST, sets of DSA with 1, 4, 16 and 64
images per class, 200 steps each in a new random network. The learned rows are shrunk to 28, 14 and 7 pixels and
enlarged again, and their loss (the layer-wise cosine of DC) against 256 real rows of each class is measured in 5
random networks. Cost at `cpu` scale on 2 cores: 4 to 12 minutes to condense a set, 40 in all, and a minute to
measure. Cells that are in the results file are skipped.
"""

from functools import partial
from statistics import fmean

import sets
from grid import having
from record import TINY, Figures, Table, few, options, parsed, program, read, smoke_run, write_figures
from torch import Tensor
from torch.nn import functional as F

from condensery import ConvNet
from condensery.data import Batch, Data, fashion_mnist
from condensery.evaluation import plots
from condensery.networks.net import build
from condensery.networks.network import initial
from condensery.objectives import GradientMatching
from condensery.randomness import rng

ROWS, SIDES, NETWORKS, REAL = (1, 4, 16, 64), (28, 14, 7), 5, 256


def resized(x: Tensor, side: int) -> Tensor:
    """Rows (C, n, channels, height, width), shrunk to a side by averaging, and enlarged again."""
    if side == x.shape[-1]:
        return x
    less = F.interpolate(x.flatten(0, 1), (side, side), mode="area")
    return F.interpolate(less, x.shape[-2:], mode="bilinear").reshape(x.shape)


def loss(data: Data, rows: Batch, network: int) -> float:
    """The matching loss of rows in a random network, the mean over classes."""
    matching = GradientMatching()
    net = build(TINY if smoke_run() else ConvNet(), data.shape, data.train.classes).to(data.train.device)
    point = initial(net, rng(0, "figure 2", network))
    real = data.train.sample(few(REAL), range(data.train.classes), partial(rng, 0, "figure 2"))
    return float(matching.loss(point, rows, matching.target(point, real)).mean())


def drawn(table: Table) -> Figures:
    """The curve over the number of rows, and the heat map."""
    found = {(row["side"], row["rows"]): row["loss"] for row in table.rows()}
    whole = max(side for side, _ in found)
    line = {rows: [value] for (side, rows), value in found.items() if side == whole}
    return {
        "idc-figure-2-rows": plots.plot_curves({"DSA": line}, "images per class", "matching loss", log=True),
        "idc-figure-2": plots.plot_heat_map(found, "pixels on a side", "images per class", "matching loss"),
    }


def main() -> None:
    given = parsed(options(__doc__, figures=True), papers=True)
    table = Table("idc_figure2", "IDC, figure 2: FashionMNIST, sets of DSA; matching loss, mean over classes")
    data = read(fashion_mnist, given.data_dir)
    sides = [side for side in SIDES if side <= data.shape[-1]]
    for n in ROWS[: few(len(ROWS))]:
        if all(table.has(rows=n, side=side) for side in sides):
            continue
        fresh = having(outer_steps=200, inner_steps=1)
        made = sets.made(data, "FashionMNIST", n, "dsa", change=fresh, variant="fresh networks")
        rows = made.condensed.synthetic().detach()
        for side in sides:
            if not table.has(rows=n, side=side):
                less = rows.map(partial(resized, side=side))
                value = fmean(loss(data, less, network) for network in range(few(NETWORKS)))
                table.note(data, {"loss": value}, made.condensed.recipe, rows=n, side=side)
    if given.figures:
        write_figures(drawn(table), given.figures)


if __name__ == "__main__":
    program(main)
