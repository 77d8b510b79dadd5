"""The best set of its size: the strict floats of 1 image per class, against KFS, IDC and DM.

    python experiments/best.py --data-dir DIR [--data FashionMNIST] [--methods unrolled:30min]

What every part of it adds, and what else was tried, is in trials.py. The figures here read the test part once per
network. ConvNet-3 of width 128, whatever the network in which a set was learned; MLP and ResNet-10 where the table
says so. Networks are trained in bfloat16, except for the first figure. No published figures of this recipe.

Cost at `cpu` scale on 2 cores: 3 to 30 minutes to condense a set, and 5 networks 20 minutes to an hour. Cells that are
in the results file are skipped.
"""

from grid import Cell, fill
from record import program

from condensery import ConvNet

ABOUT = "The strict floats of 1 image per class: ConvNet-3, width 128, if no other network is named; test accuracy"
WIDE, COLOR = ConvNet(), ("cifar10-jpeg", "svhn-train-subset")
OURS = "unrolled:30min"
CELLS = [
    Cell("FashionMNIST", 1, OURS, "dc2021", WIDE),
    *(Cell("FashionMNIST", 1, method, "dc2021", WIDE, half=True) for method in ("unrolled:quick", "unrolled:3min")),
    Cell("FashionMNIST", 1, OURS, "idc2022", WIDE, half=True),
    *(Cell("MNIST", 1, "unrolled:quick", protocol, WIDE, half=True) for protocol in ("dc2021", "idc2022")),
    *(
        Cell(dataset, 1, method, "dsa2021", net, sets=3, repeats=1, half=True)
        for net, datasets in ((WIDE, (*COLOR, "USPS")), ("mlp", COLOR), ("resnet10", COLOR))
        for dataset in datasets for method in ("unrolled:quick", "kfs", "idc", "dm")
    ),
    *(Cell(dataset, 1, OURS, "dsa2021", WIDE, repeats=3, half=True) for dataset in COLOR),
]  # fmt: skip

if __name__ == "__main__":
    program(lambda: fill("best", ABOUT, CELLS, __doc__))
