"""Anchor: the strict floats of 1 image per class, against KFS, IDC and DM; and what every part of it adds.

    python experiments/anchor.py --data-dir DIR [--data FashionMNIST]

The parts are switched off or on one by one on a tenth of FashionMNIST's training part (`FashionMNIST-validation`), on
which all settings were chosen, too. The other figures read the test part once per network.

Cost at `cpu` scale on 2 cores: 10 to 30 minutes to condense a set, and 2 to 10 to measure 5 networks. Cells that are in
the results file are skipped.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from grid import Cell, fill
from record import program

from condensery import Recipe
from condensery.recipes import Anchor

PARTS: dict[str, dict[str, Any]] = {
    "anchor": {},
    "embeddings only": {"last_layer": 0.0},
    "only trained networks": {"points": 3},
    "one network": {"networks": 1, "points": 16},
}
"""What differs from Anchor's preset."""
ABOUT = (
    "Anchor, 1 image per class in strict floats: ConvNet-3, width 128; test accuracy, or validation where it says so"
)


def without(**fields: Any) -> Callable[[Recipe], Recipe]:
    """For `Cell.recipe`: Anchor with other values of its own fields."""

    def changed(usual: Recipe) -> Recipe:
        assert isinstance(usual, Anchor)
        return replace(usual, **fields)

    return changed


CELLS = [
    Cell("FashionMNIST-validation", 1, "anchor", "dc2021", recipe=without(**fields), variant="" if not fields else name,
         repeats=3, label=name)
    for name, fields in PARTS.items()
] + [
    Cell("FashionMNIST-validation", 1, method, "dc2021", repeats=3, label=method) for method in ("kfs", "dm")
] + [
    Cell(dataset, 1, method, protocol, label=method)
    for dataset in ("FashionMNIST", "MNIST") for method in ("anchor", "kfs")
    for protocol in ("dc2021", "idc2022")
] + [
    Cell(dataset, 1, method, "dsa2021", sets=3, repeats=1, label=method, gpu=True)
    for dataset in ("cifar10-jpeg", "svhn-train-subset") for method in ("anchor", "kfs", "idc", "dm")
]  # fmt: skip

if __name__ == "__main__":
    program(lambda: fill("anchor", ABOUT, CELLS, __doc__, data=["FashionMNIST-validation"]))
