"""IDC, table 10: DSA, DM, IDC-I and IDC, and KFS with them.

    python experiments/idc_table10.py --data-dir DIR [--data digits] [--ipc 1] [--methods idc] [--scale gpu]

The paper's figures are listed under the protocol of each method's own paper. Those of DM are IDC's own runs of it, the
better of with and without CutMix. Figures under different protocols cannot
be compared, so at 1 image per class all sets are measured under some common protocols, too. `digits` (embedded) has no
published figures. Cost at `cpu` scale on 2 cores: 5 to 15 minutes to condense a set at 1 image per class and 30 at 10,
as long to measure 5 networks, and more under `idc2022`; 50 images are for a GPU. Cells that are in the results file are
skipped.

The papers: DSA and DM 5 sets x 20 networks, IDC 3 repetitions. Here: 1 set x 5 networks (3 under `idc2022` at 10
images, where all are trained in bfloat16), and 5 sets of random images. The test part is read once per network, after
the last epoch; presets were chosen on a tenth of FashionMNIST's training part.
"""

from grid import Cell, fill
from record import program

OWN = {"dsa": "dsa2021", "dm": "dsa2021", "idc-i": "idc2022", "idc": "idc2022", "kfs": "kfs2022"}
PAPER = {  # 1, 10 and 50 images per class
    ("SVHN", "dsa"): ("27.5", "79.2", "84.4"), ("SVHN", "dm"): ("24.2", "72.0", "84.3"),
    ("SVHN", "idc-i"): ("46.7", "77.0", "87.9"), ("SVHN", "idc"): ("68.5", "87.5", "90.1"),
    ("MNIST", "dsa"): ("88.7 ± 0.6", "97.8 ± 0.1", "99.2 ± 0.1"), ("MNIST", "dm"): ("89.7", "97.5", "98.6"),
    ("MNIST", "idc-i"): ("88.9", "98.0", "98.8"), ("MNIST", "idc"): ("94.2", "98.4", "99.1"),
    ("FashionMNIST", "dsa"): ("70.6 ± 0.6", "84.6 ± 0.3", "88.7 ± 0.2"),
    ("FashionMNIST", "dm"): ("70.0", "84.8", "88.6"), ("FashionMNIST", "idc-i"): ("70.7", "85.3", "89.1"),
    ("FashionMNIST", "idc"): ("81.0", "86.0", "86.2"),
    ("CIFAR10", "dsa"): ("28.8", "52.1", "60.6"), ("CIFAR10", "dm"): ("28.9", "53.8", "65.6"),
    ("CIFAR10", "idc-i"): ("36.7", "58.3", "69.5"), ("CIFAR10", "idc"): ("50.6", "67.5", "74.5"),
}  # fmt: skip
SIZES = (1, 10, 50)
ABOUT = "IDC, table 10, with KFS: ConvNet-3, width 128; test accuracy"

BESIDE = {
    "FashionMNIST": ("dc2021", "dsa2021"),
    "MNIST": ("dc2021",),
    "digits": ("dc2021", "dsa2021", "idc2022", "kfs2022"),
}
"""The protocols under which all methods are measured at 1 image per class, beside their own."""


def cell(dataset: str, ipc: int, method: str, protocol: str) -> Cell:
    sets, repeats = (5, 1) if method == "random" else (1, 3 if ipc > 1 and protocol == "idc2022" else 5)
    own = protocol == OWN.get(method)
    paper = PAPER[dataset, method][SIZES.index(ipc)] if own and (dataset, method) in PAPER else None
    return Cell(dataset, ipc, method, protocol, paper=paper, sets=sets, repeats=repeats, half=ipc == 10, gpu=ipc == 50)


CELLS = [
    cell(dataset, 1, method, protocol)
    for dataset, beside in BESIDE.items() for method in ("random", *OWN)
    for protocol in dict.fromkeys([OWN.get(method, "dc2021"), *beside])
] + [
    cell(dataset, ipc, method, OWN[method])
    for dataset, method in [*PAPER, ("FashionMNIST", "kfs"), ("MNIST", "kfs")] for ipc in SIZES
    if ipc > 1 or dataset not in BESIDE
]  # fmt: skip

if __name__ == "__main__":
    program(lambda: fill("idc_table10", ABOUT, CELLS, __doc__, data=["digits"], ipc=[1]))
