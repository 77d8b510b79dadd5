"""DC, table 2: MNIST condensed in a ConvNet to 1 image per class, and measured in six architectures, under `dc2021`.

    python experiments/dc_table2.py --data-dir DIR

Cost at the scale `cpu` on 2 cores: 5 minutes to condense, and an hour to measure, most of it ResNet-18. Cells that are
in the results file are skipped.

The paper: 5 sets x 20 networks. Here: 1 set x 5 networks, and 20 AlexNets, some of which do not learn; to find out
whether that comes from the set, AlexNets are measured on a set that was condensed from noise, and on a random one, too.
The paper condenses in five more architectures.
"""

from grid import Cell, fill, having
from record import program

PAPER = {
    "mlp": "69.6 ± 1.6", "convnet": "91.7 ± 0.5", "lenet": "85.3 ± 1.8", "alexnet": "85.1 ± 3.0",
    "vgg11": "83.4 ± 1.8", "resnet18": "90.0 ± 0.8",
}  # fmt: skip
ABOUT = "DC, table 2: MNIST, 1 image per class, condensed in ConvNet-3; test accuracy"
CELLS = [
    Cell("MNIST", 1, "dc", "dc2021", net=net, paper=figure, repeats=20 if net == "alexnet" else 5, label="dc:quick")
    for net, figure in PAPER.items()
] + [
    Cell(
        "MNIST",
        1,
        "dc",
        "dc2021",
        net="alexnet",
        recipe=having(init="noise"),
        variant="from noise",
        repeats=20,
        label="from noise",
    ),
    Cell("MNIST", 1, "random", "dc2021", net="alexnet", repeats=20, label="random"),
]

if __name__ == "__main__":
    program(lambda: fill("dc_table2", ABOUT, CELLS, __doc__))
