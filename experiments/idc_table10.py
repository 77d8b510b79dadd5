"""IDC, table 10: DSA, DM, IDC-I and IDC on FashionMNIST and MNIST, and KFS beside them.

    python experiments/idc_table10.py --data-dir DIR [--data digits] [--ipc 1] [--methods idc] [--scale gpu]

The paper's figures stand at the protocol of each method's own paper. Figures under different protocols cannot be
compared, so at 1 image per class all sets are measured under some common protocols, too. `digits` (embedded) has no
published figures. Cost at the scale `cpu` on 2 cores: 5 to 15 minutes to condense a set at 1 image per class and 30 at
10, as long to measure 5 networks, and more under `idc2022`. Cells that are in the results file are skipped.

The papers: DSA and DM 5 sets x 20 networks, IDC 3 repetitions. Here: 1 set x 5 networks (10 images under `idc2022`: 3
networks, trained in bfloat16), and 5 sets of random images. The test part is read once per network, after the last
epoch; presets were chosen on a tenth of FashionMNIST's training part.
"""

import torch
from grid import Cell, fill
from record import program

OWN = {"dsa": "dsa2021", "dm": "dsa2021", "idc-i": "idc2022", "idc": "idc2022", "kfs": "kfs2022"}
PAPER = {
    ("MNIST", 1): {"dsa": "88.7 ± 0.6", "dm": "89.7", "idc-i": "88.9", "idc": "94.2"},
    ("MNIST", 10): {"dsa": "97.8 ± 0.1", "dm": "97.5", "idc-i": "98.0", "idc": "98.4"},
    ("FashionMNIST", 1): {"dsa": "70.6 ± 0.6", "dm": "70.0", "idc-i": "70.7", "idc": "81.0"},
    ("FashionMNIST", 10): {"dsa": "84.6 ± 0.3", "dm": "84.8", "idc-i": "85.3", "idc": "86.0"},
}
ABOUT = "IDC, table 10, with KFS: ConvNet-3, width 128; test accuracy"

BESIDE = {
    "FashionMNIST": ("dc2021", "dsa2021"),
    "MNIST": ("dc2021",),
    "digits": ("dc2021", "dsa2021", "idc2022", "kfs2022"),
}
"""The protocols under which all methods are measured at 1 image per class, beside their own."""


def cell(dataset: str, ipc: int, method: str, protocol: str) -> Cell:
    long = (ipc, protocol) == (10, "idc2022")  # 7000 steps a network
    sets, repeats = (5, 1) if method == "random" else (1, 3 if long else 5)
    own = protocol == OWN.get(method)
    paper = PAPER.get((dataset, ipc), {}).get(method) if own else None
    return Cell(
        dataset, ipc, method, protocol, paper=paper, sets=sets, repeats=repeats, dtype=torch.bfloat16 if long else None
    )


CELLS = [
    cell(dataset, 1, method, protocol)
    for dataset, beside in BESIDE.items() for method in ("random", *OWN)
    for protocol in dict.fromkeys([OWN.get(method, "dc2021"), *beside])
] + [
    cell(dataset, 10, method, protocol) for dataset in ("FashionMNIST", "MNIST") for method, protocol in OWN.items()
]  # fmt: skip

if __name__ == "__main__":
    program(lambda: fill("idc_table10", ABOUT, CELLS, __doc__, data=["digits"], ipc=[1]))
