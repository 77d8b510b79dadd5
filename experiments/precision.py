"""The effect of bfloat16 on accuracy: FashionMNIST at 1 image per class, in either number format.

    python experiments/precision.py --data-dir DIR

`dc:quick` in both precisions, measured by networks in float32; its float32 set also by networks trained in bfloat16.
`idc:quick` in float32 only, because table 10 of IDC has the same in bfloat16. Each is measured under the protocol of
its paper. A cell has 1 set and 5 networks; about two hours on 2 CPU cores. Runs resume from `runs/precision/`. The
papers have no such figures.
"""

from dataclasses import replace
from typing import Any

import torch
from record import Table, evaluate, kept, options, parsed, program, read

from condensery.data import fashion_mnist
from condensery.evaluation.protocols import dc2021, idc2022
from condensery.recipes import DC, IDC

METHODS: dict[str, Any] = {"dc": (DC.quick(), dc2021), "idc": (IDC.quick(), idc2022)}
CELLS = [  # method, condensed in, and then measured by networks trained in
    ("dc", "float32", "float32"), ("dc", "bfloat16", "float32"), ("dc", "float32", "bfloat16"),
    ("idc", "float32", "float32"),
]  # fmt: skip


def main() -> None:
    given = parsed(options(__doc__))
    table = Table(
        "precision", "float32 and bfloat16, FashionMNIST, 1 image per class: ConvNet-3, width 128; test accuracy"
    )
    data = read(fashion_mnist, given.data_dir)
    for method, condensed, measured in CELLS:
        cell = {"dataset": "FashionMNIST", "ipc": 1, "method": method, "condensed": condensed, "measured": measured}
        if table.has(**cell):
            continue
        named = None if condensed == "float32" else condensed
        quick, protocol = METHODS[method]
        recipe = replace(quick, real_dtype=named, network_dtype=named)
        made = kept(recipe, data, table.runs / f"{method}-{condensed}")
        dtype = torch.bfloat16 if measured == "bfloat16" else None
        reached = evaluate(made.condensed, data, protocol=protocol, dtype=dtype)
        table.add(
            data, reached, recipe.record(), made.seconds, made.commit, made.processor, **cell,
            floats=made.condensed.floats,
        )  # fmt: skip


if __name__ == "__main__":
    program(main)
