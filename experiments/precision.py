"""The effect of bfloat16 on accuracy: FashionMNIST at 1 image per class, in either number format.

    python experiments/precision.py --data-dir DIR

`dc:quick` and `idc:quick`, each in both precisions, measured under its paper's protocol in float32; the float32 sets
also by networks trained in bfloat16. A cell has 1 set and 5 networks; about 25 minutes on 2 CPU cores. Runs resume
from `runs/precision/`. The papers have no such figures.
"""

from dataclasses import replace
from typing import Any

import torch
from record import Table, evaluate, kept, options, parsed, program, read

from condensery.data import fashion_mnist
from condensery.evaluation.protocols import dc2021, idc2022
from condensery.recipes import DC, IDC

METHODS: dict[str, Any] = {"dc": (DC.quick(), dc2021), "idc": (IDC.quick(), idc2022)}
# condensed in, and then measured by networks trained in
CELLS = [("float32", "float32"), ("bfloat16", "float32"), ("float32", "bfloat16")]


def main() -> None:
    given = parsed(options(__doc__))
    table = Table(
        "precision", "float32 and bfloat16, FashionMNIST, 1 image per class: ConvNet-3, width 128; test accuracy"
    )
    data = read(fashion_mnist, given.data_dir)
    for method, (recipe, protocol) in METHODS.items():
        for condensed, measured in CELLS:
            cell = {"dataset": "FashionMNIST", "ipc": 1, "method": method, "condensed": condensed, "measured": measured}
            if table.has(**cell):
                continue
            named = None if condensed == "float32" else condensed
            recipe = replace(recipe, real_dtype=named, network_dtype=named)
            made = kept(recipe, data, table.runs / f"{method}-{condensed}")
            dtype = torch.bfloat16 if measured == "bfloat16" else None
            reached = evaluate(made.condensed, data, protocol=protocol, dtype=dtype)
            table.add(
                data, reached, recipe.record(), made.seconds, made.commit, **cell,
                floats=made.condensed.floats,
            )  # fmt: skip


if __name__ == "__main__":
    program(main)
