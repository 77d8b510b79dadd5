"""IDC, tables 6 to 9 and 11 to 14: what the parts of the method contribute (table 5: idc_table5.py).

    python experiments/idc_tables6to14.py --data-dir DIR [--methods idc idc-i] [--scale gpu]

    6   IDC-I with four times the images, at half the resolution only after condensing (post-downsampling)
    7   the factor of multi-formation
    8   cells of every factor up to the usual one (multi-scale)
    9   a learned enlargement of the cells
    11  CutMix, in condensing and in the evaluation ("strong augmentation"); the evaluation without it is `dsa2021`
    12  the network in which the set is condensed (IDC-I)
    13  DM with multi-formation
    14  ZCA whitening

The paper: CIFAR-10 and ImageNet-10, which are absent here. FashionMNIST at 1 image per class is added to each table,
with the recipes of idc_table10.py. Cost at `cpu` scale on 2 cores: 5 to 15 minutes to condense each of 15 sets (ConvNet
of width 256: 40), and 5 to 15 for each of 30 cells: 8 hours in all. ResNets to condense in are run at `gpu` scale only.
1 set x 3 networks, as in the paper. Cells that are in the results file are skipped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from grid import IDC_NETS, Cell, fill, having, idc_net
from record import program

from condensery import Condensed, ConvNet, Net, SyntheticSet
from condensery.decoders import Uniform
from condensery.networks.names import NETWORKS
from condensery.networks.net import described

Place = tuple[str, int]
"""Data, and images per class."""
CIFAR, IMAGENET, HERE = ("CIFAR10", 50), ("ImageNet10", 20), ("FashionMNIST", 1)
NETS, IMAGENET_NETS = ("convnet", "resnet10"), ("resnetap10", "resnet18")
ABOUT = "IDC, tables 6 to 9 and 11 to 14: parts of the method; test accuracy"


def shrunk(condensed: Condensed) -> Condensed:
    """The rows of a set at half the resolution, four of them in a stored image."""
    rows = condensed.synthetic().x.detach()
    return replace(condensed, synthetic=SyntheticSet.from_rows(rows, condensed.space, Uniform(2)))


def case(label: str, method: str, papers: Mapping[Place, Sequence[str]], **fields: Any) -> list[Cell]:
    """What a table calls `label`: on the paper's data in two networks, and on FashionMNIST in ConvNet-3.

    Arguments:
        papers: the figures in the two networks, by data and images per class.
        fields: of all cells.
    """
    measured = [
        Cell(dataset, ipc, method, protocol, net=idc_net(net), paper=figure, repeats=3, label=label, **fields)
        for (dataset, ipc), figures in papers.items()
        for protocol, nets in [("imagenet2022", IMAGENET_NETS) if dataset == "ImageNet10" else ("idc2022", NETS)]
        for net, figure in zip(nets, figures, strict=True)
    ]
    return [*measured, Cell(*HERE, method, "idc2022", net=NETS[0], repeats=3, label=label, **fields)]


def factor(f: int) -> list[Cell]:
    """A factor of multi-formation; the usual ones are IDC-I's and IDC's for small images, and IDC's for ImageNet."""
    small, large = TABLE7[f]
    other = {"recipe": having(factor=f), "variant": f"factor {f}"}
    label, method, fields = f"factor {f}", "idc-i" if f == 1 else "idc", {} if f <= 2 else other
    imagenet = case(label, method, {IMAGENET: large}, **(other if f in (2, 4) else {}))
    return [*case(label, method, {CIFAR: small}, **fields), *imagenet[:2]]


def augmented(place: Place, method: str, usual: bool, papers: Sequence[str | None]) -> list[Cell]:
    """A method, condensed with CutMix if that is usual, and evaluated without and with CutMix."""
    fields: dict[str, Any] = {} if usual else {"recipe": having(cutmix=0.0), "variant": "no CutMix"}
    label = method if usual else f"{method}, condensed without CutMix"
    return [
        Cell(*place, method, protocol, net=NETS[0], paper=figure, repeats=3, label=label, **fields)
        for protocol, figure in zip(("dsa2021", "idc2022"), papers, strict=True)
    ]


def whitened(label: str, suffix: str, papers: Sequence[str], protocol: str = "idc2022", **fields: Any) -> list[Cell]:
    """IDC at 10 and 50 images of CIFAR-10, and on FashionMNIST, whose names have a suffix if they are whitened."""
    places = [("CIFAR10", 10, papers[0]), ("CIFAR10", 50, papers[1]), (*HERE, None)]
    return [
        Cell(f"{dataset}{suffix}", ipc, "idc", protocol, net=NETS[0], paper=figure, repeats=3, label=label, **fields)
        for dataset, ipc, figure in places
    ]


