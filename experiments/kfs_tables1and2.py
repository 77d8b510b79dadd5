"""KFS, tables 1 and 2: codes and decoders beside other methods, and measured in other networks, under `kfs2022`.

    python experiments/kfs_tables1and2.py --data-dir DIR [--data FashionMNIST] [--scale gpu]

The paper's figures are those of codes alone in the floats of an image; its figures of other
methods, which it took from their papers, are left out here, except in table 2. SVHN, CIFAR and TinyImageNet are absent,
so FashionMNIST and MNIST are added, with the decoders counted (`kfs:quick`); color.py has colored images.

Cost at `cpu` scale on 2 cores: 5 minutes to condense a set at 1 image per class and 30 at 10; measuring takes a
minute for a ConvNet, and half an hour for a ResNet-10: 6 hours in all. DenseNet-121 is measured at `gpu` scale
only. The paper: 3 sets x 5 networks. Here: 1 set x 5 networks. Cells that are in the results file are
skipped.
"""

from grid import Cell, fill, having, idc_net
from record import program

TABLE1 = {
    ("SVHN", 1): "82.9 ± 0.4", ("SVHN", 10): "91.4 ± 0.2", ("SVHN", 50): "92.2 ± 0.1",
    ("CIFAR10", 1): "59.8 ± 0.5", ("CIFAR10", 10): "72.0 ± 0.3", ("CIFAR10", 50): "75.0 ± 0.2",
    ("CIFAR100", 1): "40.0 ± 0.5", ("CIFAR100", 10): "50.6 ± 0.2",
    ("TinyImageNet", 1): "22.7 ± 0.2", ("TinyImageNet", 10): "27.8 ± 0.2",
}  # fmt: skip
NETS = ("convnet", "resnet10", "densenet121")
WHOLE1 = {"SVHN": "95.4 ± 0.1", "CIFAR10": "84.8 ± 0.1", "CIFAR100": "56.2 ± 0.3", "TinyImageNet": "37.6 ± 0.4"}
WHOLE2 = {"SVHN": ("95.4 ± 0.1", "93.8 ± 0.5", "89.1 ± 0.8"), "CIFAR10": ("84.8 ± 0.1", "87.9 ± 0.2", "90.5 ± 0.3")}
TABLE2 = {
    ("SVHN", 1, "dsa"): ("27.5 ± 1.4", "13.2 ± 1.1", "13.3 ± 1.4"),
    ("SVHN", 1, "dm"): ("20.3 ± 2.1", "10.5 ± 2.8", "13.6 ± 1.0"),
    ("SVHN", 1, "idc"): ("68.1 ± 0.1", "39.6 ± 1.5", "39.9 ± 2.9"),
    ("SVHN", 1, "kfs"): ("82.9 ± 0.4", "75.7 ± 0.8", "81.0 ± 0.7"),
    ("SVHN", 10, "dsa"): ("79.2 ± 0.5", "19.5 ± 1.5", "23.1 ± 1.9"),
    ("SVHN", 10, "dm"): ("73.5 ± 1.0", "28.2 ± 1.5", "24.8 ± 2.5"),
    ("SVHN", 10, "idc"): ("87.3 ± 0.2", "83.3 ± 0.2", "82.8 ± 0.2"),
    ("SVHN", 10, "kfs"): ("91.4 ± 0.2", "90.3 ± 0.2", "89.7 ± 0.2"),
    ("SVHN", 50, "dsa"): ("84.4 ± 0.4", "41.6 ± 2.1", "58.0 ± 3.1"),
    ("SVHN", 50, "dm"): ("84.2 ± 0.0", "54.7 ± 1.3", "58.4 ± 2.7"),
    ("SVHN", 50, "idc"): ("90.2 ± 0.1", "89.1 ± 0.2", "91.0 ± 0.3"),
    ("SVHN", 50, "kfs"): ("92.2 ± 0.1", "90.9 ± 0.2", "90.2 ± 0.2"),
    ("CIFAR10", 1, "dsa"): ("28.8 ± 0.7", "25.1 ± 0.8", "25.9 ± 1.8"),
    ("CIFAR10", 1, "dm"): ("26.0 ± 0.8", "13.7 ± 1.6", "12.9 ± 1.8"),
    ("CIFAR10", 1, "idc"): ("50.0 ± 0.4", "41.9 ± 0.6", "39.8 ± 1.2"),
    ("CIFAR10", 1, "kfs"): ("59.8 ± 0.5", "47.0 ± 0.8", "49.5 ± 1.3"),
    ("CIFAR10", 10, "dsa"): ("52.1 ± 0.5", "31.4 ± 0.9", "32.9 ± 1.0"),
    ("CIFAR10", 10, "dm"): ("48.9 ± 0.6", "31.7 ± 1.1", "32.2 ± 0.8"),
    ("CIFAR10", 10, "idc"): ("67.5 ± 0.5", "63.5 ± 0.1", "61.6 ± 0.6"),
    ("CIFAR10", 10, "kfs"): ("72.0 ± 0.3", "70.3 ± 0.3", "71.4 ± 0.4"),
    ("CIFAR10", 50, "dsa"): ("60.6 ± 0.5", "49.0 ± 0.7", "53.4 ± 0.8"),
    ("CIFAR10", 50, "dm"): ("63.0 ± 0.4", "49.1 ± 0.7", "53.7 ± 0.7"),
    ("CIFAR10", 50, "idc"): ("74.5 ± 0.1", "72.4 ± 0.5", "71.8 ± 0.6"),
    ("CIFAR10", 50, "kfs"): ("75.0 ± 0.2", "75.1 ± 0.3", "76.3 ± 0.4"),
}
OWN = {"dsa": "dsa2021", "dm": "dsa2021", "idc": "idc2022", "kfs": "kfs2022"}
ABOUT = "KFS, tables 1 and 2; test accuracy"


