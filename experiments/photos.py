"""A folder of photographs, as in the README's "Your own pictures": `imagenette-128-subset` at 32 pixels.

    python experiments/photos.py --data-dir DIR

350 training and 100 test photographs of each of 10 classes, in folders. All sets but one take the bytes of one learned
image per class: 4 real images, because a real image takes a byte per value and a learned one four; or 4 learned images
or as many codes in one byte per number (`+compact`). `idc:photos` was chosen on a part of these training photographs,
the other presets were not. Two protocols, and one network, the ConvNet of width 128. Codes are measured under
`fixed-steps` only, because they decode to hundreds of images per class, and the 1000 epochs of `idc2022` would take
hours.

Cost at `cpu` scale on 2 cores: 2 to 15 minutes to condense a set, and 1 to 5 for a network: an hour and a half in all.
1 set x 3 networks; 3 sets of random images. Cells that are in the results file are skipped.
"""

from grid import Cell, fill
from record import program

from condensery import DM, IDC, KFS, Compact, ConvNet, Recipe

DATA = "imagenette-128-subset-32"
ABOUT = "imagenette-128-subset at 32 pixels, 1 learned image per class and as many bytes of others; test accuracy"
PRESETS: dict[str, Recipe] = {
    "idc:photos": IDC.photos(), "idc:photos+compact": Compact(IDC.photos()), "dm:quick": DM.quick(),
    "kfs:quick+compact": Compact(KFS.quick()),
}  # fmt: skip


def preset(name: str, protocol: str, width: int = 128) -> Cell:
    """The cell of a preset in a network of some width."""
    made = PRESETS[name]

    def recipe(usual: Recipe) -> Recipe:
        return made.having(ipc=usual.ipc, seed=usual.seed, net=ConvNet(width=width))

    inside, compact = (made.base, ", compact") if isinstance(made, Compact) else (made, "")
    narrow = "" if width == 128 else f", width {width}"
    return Cell(
        DATA, 4 if compact else 1, inside.name, protocol, net=ConvNet(), recipe=recipe,
        variant=f"width {width}{compact}", repeats=3, label=f"`{name}`{narrow}", more={"width": width},
    )  # fmt: skip


def real(method: str, ipc: int, protocol: str) -> Cell:
    """The cell of a coreset."""
    sets, repeats = (3, 1) if method == "random" else (1, 3)
    return Cell(DATA, ipc, method, protocol, net=ConvNet(), sets=sets, repeats=repeats, label=method,
                more={"width": None})  # fmt: skip


def pixels(protocol: str) -> list[Cell]:
    """The cells of sets that store images, under a protocol."""
    return [
        *(real(*which, protocol) for which in (("random", 1), ("random", 4), ("herding", 4))),
        preset("dm:quick", protocol),
        *(preset("idc:photos", protocol, width) for width in (128, 64)),
        preset("idc:photos+compact", protocol),
    ]


CELLS = [*pixels("fixed-steps"), preset("kfs:quick+compact", "fixed-steps"), *pixels("idc2022")]

if __name__ == "__main__":
    program(lambda: fill("photos", ABOUT, CELLS, __doc__, papers=False))
