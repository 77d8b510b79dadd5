"""Photographs of 128 pixels: IDC at factor 3 in ResNetAP-10, against random images; `imagenette-128-subset`.

    python experiments/imagenette.py --data-dir DIR

350 training and 100 test images of each of 10 classes. IDC stores 1 image per class as floats, which take the bytes of
4 images of 8 bits, so random images are measured at equal floats (1 per class) and at equal bytes (4 per class). The
protocol is `imagenet2022` (resized crops, flips, color, lighting, CutMix), which takes a GPU (`--device cuda`), and for
a CPU the same cut to 200 steps of at most 64 rows, in bfloat16. At the scale `gpu`, the recipe is that of IDC's program
for ImageNet-10.

Cost at `cpu` scale on 2 cores: hours to condense (9 minutes on a GPU; the set is kept), and 3 to 20 minutes for each of
9 networks. 1 set x 3 networks; 3 sets of random images. Cells that are in the results file are skipped.
"""

from typing import Any

from grid import Cell, fill
from record import at_gpu, program

from condensery import Recipe
from condensery.recipes import IDC

DATA, PROTOCOL, NET = "imagenette-128-subset", "imagenet2022", "resnetap10"
ABOUT = "imagenette-128-subset: IDC and random images in ResNetAP-10; test accuracy"


def recipe(usual: Recipe) -> Recipe:
    """IDC for photographs: the released program's for ImageNet-10, or a run of 400 steps."""
    if at_gpu():
        return IDC.published("imagenet10").having(ipc=usual.ipc, seed=usual.seed)
    return usual.having(
        factor=3, outer_steps=10, inner_steps=40, lr=0.05, drops=(240, 320), network_rows=256, real_dtype="bfloat16",
        network_dtype="bfloat16", net=NET,
    )  # fmt: skip


def cells(protocol: str, **more: Any) -> list[Cell]:
    """IDC and random images under a protocol."""
    several = {"net": NET, "sets": 3, "repeats": 1, **more}
    return [
        Cell(DATA, 1, "idc", protocol, net=NET, repeats=3, recipe=recipe, variant="photographs", label="IDC, factor 3",
             **more),
        Cell(DATA, 1, "random", protocol, label="random, equal floats", **several),
        Cell(DATA, 4, "random", protocol, label="random, equal bytes", **several),
    ]  # fmt: skip


CELLS = [*cells(f"{PROTOCOL}, 200 steps", half=True), *cells(PROTOCOL, gpu=True)]

if __name__ == "__main__":
    program(lambda: fill("imagenette", ABOUT, CELLS, __doc__))
