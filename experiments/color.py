"""Colored images: `cifar10-jpeg` and `svhn-train-subset` at 1 image per class, and what the papers report.

    python experiments/color.py --data-dir DIR [--data cifar10-jpeg] [--methods idc kfs]

`cifar10-jpeg` holds all images of CIFAR-10 after lossy compression, and `svhn-train-subset` 864 training and 219 test
images out of SVHN's training part, so no figure is comparable with those of the papers; these are shown only so that
the order of the methods can be compared. Each set is measured under the protocol of its paper, and under `dsa2021`,
where all can be compared; KFS is measured on a GPU there (`--device cuda`), since 1000 epochs on its 960 rows take two
hours on a CPU.

Cost at `cpu` scale on 2 cores: 5 to 15 minutes to condense a set, and 5 to 20 for a cell: 4 hours in all. 1 set x
3 networks; 3 sets of random images. Cells that are in the results file are skipped.
"""

from grid import Cell, fill
from record import program

OWN = {"random": "dc2021", "herding": "dc2021", "dc": "dc2021", "dm": "dsa2021", "idc": "idc2022", "kfs": "kfs2022"}
PUBLISHED = {"cifar10-jpeg": "CIFAR10", "svhn-train-subset": "SVHN"}
PAPER = {  # random, herding and dc: DC, table 1; idc: IDC, table 10; dm and kfs: KFS, table 1
    "CIFAR10": ("14.4 ± 2.0", "21.5 ± 1.2", "28.3 ± 0.5", "26.0 ± 0.8", "50.6", "59.8 ± 0.5"),
    "SVHN": ("14.6 ± 1.6", "20.9 ± 1.3", "31.2 ± 1.4", "20.3 ± 2.1", "68.5", "82.9 ± 0.4"),
}
ABOUT = "Colored images, lossy or in part: 1 image per class, ConvNet-3, width 128; test accuracy"


def cell(dataset: str, method: str, protocol: str, paper: str | None = None) -> Cell:
    several, long = method == "random", (method, protocol) == ("kfs", "dsa2021")
    sets, repeats = (3, 1) if several else (1, 3)
    return Cell(dataset, 1, method, protocol, paper=paper, sets=sets, repeats=repeats, gpu=long)


CELLS = [
    cell(dataset, method, protocol)
    for dataset in PUBLISHED for method, own in OWN.items() for protocol in dict.fromkeys([own, "dsa2021"])
] + [
    cell(dataset, method, OWN[method], figure)
    for dataset, figures in PAPER.items() for method, figure in zip(OWN, figures, strict=True)
]  # fmt: skip

if __name__ == "__main__":
    program(lambda: fill("color", ABOUT, CELLS, __doc__, data=["cifar10-jpeg"]))
