"""Anchor: the strict floats of 1 image per class, against KFS, IDC and DM.

    python experiments/anchor.py --data-dir DIR [--data FashionMNIST]

What every part of it adds, and what else was tried, is in trials.py. The figures here read the test part once per
network.

Cost at `cpu` scale on 2 cores: 10 to 30 minutes to condense a set, and 2 to 10 to measure 5 networks. Cells that are in
the results file are skipped.
"""

from grid import Cell, fill
from record import program

ABOUT = "Anchor, 1 image per class in strict floats: ConvNet-3, width 128; test accuracy"
CELLS = [
    Cell(dataset, 1, method, protocol)
    for dataset in ("FashionMNIST", "MNIST") for method in ("anchor", "kfs")
    for protocol in ("dc2021", "idc2022")
] + [
    Cell(dataset, 1, method, "dsa2021", sets=3, repeats=1)
    for dataset in ("cifar10-jpeg", "svhn-train-subset") for method in ("anchor", "kfs", "idc", "dm")
]  # fmt: skip

if __name__ == "__main__":
    program(lambda: fill("anchor", ABOUT, CELLS, __doc__))