def cell(dataset: str, ipc: int, method: str, net: str, paper: str, repeats: int = 5) -> Cell:
    """A figure of the paper, whose sets of codes do not count their decoders."""
    codes = having(strict=False) if method == "kfs" else None
    return Cell(
        dataset, ipc, method, OWN[method], net=idc_net(net), recipe=codes, variant="codes only" if codes else "",
        paper=paper, repeats=repeats,
    )  # fmt: skip


TABLES = {
    "1": [cell(dataset, ipc, "kfs", "convnet4" if dataset == "TinyImageNet" else "convnet", figure)
          for (dataset, ipc), figure in TABLE1.items()]
    + [Cell(dataset, None, "whole", "whole", net="convnet4" if dataset == "TinyImageNet" else "convnet", paper=figure,
            repeats=1) for dataset, figure in WHOLE1.items()]
    + [Cell(dataset, ipc, "kfs", "kfs2022", net="convnet")
       for ipc in (1, 10) for dataset in ("FashionMNIST", "MNIST")],
    "2": [
        cell(*key, net, figure) for key, figures in TABLE2.items() for net, figure in zip(NETS, figures, strict=True)
    ] + [
        Cell(dataset, None, "whole", "whole", net=idc_net(net), paper=figure, repeats=1)
        for dataset, figures in WHOLE2.items() for net, figure in zip(NETS, figures, strict=True)
    ] + [
        Cell("FashionMNIST", 1, method, protocol, net=idc_net(net), repeats=5 if net == "convnet" else 3,
             gpu=net == NETS[2])
        for method, protocol in OWN.items() for net in NETS
    ],
}  # fmt: skip
CELLS = [cell for cells in TABLES.values() for cell in cells]

if __name__ == "__main__":
    program(lambda: fill("kfs_tables1and2", ABOUT, CELLS, __doc__, data=["FashionMNIST"]))
