"""The best set of its size: the strict floats of 1 image per class, against KFS, IDC and DM.

    python experiments/best.py --data-dir DIR [--data FashionMNIST] [--methods unrolled:30min]

What every part of it adds, and what else was tried, is in trials.py. The figures here read the test part once per
network. ConvNet-3 of width 128, whatever the network in which a set was learned; also MLP, and ResNet-10 of half the
usual width, where the table says so. Networks are trained in bfloat16. No published figures of this recipe.

`unrolled:quick` is compared with KFS, IDC and DM on colored images and USPS, on which nothing about the recipe was
chosen. There, every method learns in width 64 and in bfloat16, and takes at least about as long as `unrolled:quick` by
`condensery plan`: 10 to 15 minutes of 2 cores, and 3 on USPS. These sets are measured under `fixed-steps`, because
other protocols take hours on sets that decode to hundreds of rows.

Cost at `cpu` scale on 2 cores: 2 to 20 minutes to condense a set, and half a minute to 7 minutes for a network; 7
hours in all. Cells that are in the results file are skipped.
"""

from dataclasses import replace
from typing import Any

from grid import Cell, fill, having
from record import program

from condensery import ConvNet, Net, Recipe
from condensery.networks.resnet import ResNet
from condensery.recipes import Unrolled

ABOUT = "The strict floats of 1 image per class: ConvNet-3, width 128, if no other network is named; test accuracy"
WIDE, FAST = ConvNet(), ConvNet(width=64)
PROTOCOLS = ("dc2021", "idc2022")
NETS: tuple[Net | str, ...] = (WIDE, "mlp", ResNet(depth=10, width=32))
LENGTHS: dict[str, dict[str, dict[str, Any]]] = {
    "cifar10-jpeg": {"unrolled:quick": {}, "kfs": {"steps": 750}, "idc": {"outer_steps": 30}, "dm": {"steps": 5000}},
    "svhn-train-subset": {
        "unrolled:quick": {},
        "kfs": {"steps": 725},
        "idc": {"outer_steps": 26},
        "dm": {"steps": 4000},
    },
    "USPS": {"unrolled:quick": {}, "kfs": {"steps": 1200}, "idc": {"outer_steps": 15}, "dm": {"steps": 2600}},
}
"""What differs from the presets, so that all methods learn for about as long as `unrolled:quick`."""


def compared(dataset: str, method: str, net: Net | str) -> Cell:
    """3 sets of a method that learns as long as the others, each measured in one network."""
    fields = LENGTHS[dataset][method] | ({"synthetic_dtype": "bfloat16"} if method in ("kfs", "dm") else {})
    return Cell(
        dataset, 1, method, "fixed-steps", net, having(net=FAST, **fields), "equal time" if fields else "",
        sets=3, repeats=1, half=True,
    )  # fmt: skip


def own(dataset: str, preset: str, protocol: str, half_augmented: bool = False) -> Cell:
    """The cell of one of our presets under a protocol, as it is or with half of the networks augmented."""

    def augmented(usual: Recipe) -> Recipe:
        assert isinstance(usual, Unrolled)
        return replace(usual, augmented=0.5)

    name = f"unrolled:{preset}"
    if half_augmented:
        return Cell(dataset, 1, name, protocol, WIDE, augmented, "half augmented", half=True)
    return Cell(dataset, 1, name, protocol, WIDE, half=True)


TABLES = {
    "papers": [
        own(*which, protocol, half_augmented)
        for which in (("FashionMNIST", "30min"), ("FashionMNIST", "3min"), ("MNIST", "quick"))
        for half_augmented in (False, True) for protocol in PROTOCOLS
    ],
    "time": [
        compared(dataset, method, net)
        for dataset in LENGTHS for net in NETS[: 1 if dataset == "USPS" else None] for method in LENGTHS[dataset]
    ],
}  # fmt: skip
"""Figures under protocols of papers, and sets of equal floats and time."""

CELLS = [cell for table in TABLES.values() for cell in table]

if __name__ == "__main__":
    program(lambda: fill("best", ABOUT, CELLS, __doc__, papers=False))
