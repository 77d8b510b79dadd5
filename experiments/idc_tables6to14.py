"""IDC, tables 6 to 9 and 11 to 14: what the parts of the method contribute (table 5: idc_ablation.py).

    python experiments/idc_tables6to14.py --data-dir DIR [--methods idc idc-i] [--scale gpu]

    6   IDC-I with four times the images, at half the resolution only after condensing (post-downsampling)
    7   the factor of multi-formation
    8   cells of every factor up to the usual one (multi-scale)
    9   a learned enlargement of the cells
    11  CutMix, in condensing and in the evaluation ("strong augmentation"); the evaluation without it is `dsa2021`
    12  the network in which the set is condensed (IDC-I)
    13  DM with multi-formation
    14  ZCA whitening

The paper: CIFAR-10 (absent here) and ImageNet-10. Beside each table stands FashionMNIST at 1 image per class, with the
recipes of idc_table10.py. Cost at the scale `cpu` on 2 cores: 5 to 15 minutes to condense each of 15 sets (ConvNet of
width 256: 40), and 5 to 15 for each of 30 cells: 8 hours in all. ResNets to condense in are run at the scale `gpu`
only. 1 set x 3 networks, as in the paper. Cells that are in the results file are skipped.
"""

from dataclasses import replace

from grid import Cell, fill, having
from record import program

from condensery import Condensed, ConvNet, SyntheticSet
from condensery.decoders import Uniform
from condensery.networks.net import described

NETS, HERE = ("convnet", "resnet10"), ("FashionMNIST", 1)
ABOUT = "IDC, tables 6 to 9 and 11 to 14: parts of the method; test accuracy"


def shrunk(condensed: Condensed) -> Condensed:
    """The rows of a set at half the resolution, four of them in a stored image."""
    rows = condensed.synthetic().x.detach()
    return replace(condensed, synthetic=SyntheticSet.from_rows(rows, condensed.space, Uniform(2)))


def cells(name: str, method: str, papers: dict[tuple[str, int], tuple[str, ...]], /, **fields: object) -> list[Cell]:
    """A method, named in the table, on the paper's data in the table's networks, and on FashionMNIST in ConvNet-3.

    Arguments:
        papers: the figures by data and images per class, in ConvNet-3 and ResNet-10 (ImageNet: ResNetAP-10, -18).
    """
    made = []
    for (dataset, ipc), figures in papers.items():
        imagenet = dataset == "ImageNet10"
        nets, protocol = (("resnetap10", "resnet18"), "imagenet2022") if imagenet else (NETS, "idc2022")
        made += [
            Cell(dataset, ipc, method, protocol, net=net, paper=figure, repeats=3, more={"case": name}, **fields)  # type: ignore[arg-type]
            for net, figure in zip(nets, figures, strict=False)
        ]
    return [*made, Cell(*HERE, method, "idc2022", net=NETS[0], repeats=3, more={"case": name}, **fields)]  # type: ignore[arg-type]


def table6() -> list[Cell]:
    """Four times the images have four times the floats, unless they are shrunk."""
    four, cifar = having(ipc=4), ("CIFAR10", 50)
    larger = {"recipe": lambda usual: usual.having(ipc=4 * usual.ipc), "variant": "four times"}
    del four
    return [
        *cells("IDC", "idc", {cifar: ("74.5", "72.4")}),
        *cells("IDC-I-post", "idc-i", {cifar: ("68.8", "63.1")}, **larger, change=shrunk),
        *cells("IDC-I, four times the pixels", "idc-i", {cifar: ("76.6", "74.9")}, **larger),
    ]


def table7() -> list[Cell]:
    cifar = {1: ("69.5", "65.7"), 2: ("74.5", "72.4"), 3: ("68.9", "62.9"), 4: ("62.0", "59.1")}
    imagenet = {1: ("65.5", "66.0"), 2: ("73.3", "70.8"), 3: ("76.6", "75.7"), 4: ("77.5", "75.2")}
    usual = {1: ("idc-i", {}), 2: ("idc", {})}
    return [
        cell
        for f in cifar
        for method, fields in [usual.get(f, ("idc", {"recipe": having(factor=f), "variant": f"factor {f}"}))]
        for cell in cells(f"factor {f}", method, {("CIFAR10", 50): cifar[f]}, **fields)
    ] + [
        replace(cell, recipe=having(factor=f), variant=f"factor {f}")
        for f, figures in imagenet.items()
        for cell in cells(f"factor {f}", "idc", {("ImageNet10", 20): figures})[:2]
    ]