TABLE7 = {  # CIFAR-10 in ConvNet-3 and ResNet-10, ImageNet-10 in ResNetAP-10 and ResNet-18
    1: (("69.5", "65.7"), ("65.5", "66.0")), 2: (("74.5", "72.4"), ("73.3", "70.8")),
    3: (("68.9", "62.9"), ("76.6", "75.7")), 4: (("62.0", "59.1"), ("77.5", "75.2")),
}  # fmt: skip
TABLE11 = {  # evaluated without and with CutMix
    ("random", True): ("54.7", "56.5"), ("herding", True): ("57.5", "59.8"), ("dsa", True): ("60.6", "59.5"),
    ("dm", True): ("63.0", "65.6"), ("idc-i", False): ("67.4", "67.0"), ("idc-i", True): ("68.6", "69.5"),
    ("idc", False): ("72.8", "74.3"), ("idc", True): ("73.5", "74.5"),
}  # fmt: skip
TABLE12: dict[Net, tuple[str, str]] = {
    ConvNet(width=256): ("58.8", "50.5"), ConvNet(depth=4): ("56.6", "48.7"),
    IDC_NETS["resnet10"]: ("51.4", "47.5"), NETWORKS["resnetap10"]: ("53.5", "48.8"),
}  # fmt: skip
LARGER: dict[str, Any] = {"recipe": lambda usual: usual.having(ipc=4 * usual.ipc), "variant": "four times the images"}
NO_CUTMIX: dict[str, Any] = {"recipe": having(cutmix=0.0), "variant": "no CutMix"}
TABLES = {
    "6": [
        *case("IDC", "idc", {CIFAR: ("74.5", "72.4")}),
        *case("IDC-I, shrunk after condensing", "idc-i", {CIFAR: ("68.8", "63.1")}, **LARGER, change=shrunk),
        *case("IDC-I, four times the floats", "idc-i", {CIFAR: ("76.6", "74.9")}, **LARGER),
    ],
    "7": [cell for f in TABLE7 for cell in factor(f)],
    "8": [
        *case("uniform", "idc", {("CIFAR10", 10): ("67.5", "63.5"), CIFAR: ("74.5", "72.4")}),
        *case("multi-scale", "idc", {("CIFAR10", 10): ("69.2", "64.8"), CIFAR: ("73.1", "69.7")},
              recipe=having(formation="multi-scale"), variant="multi-scale"),
    ],
    "9": [
        *case("factor 2", "idc", {("CIFAR10", 10): ("67.5", "63.5")}),
        *case("factor 2, learned", "idc", {("CIFAR10", 10): ("66.2", "62.0")},
              recipe=having(formation="learnable"), variant="factor 2 learned"),
        *case("factor 3", "idc", {("CIFAR10", 10): ("66.7", "60.6")}, recipe=having(factor=3), variant="factor 3"),
        *case("factor 3, learned", "idc", {("CIFAR10", 10): ("67.9", "64.4")},
              recipe=having(factor=3, formation="learnable"), variant="factor 3 learned"),
    ],
    "11": [cell for key, figures in TABLE11.items() for cell in augmented(CIFAR, *key, figures)]
    + [cell for key in TABLE11 for cell in augmented(HERE, *key, (None, None))],
    "12": case("condensed in convnet", "idc-i", {("CIFAR10", 10): ("58.3", "50.2")}) + [
        cell for net, figures in TABLE12.items() for name in [described(net)]
        for cell in case(f"condensed in {name}", "idc-i", {("CIFAR10", 10): figures}, recipe=having(net=net),
                         variant=name, gpu=not isinstance(net, ConvNet))
    ],
    "13": [
        *case("DM", "dm", {CIFAR: ("65.6", "58.6")}),
        *case("DM, factor 2", "dm", {CIFAR: ("68.4", "63.1")}, recipe=having(factor=2), variant="factor 2"),
        *case("IDC", "idc", {CIFAR: ("74.5", "72.4")}),
    ],
    "14": [
        *whitened("IDC without CutMix, ZCA", "-zca", ("66.6", "72.0"), "dsa2021", **NO_CUTMIX),
        *whitened("IDC, ZCA", "-zca", ("66.7", "72.5")),
        *whitened("IDC", "", ("67.5", "74.5")),
    ],
}  # fmt: skip
CELLS = [cell for cells in TABLES.values() for cell in cells]

if __name__ == "__main__":
    program(lambda: fill("idc_tables6to14", ABOUT, CELLS, __doc__, data=["FashionMNIST", "FashionMNIST-zca"]))
