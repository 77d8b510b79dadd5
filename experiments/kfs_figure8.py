"""KFS, figure 8: the number of decoders, at the same number of codes; FashionMNIST, 1 image per class.

    python experiments/kfs_figure8.py --data-dir DIR

The paper: CIFAR-10, as a curve without numbers. As there, decoders do not count against the budget, so
every set has the same codes, and more decoders are more rows and more floats. (kfs_choices.py varies the decoders at
equal floats.) Cost at `cpu` scale on 2 cores: 4 to 8 minutes to condense each of 5 sets, and a minute to measure
it. 1 set x 5 networks under `kfs2022`. Cells that are in the results file are skipped.
"""

from grid import Cell, fill, having
from record import program

DECODERS = (1, 2, 4, 8, 16)
ABOUT = "KFS, figure 8: FashionMNIST, the codes of 1 image per class, and a number of decoders"
CELLS = [
    Cell("FashionMNIST", 1, "kfs", "kfs2022", recipe=having(strict=False, decoders=n), variant=f"{n} decoders",
         more={"decoders": n})
    for n in DECODERS
]  # fmt: skip

if __name__ == "__main__":
    program(lambda: fill("kfs_figure8", ABOUT, CELLS, __doc__))