def table8() -> list[Cell]:
    uniform = {("CIFAR10", 10): ("67.5", "63.5"), ("CIFAR10", 50): ("74.5", "72.4")}
    scales = {("CIFAR10", 10): ("69.2", "64.8"), ("CIFAR10", 50): ("73.1", "69.7")}
    other = {"recipe": having(formation="multi-scale"), "variant": "multi-scale"}
    return [*cells("uniform", "idc", uniform), *cells("multi-scale", "idc", scales, **other)]


def table9() -> list[Cell]:
    papers = {
        (2, "uniform"): ("67.5", "63.5"), (2, "learnable"): ("66.2", "62.0"),
        (3, "uniform"): ("66.7", "60.6"), (3, "learnable"): ("67.9", "64.4"),
    }  # fmt: skip
    found = []
    for (factor, formation), figures in papers.items():
        name = f"{formation}, factor {factor}"
        variant = "" if name == "uniform, factor 2" else f"factor {factor}" if formation == "uniform" else name
        recipe = having(factor=factor, formation=formation) if variant else None
        found += cells(name, "idc", {("CIFAR10", 10): figures}, recipe=recipe, variant=variant.replace(",", ""))
    return found


def table11() -> list[Cell]:
    papers = {  # evaluated without and with CutMix
        ("random", True): ("54.7", "56.5"), ("herding", True): ("57.5", "59.8"), ("dsa", True): ("60.6", "59.5"),
        ("dm", True): ("63.0", "65.6"), ("idc-i", False): ("67.4", "67.0"), ("idc-i", True): ("68.6", "69.5"),
        ("idc", False): ("72.8", "74.3"), ("idc", True): ("73.5", "74.5"),
    }  # fmt: skip
    return [
        Cell(*where, method, protocol, net=NETS[0], paper=figure if where != HERE else None, repeats=3,
             recipe=None if usual else having(cutmix=0.0), variant="" if usual else "no CutMix",
             more={"case": method if usual else f"{method}, condensed without CutMix"})
        for where in (("CIFAR10", 50), HERE) for (method, usual), figures in papers.items()
        for protocol, figure in zip(("dsa2021", "idc2022"), figures, strict=True)
    ]  # fmt: skip


def table12() -> list[Cell]:
    papers = {
        ConvNet(): ("58.3", "50.2"), ConvNet(width=256): ("58.8", "50.5"), ConvNet(depth=4): ("56.6", "48.7"),
        "resnet10": ("51.4", "47.5"), "resnetap10": ("53.5", "48.8"),
    }  # fmt: skip
    found = []
    for net, figures in papers.items():
        name = described(net)
        other = {} if net == ConvNet() else {"recipe": having(net=net), "variant": name, "gpu": name.startswith("res")}
        found += cells(f"condensed in {name}", "idc-i", {("CIFAR10", 10): figures}, **other)
    return found


def table13() -> list[Cell]:
    cifar = ("CIFAR10", 50)
    return [
        *cells("DM", "dm", {cifar: ("65.6", "58.6")}),
        *cells("DM, factor 2", "dm", {cifar: ("68.4", "63.1")}, recipe=having(factor=2), variant="factor 2"),
        *cells("IDC", "idc", {cifar: ("74.5", "72.4")}),
    ]


def table14() -> list[Cell]:
    papers = {
        ("IDC without CutMix, ZCA", "-zca"): ("66.6", "72.0"), ("IDC, ZCA", "-zca"): ("66.7", "72.5"),
        ("IDC", ""): ("67.5", "74.5"),
    }  # fmt: skip
    found = []
    for (name, space), figures in papers.items():
        without = "without" in name
        other = {"recipe": having(cutmix=0.0), "variant": "no CutMix"} if without else {}
        where = {("CIFAR10", 10): figures[0], ("CIFAR10", 50): figures[1], HERE: None}
        found += [
            Cell(f"{dataset}{space}", ipc, "idc", "dsa2021" if without else "idc2022", net=NETS[0], paper=figure,
                 repeats=3, more={"case": name}, **other)  # type: ignore[arg-type]
            for (dataset, ipc), figure in where.items()
        ]  # fmt: skip
    return found


TABLES = {
    "6": table6(), "7": table7(), "8": table8(), "9": table9(), "11": table11(), "12": table12(), "13": table13(),
    "14": table14(),
}  # fmt: skip
CELLS = [cell for cells in TABLES.values() for cell in cells]

if __name__ == "__main__":
    program(lambda: fill("idc_tables6to14", ABOUT, CELLS, __doc__, data=["FashionMNIST", "FashionMNIST-zca"]))
