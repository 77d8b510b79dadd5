"""DC, table 1: coresets and DC at 1 and 10 images per class, and the whole set, under `dc2021`.

    python experiments/dc_table1.py --data-dir DIR [--data MNIST] [--ipc 1] [--methods dc random] [--scale gpu]

Cost at `cpu` scale on 2 cores: at 1 image per class 5 minutes to condense, 2 to 5 to measure 5 networks; at 10 images
15 (on MNIST hours), and 5 to 20; the whole set 20 minutes a network. 50 images are for a GPU. Cells that are in the
results file are skipped.

The paper: 5 sets x 20 networks. Here: 1 set x 5 networks, and for random images 5 sets with one network each. The test
part is read once per network, after the last epoch; `dc:quick` was chosen on a tenth of the training part.
"""

from grid import Cell, fill
from record import program

METHODS = ("random", "herding", "k-center", "forgetting", "dc")
PAPER = {
    ("MNIST", 1): ("64.9 ± 3.5", "89.2 ± 1.6", "89.3 ± 1.5", "35.5 ± 5.6", "91.7 ± 0.5"),
    ("MNIST", 10): ("95.1 ± 0.9", "93.7 ± 0.3", "84.4 ± 1.7", "68.1 ± 3.3", "97.4 ± 0.2"),
    ("MNIST", 50): ("97.9 ± 0.2", "94.9 ± 0.2", "97.4 ± 0.3", "88.2 ± 1.2", "98.8 ± 0.2"),
    ("FashionMNIST", 1): ("51.4 ± 3.8", "67.0 ± 1.9", "66.9 ± 1.8", "42.0 ± 5.5", "70.5 ± 0.6"),
    ("FashionMNIST", 10): ("73.8 ± 0.7", "71.1 ± 0.7", "54.7 ± 1.5", "53.9 ± 2.0", "82.3 ± 0.4"),
    ("FashionMNIST", 50): ("82.5 ± 0.7", "71.9 ± 0.8", "68.3 ± 0.8", "55.0 ± 1.1", "83.6 ± 0.4"),
    ("SVHN", 1): ("14.6 ± 1.6", "20.9 ± 1.3", "21.0 ± 1.5", "12.1 ± 1.7", "31.2 ± 1.4"),
    ("SVHN", 10): ("35.1 ± 4.1", "50.5 ± 3.3", "14.0 ± 1.3", "16.8 ± 1.2", "76.1 ± 0.6"),
    ("SVHN", 50): ("70.9 ± 0.9", "72.6 ± 0.8", "20.1 ± 1.4", "27.2 ± 1.5", "82.3 ± 0.3"),
    ("CIFAR10", 1): ("14.4 ± 2.0", "21.5 ± 1.2", "21.5 ± 1.3", "13.5 ± 1.2", "28.3 ± 0.5"),
    ("CIFAR10", 10): ("26.0 ± 1.2", "31.6 ± 0.7", "14.7 ± 0.9", "23.3 ± 1.0", "44.9 ± 0.5"),
    ("CIFAR10", 50): ("43.4 ± 1.0", "40.4 ± 0.6", "27.0 ± 1.4", "23.3 ± 1.1", "53.9 ± 0.5"),
}
WHOLE = {"MNIST": "99.6 ± 0.0", "FashionMNIST": "93.5 ± 0.1", "SVHN": "95.4 ± 0.1", "CIFAR10": "84.8 ± 0.1"}
ABOUT = "DC, table 1: ConvNet-3, width 128; test accuracy"
CELLS = [
    Cell(dataset, ipc, method, "dc2021", paper=figure, sets=5 if method == "random" else 1,
         repeats=1 if method == "random" else 5, gpu=ipc == 50)
    for (dataset, ipc), figures in PAPER.items() for method, figure in zip(METHODS, figures, strict=True)
] + [Cell(dataset, None, "whole", "whole", paper=figure, repeats=1) for dataset, figure in WHOLE.items()]  # fmt: skip

if __name__ == "__main__":
    program(lambda: fill("dc_table1", ABOUT, CELLS, __doc__, data=["MNIST"]))
