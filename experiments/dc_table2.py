"""DC, table 2: MNIST condensed in a ConvNet to 1 image per class, and measured in six architectures, under `dc2021`.

    python experiments/dc_table2.py --data-dir DIR

Cost at `cpu` scale on 2 cores: 5 minutes to condense, and an hour to measure, most of it ResNet-18. Cells that are
in the results file are skipped.

The paper: 5 sets x 20 networks. Here: 1 set x 5 networks, and 10 AlexNets, of which some do not learn; to find out
whether that comes from the set, as many are trained on one that was condensed from noise, as in the paper. Sets are
condensed in the other five at `gpu` scale only.
"""

from typing import Any

from grid import Cell, fill, having
from record import program

NETS = ("mlp", "convnet", "lenet", "alexnet", "vgg11", "resnet18")
PAPER = {  # a line for each network in which the set is condensed, a column for each that is trained on it
    "mlp": ("70.5 ± 1.2", "63.9 ± 6.5", "77.3 ± 5.8", "70.9 ± 11.6", "53.2 ± 7.0", "80.9 ± 3.6"),
    "convnet": ("69.6 ± 1.6", "91.7 ± 0.5", "85.3 ± 1.8", "85.1 ± 3.0", "83.4 ± 1.8", "90.0 ± 0.8"),
    "lenet": ("71.0 ± 1.6", "90.3 ± 1.2", "85.0 ± 1.7", "84.7 ± 2.4", "80.3 ± 2.7", "89.0 ± 0.8"),
    "alexnet": ("72.1 ± 1.7", "87.5 ± 1.6", "84.0 ± 2.8", "82.7 ± 2.9", "81.2 ± 3.0", "88.9 ± 1.1"),
    "vgg11": ("70.3 ± 1.6", "90.1 ± 0.7", "83.9 ± 2.7", "83.4 ± 3.7", "81.7 ± 2.6", "89.1 ± 0.9"),
    "resnet18": ("73.6 ± 1.2", "91.6 ± 0.5", "86.4 ± 1.5", "85.4 ± 1.9", "83.4 ± 2.4", "89.4 ± 0.9"),
}
ABOUT = "DC, table 2: MNIST, 1 image per class, condensed in ConvNet-3; test accuracy"


def cell(net: str, where: str, paper: str | None, **more: Any) -> Cell:
    return Cell("MNIST", 1, "dc", "dc2021", net=net, paper=paper, label=where, **more)


CELLS = [
    cell(net, "convnet", figure, repeats=10 if net == "alexnet" else 5)
    for net, figure in zip(NETS, PAPER["convnet"], strict=True)
] + [
    cell("alexnet", "convnet, from noise", None, recipe=having(init="noise"), variant="from noise", repeats=10)
] + [
    cell(net, where, figure, recipe=having(net=where, **({"lr": 0.01} if where == "mlp" else {})), variant=where,
         gpu=True)
    for where, figures in PAPER.items() if where != "convnet" for net, figure in zip(NETS, figures, strict=True)
]  # fmt: skip

if __name__ == "__main__":
    program(lambda: fill("dc_table2", ABOUT, CELLS, __doc__))
