"""DC, tables T6 to T10: MNIST condensed in one ConvNet to 1 image per class, and measured in another, under `dc2021`.

    python experiments/dc_tables6to10.py --data-dir DIR

The networks differ in activation (T6), pooling (T7), norm (T8), depth (T9) or width (T10). C is the network in which
the set is condensed, T the one that is trained on it. Cost at `cpu` scale on 2 cores: 14 sets of 5 to 15 minutes
and 71 cells of 2 minutes, 5 hours in all. Cells that are in the results file are skipped.

The paper: 5 sets x 20 networks. Here: 1 set x 3 networks, of `dc:quick`.
"""

from collections.abc import Sequence

from grid import Cell, fill, having
from record import program

from condensery import ConvNet
from condensery.networks.net import described

ACTIVATIONS, POOLINGS = ("sigmoid", "relu", "leaky_relu"), ("none", "max", "avg")
NORMS, DEPTHS, WIDTHS = ("none", "batch", "layer", "instance", "group"), (1, 2, 3, 4), (32, 64, 128, 256)
PAPER = {
    "T6": """86.7 ± 0.7, 91.2 ± 0.6, 91.2 ± 0.6
             86.1 ± 0.9, 91.7 ± 0.5, 91.7 ± 0.5
             86.3 ± 0.9, 91.7 ± 0.5, 91.7 ± 0.4""",
    "T7": """78.7 ± 3.0, 80.8 ± 3.5, 88.3 ± 1.0
             81.2 ± 2.8, 89.5 ± 1.1, 91.1 ± 0.6
             81.8 ± 2.9, 90.2 ± 0.8, 91.7 ± 0.5""",
    "T8": """79.0 ± 2.2, 80.8 ± 2.0, 85.8 ± 1.7, 90.7 ± 0.7, 85.9 ± 1.7
             78.6 ± 2.1, 80.7 ± 1.8, 85.7 ± 1.6, 90.9 ± 0.6, 85.9 ± 1.5
             81.2 ± 1.8, 78.6 ± 3.0, 87.4 ± 1.3, 90.7 ± 0.7, 87.3 ± 1.4
             72.9 ± 7.1, 56.7 ± 6.5, 82.7 ± 5.3, 91.7 ± 0.5, 84.3 ± 4.2
             79.5 ± 2.1, 81.8 ± 2.3, 87.3 ± 1.2, 91.6 ± 0.5, 87.2 ± 1.2""",
    "T9": """61.3 ± 3.5, 78.2 ± 3.0, 77.1 ± 4.0, 76.4 ± 3.5
             78.3 ± 2.3, 89.0 ± 0.8, 91.0 ± 0.6, 89.4 ± 0.8
             81.6 ± 1.5, 89.8 ± 0.8, 91.7 ± 0.5, 90.4 ± 0.6
             82.5 ± 1.3, 89.9 ± 0.8, 91.9 ± 0.5, 90.6 ± 0.4""",
    "T10": """90.6 ± 0.8, 91.4 ± 0.5, 91.5 ± 0.5, 91.3 ± 0.6
              91.0 ± 0.8, 91.6 ± 0.6, 91.8 ± 0.5, 91.4 ± 0.6
              90.8 ± 0.7, 91.5 ± 0.6, 91.7 ± 0.5, 91.2 ± 0.7
              91.0 ± 0.7, 91.6 ± 0.6, 91.7 ± 0.5, 91.4 ± 0.5""",
}
"""A line for each C, a column for each T."""
NETS: dict[str, Sequence[ConvNet]] = {
    "T6": [ConvNet(activation=name) for name in ACTIVATIONS],  # type: ignore[arg-type]
    "T7": [ConvNet(pooling=name) for name in POOLINGS],  # type: ignore[arg-type]
    "T8": [ConvNet(norm=name) for name in NORMS],  # type: ignore[arg-type]
    "T9": [ConvNet(depth=None if depth == 3 else depth) for depth in DEPTHS],  # 3 is the default for MNIST
    "T10": [ConvNet(width=width) for width in WIDTHS],
}
ABOUT = "DC, tables T6 to T10: MNIST, 1 image per class, condensed in one ConvNet and measured in another"


def cell(condensed_in: ConvNet, measured_in: ConvNet, paper: str) -> Cell:
    """A figure of the tables. The default ConvNet is in all of them, and is condensed and measured once."""
    usual, where = condensed_in == ConvNet(), described(condensed_in)
    return Cell(
        "MNIST", 1, "dc", "dc2021", net=measured_in, recipe=None if usual else having(net=condensed_in),
        variant="" if usual else where, paper=paper, repeats=3, more={"condensed_in": where},
    )  # fmt: skip


TABLES = {
    table: [
        cell(c, t, figure)
        for c, line in zip(NETS[table], lines.splitlines(), strict=True)
        for t, figure in zip(NETS[table], line.strip().split(", "), strict=True)
    ]
    for table, lines in PAPER.items()
}
CELLS = [cell for cells in TABLES.values() for cell in cells]

if __name__ == "__main__":
    program(lambda: fill("dc_tables6to10", ABOUT, CELLS, __doc__))
