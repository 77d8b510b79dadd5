"""A folder of photographs, as in the README's "Your own pictures": `imagenette-128-subset` at 32 pixels.

    python experiments/photos.py --data-dir DIR

350 training and 100 test photographs of each of 10 classes, in folders. Sets of 1 stored image per class are learned
with a preset that was chosen on a part of these training photographs (`idc:photos`) and two that were not, in two
widths of the network, and compared with random and herding images of as many bytes: a real image takes a byte per
value, a learned one four, so these are 4 images per class. One protocol, `idc2022`, and one network, the ConvNet of
width 128, so that all rows can be compared.

Cost at `cpu` scale on 2 cores: 3 to 15 minutes to condense a set, and 1 to 5 for a network: an hour in all. 1 set x
3 networks; 3 sets of random images. Cells that are in the results file are skipped.
"""

from grid import Cell, fill
from record import program

from condensery import DM, IDC, KFS, ConvNet, Recipe

DATA, PROTOCOL = "imagenette-128-subset-32", "idc2022"
ABOUT = "imagenette-128-subset at 32 pixels, 1 stored image per class and as many bytes of real images; test accuracy"
PRESETS: dict[str, Recipe] = {"idc:photos": IDC.photos(), "kfs:quick": KFS.quick(), "dm:quick": DM.quick()}
WIDTHS = (128, 64)


def preset(name: str, width: int) -> Cell:
    """The cell of a preset in a network of some width."""

    def recipe(usual: Recipe) -> Recipe:
        return PRESETS[name].having(ipc=usual.ipc, seed=usual.seed, net=ConvNet(width=width))

    return Cell(DATA, 1, PRESETS[name].name, PROTOCOL, net=ConvNet(), recipe=recipe, variant=f"width {width}",
                repeats=3, label=name, more={"width": width})  # fmt: skip


def real(method: str, ipc: int) -> Cell:
    """The cell of a coreset."""
    sets, repeats = (3, 1) if method == "random" else (1, 3)
    return Cell(DATA, ipc, method, PROTOCOL, net=ConvNet(), sets=sets, repeats=repeats, label=method,
                more={"width": None})  # fmt: skip


CELLS = [
    real("random", 4), *(preset("idc:photos", width) for width in WIDTHS), real("random", 1), real("herding", 4),
    *(preset(name, width) for name in ("kfs:quick", "dm:quick") for width in WIDTHS),
]  # fmt: skip

if __name__ == "__main__":
    program(lambda: fill("photos", ABOUT, CELLS, __doc__))
