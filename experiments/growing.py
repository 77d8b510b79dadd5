"""Data that grow: condensing them again, from the earlier set or anew; FashionMNIST.

    python experiments/growing.py --data-dir DIR [--methods dm idc] [--figures DIR]

At first there is half of the rows, or eight of the ten classes. Then the rest arrives. The set of all data is condensed
anew, anew in a third of the steps, and in a third of the steps from the set of the first data (`+warm`). 1 image per
class, ConvNet-3 of width 64, `fixed-steps`, 1 set x 5 networks. No published figures. Cost at `cpu` scale on 2 cores: 5
to 15 minutes for each method. Runs are kept in `runs/growing/`; cells that are in the results file are skipped.
"""

from dataclasses import replace

import sets
import torch
from record import Figures, Table, compiled, evaluate, kept, options, parsed, program, read, small, write_figures

from condensery import ConvNet, Recipe
from condensery.data import Data, fashion_mnist
from condensery.evaluation import plots
from condensery.evaluation.protocols import fixed_steps
from condensery.recipes import Warm

METHODS, REPEATS, NET = ("dm", "idc"), 5, ConvNet(width=64)


def first(data: Data, what: str) -> Data:
    """What there is at first: every other row of the training part, or the first eight tenths of the classes."""
    if what == "classes":
        return data.of_classes(range(data.train.classes * 4 // 5))
    return replace(data, train=data.train.subset(torch.arange(len(data.train)) % 2 == 0))


def shorter(recipe: Recipe) -> Recipe:
    """The recipe with a third of its steps, or of its restarts."""
    name = "outer_steps" if hasattr(recipe, "outer_steps") else "steps"
    return replace(recipe, **{name: max(1, getattr(recipe, name) // 3)})


def drawn(table: Table) -> Figures:
    """Accuracy over the minutes of condensing, a point for every set, with a color for each way to condense."""
    groups: dict[str, list[tuple[float, float]]] = {}
    for row in table.rows():
        groups.setdefault(row["case"], []).append((row["condense_seconds"] / 60, 100 * row["accuracy"]))
    return {"growing": plots.plot_points(groups, "minutes of condensing", "accuracy %")}


def main() -> None:
    parser = options(__doc__, figures=True)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, help="only these methods")
    given = parsed(parser, methods=METHODS[:1])
    table = Table("growing", "Data that grow: FashionMNIST, 1 image per class, ConvNet-3 of width 64; test accuracy")
    data = read(fashion_mnist, given.data_dir)
    for method in given.methods:
        recipe = small(sets.recipe_of("FashionMNIST", 1, method).having(net=NET))
        for what in ("rows", "classes"):
            with compiled():
                earlier = table.runs / f"{method}-{what}-first"
                cases = {
                    "anew": recipe, "anew, a third of the steps": shorter(recipe),
                    "warm, a third of the steps": Warm(shorter(recipe), str(earlier)),
                }  # fmt: skip
                for case, chosen in cases.items():
                    if table.has(method=method, added=what, case=case):
                        continue
                    if isinstance(chosen, Warm):
                        kept(recipe, first(data, what), earlier)
                    of = what if "warm" in case else "all"  # without the first set, it does not matter what is added
                    made = kept(chosen, data, table.runs / f"{method}-{of}-{case.replace(',', '').replace(' ', '-')}")
                    reached = evaluate(made.condensed, data, NET, fixed_steps, REPEATS, torch.bfloat16)
                    table.add(
                        data, reached, made.condensed.recipe, made.seconds, made.commit, made.processor,
                        dataset="FashionMNIST", method=method, added=what, case=case, floats=made.condensed.floats,
                    )  # fmt: skip
    if given.figures:
        write_figures(drawn(table), given.figures)


if __name__ == "__main__":
    program(main)
