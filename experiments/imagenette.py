"""Photographs of 128 pixels: IDC at factor 3 in ResNetAP-10, against random images; `imagenette-128-subset`.

    python experiments/imagenette.py --data-dir DIR

350 training and 100 test images of each of 10 classes. IDC stores 1 image per class as floats, which take the bytes of
4 images of 8 bits, so random images are measured at equal floats (1 per class) and at equal bytes (4 per class). The
protocol is `imagenet2022` (resized crops, flips, color, lighting, CutMix) cut to 200 steps of at most 64 rows and in
bfloat16, because a whole one takes hours on a CPU. At the scale `gpu`, the recipe is IDC's for ImageNet-10.

Cost at the scale `cpu` on 2 cores: an hour to condense, and 3 to 20 minutes for each of 9 networks. 1 set x 3 networks;
3 sets of random images. Cells that are in the results file are skipped.
"""

from typing import Any

import torch
from grid import Cell, fill
from record import at_gpu, program

from condensery import Recipe
from condensery.recipes import IDC

DATA, PROTOCOL, NET = "imagenette-128-subset", "imagenet2022, 200 steps", "resnetap10"
ABOUT = "imagenette-128-subset: IDC and random images in ResNetAP-10; test accuracy"


def recipe(usual: Recipe) -> Recipe:
    """IDC for photographs: the released program's for ImageNet-10, or a run of 100 steps."""
    if at_gpu():
        return IDC.published("imagenet10").having(ipc=usual.ipc, seed=usual.seed)
    return usual.having(
        factor=3, outer_steps=5, inner_steps=20, lr=0.05, real_rows=16, network_rows=64, real_dtype="bfloat16",
        network_dtype="bfloat16", net=NET,
    )  # fmt: skip


def cell(method: str, ipc: int, label: str, **more: Any) -> Cell:
    sets, repeats = (3, 1) if method == "random" else (1, 3)
    return Cell(
        DATA, ipc, method, PROTOCOL, net=NET, sets=sets, repeats=repeats, dtype=torch.bfloat16, label=label, **more
    )


CELLS = [
    cell("idc", 1, "IDC, factor 3", recipe=recipe, variant="photographs"),
    cell("random", 1, "random, equal floats"),
    cell("random", 4, "random, equal bytes"),
]

if __name__ == "__main__":
    program(lambda: fill("imagenette", ABOUT, CELLS, __doc__))
