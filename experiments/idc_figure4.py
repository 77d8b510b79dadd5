"""IDC, figure 4: the norm of the network's gradients over its training, for real and for synthetic rows.

    python experiments/idc_figure4.py --data-dir DIR [--figures DIR]

The paper: DSA's set of CIFAR-10, as curves without numbers; the network is trained on the synthetic set with
augmentations. Here: the set of DSA for FashionMNIST at 1 image per class (idc_table10.py), and, beside the paper's
network, one that is trained on real rows, as IDC proposes. The L1 norm is that of the gradient of all weights, the mean
over classes and 3 networks; real rows are 64 of each class. Cost at `cpu` scale on 2 cores, if the set is there: 5
minutes. Cells that are in the results file are skipped.
"""

from functools import partial
from itertools import pairwise

import sets
import torch
from record import TINY, Figures, Table, few, options, parsed, program, read, smoke_run, write_figures

from condensery import ConvNet
from condensery.augment import dsa_strategy
from condensery.data import Batch, fashion_mnist
from condensery.evaluation import plots
from condensery.evaluation.training import Rows, TensorRows, Training, fit
from condensery.networks.net import build
from condensery.networks.network import Point, initial
from condensery.objectives import GradientMatching
from condensery.randomness import rng

MOMENTS, NETWORKS, REAL = (0, 10, 30, 100, 300, 1000), 3, 64


def norm(point: Point, rows: Batch) -> float:
    """The L1 norm of the gradient of a class's rows, the mean over classes."""
    gradients = GradientMatching().statistic(point, rows)
    return float(torch.cat([part.flatten(1) for part in gradients], 1).abs().sum(1).mean())


def drawn(table: Table) -> Figures:
    """A curve for each pair of training rows and rows of the gradient."""
    lines: dict[str, dict[int, list[float]]] = {}
    for row in table.rows():
        for kind in ("real", "synthetic"):
            name = f"trained on {row['trained_on']}, gradient of {kind} rows"
            lines.setdefault(name, {}).setdefault(row["step"] + 1, []).append(row[kind])
    return {"idc-figure-4": plots.plot_curves(lines, "training steps + 1", "L1 norm of the gradient", log=True)}


def main() -> None:
    given = parsed(options(__doc__, figures=True), papers=True)
    table = Table("idc_figure4", "IDC, figure 4: FashionMNIST, 1 image per class; L1 norm of gradients in training")
    data = read(fashion_mnist, given.data_dir)
    made = sets.made(data, "FashionMNIST", 1, "dsa")
    synthetic = made.condensed.synthetic().detach()
    real = data.train.sample(REAL, range(data.train.classes), partial(rng, 0, "figure 4"))
    network = build(TINY if smoke_run() else ConvNet(), data.shape, data.train.classes).to(data.train.device)
    moments = (0, few(10)) if smoke_run() else MOMENTS
    on: dict[str, Rows] = {"synthetic rows": TensorRows(synthetic), "real rows": data.train}
    for name, rows in on.items():
        for n in range(few(NETWORKS)):
            if all(table.has(trained_on=name, network=n, step=step) for step in moments):
                continue
            point = initial(network, rng(0, "figure 4", n))
            for before, step in pairwise((0, *moments)):
                key, augment = ("figure 4", n, step), dsa_strategy(data.facts)
                point = fit(point, rows, Training(0.01, batch_size=256), step - before, 0, key, augment)
                if not table.has(trained_on=name, network=n, step=step):
                    values = {"real": norm(point, real), "synthetic": norm(point, synthetic)}
                    about = {"trained_on": name, "network": n, "step": step}
                    table.note(data, values, made.condensed.recipe, **about)
    if given.figures:
        write_figures(drawn(table), given.figures)


if __name__ == "__main__":
    program(main)
