"""The best set of its size: the strict floats of 1 image per class, against KFS, IDC and DM.

    python experiments/best.py --data-dir DIR [--data FashionMNIST] [--methods unrolled:30min]

What every part of it adds, and what else was tried, is in trials.py. The figures here read the test part once per
network. ConvNet-3 of width 128, whatever the network in which a set was learned; MLP and ResNet-10 where the table
says so. No published figures of this recipe.

Cost at `cpu` scale on 2 cores: 3 to 30 minutes to condense a set, and 5 networks under `dc2021` half an hour, under
`idc2022` an hour. Cells that are in the results file are skipped.
"""

from grid import Cell, fill
from record import program

from condensery import ConvNet

ABOUT = "The strict floats of 1 image per class: ConvNet-3, width 128, if no other network is named; test accuracy"
OURS, WIDE = ("unrolled:3min", "unrolled:quick", "unrolled:30min"), ConvNet()
CELLS = [
    Cell(dataset, 1, method, protocol, WIDE)
    for protocol in ("dc2021", "idc2022") for dataset in ("FashionMNIST", "MNIST") for method in (*OURS[::-1], "kfs")
] + [
    Cell(dataset, 1, method, "dsa2021", net, sets=3, repeats=1)
    for net in (WIDE, "mlp", "resnet10") for dataset in ("cifar10-jpeg", "svhn-train-subset")
    for method in (OURS[-1], "kfs", "idc", "dm")
] + [
    Cell("USPS", 1, method, "dsa2021", WIDE, sets=3, repeats=1) for method in (OURS[-1], "kfs", "idc", "dm")
]  # fmt: skip

if __name__ == "__main__":
    program(lambda: fill("best", ABOUT, CELLS, __doc__))
