"""How long methods take to reach an accuracy: FashionMNIST, 1 image per class, while condensing.

    python experiments/time_to_accuracy.py --data-dir DIR [--methods kfs anchor] [--figures DIR]

Presets of minutes, measured on the validation part of FashionMNIST's train after some shares of their steps: 2 networks
of width 128 for each moment, under `fixed-steps`. Seconds are those of the run itself, from its beginning and with all
that happens before its first step; compiling and measuring are left out. They depend on the machine and on its load:
compare rows of one run of this program only. Cost at `cpu` scale on 2 cores: two hours, most of it measuring. Methods
that are in the results file are skipped.
"""

import time
from copy import deepcopy

import sets
from record import (
    Figures,
    Table,
    by_hand,
    compiled,
    condensed,
    evaluate,
    options,
    parsed,
    program,
    read,
    small,
    write_figures,
)

from condensery import ConvNet, Step, SyntheticSet
from condensery.data import Data, fashion_mnist
from condensery.evaluation import plots, protocols
from condensery.kernels.compiling import seconds_spent

METHODS = ("dc", "dsa", "dm", "idc", "kfs", "anchor")
SHARES = (0.1, 0.2, 0.4, 0.7, 1.0)
ABOUT = "Time to accuracy: FashionMNIST, validation part of train, 1 image per class, presets; ConvNet-3, width 128"


def drawn(table: Table) -> Figures:
    """Accuracy over seconds, a curve for each method."""
    lines: dict[str, dict[int, list[float]]] = {}
    for row in table.rows():
        lines.setdefault(row["method"], {})[round(row["seconds"])] = row["runs"]
    return {"time-to-accuracy": plots.plot_curves(lines, "seconds", "accuracy %", log=True, scale=100)}


def measure(table: Table, method: str, data: Data) -> None:
    """Condense with a method and measure what it has learned at every moment."""
    recipe = small(sets.recipe_of("FashionMNIST", 1, method))
    steps = recipe.algorithm(data.train).steps
    moments = {max(1, round(share * steps)) for share in SHARES}
    seen: dict[int, tuple[float, SyntheticSet]] = {}
    start, before = time.perf_counter(), seconds_spent()
    copying = 0.0

    def observe(step: Step) -> None:
        nonlocal copying
        if step.done in moments:
            now = time.perf_counter()
            taken = now - start - copying - (seconds_spent() - before)
            seen[step.done] = taken, deepcopy(step.synthetic)  # type: ignore[assignment]
            copying += time.perf_counter() - now

    with compiled():
        made, _ = condensed(recipe, data, observe)
    for step, (seconds, synthetic) in seen.items():
        reached = evaluate(by_hand(synthetic, data, made.recipe), data, ConvNet(), protocols.fixed_steps, 2)
        table.add(data, reached, made.recipe, seconds, method=method, step=step, seconds=round(seconds, 1))


def main() -> None:
    parser = options(__doc__, figures=True)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, help="only these methods")
    given = parsed(parser, methods=["dm", "anchor"])
    table = Table("time_to_accuracy", ABOUT)
    data = read(fashion_mnist, given.data_dir).validation()
    for method in given.methods:
        if not table.has(method=method):
            measure(table, method, data)
    if given.figures:
        write_figures(drawn(table), given.figures)


if __name__ == "__main__":
    program(main)
