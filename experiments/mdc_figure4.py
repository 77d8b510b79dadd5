"""MDC, figure 4: accuracy of IDC and of MDC while they condense, averaged over the sizes of the set.

    python experiments/mdc_figure4.py --data-dir DIR [--figures DIR]

The paper (CIFAR-10, hours of training, no numbers but these): MDC reaches IDC's final average in 0.6 of 11.5 hours.
Here: `C` and `mdc` of mdc_table1.py, measured on the validation part of FashionMNIST's train after 25, 50, 100, 200
and 300 steps, at sizes 1, 2, 5 and 10; 1 network for each, under `fixed-steps` in bfloat16. Cost at `cpu` scale on
2 cores: 12 minutes to condense, and 15 to measure. Methods that are in the results file are skipped.
"""

from copy import deepcopy
from statistics import fmean

import torch
from mdc_table1 import NET, SIZES, VARIANTS
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
    smoke_run,
    write_figures,
)

from condensery import Step, SyntheticSet
from condensery.data import fashion_mnist
from condensery.evaluation import plots, protocols

MOMENTS = (25, 50, 100, 200, 300)


def drawn(table: Table) -> Figures:
    """The average over the sizes, over the steps of condensing."""
    found: dict[str, dict[int, list[float]]] = {}
    for row in table.rows():
        found.setdefault(row["method"], {}).setdefault(row["step"], []).append(row["accuracy"])
    lines = {name: {step: [fmean(of_sizes)] for step, of_sizes in steps.items()} for name, steps in found.items()}
    return {"mdc-figure-4": plots.plot_curves(lines, "steps", "accuracy %, mean over sizes", scale=100)}


def main() -> None:
    given = parsed(options(__doc__, figures=True))
    moments = (1, 4) if smoke_run() else MOMENTS
    table = Table("mdc_figure4", "MDC, figure 4: FashionMNIST, validation part of train, while condensing; width 64")
    data = read(fashion_mnist, given.data_dir).validation()
    for method in ("C", "mdc"):
        cells = [(step, size) for step in moments for size in SIZES]
        todo = [cell for cell in cells if not table.has(method=method, step=cell[0], size=cell[1])]
        if not todo:
            continue
        seen: dict[int, SyntheticSet] = {}

        def observe(step: Step, seen: dict[int, SyntheticSet] = seen) -> None:
            if step.done in moments:
                seen[step.done] = deepcopy(step.synthetic)  # type: ignore[assignment]

        with compiled():
            made, seconds = condensed(VARIANTS[method], data, observe)
        for step, size in todo:
            part = by_hand(seen[step], data, made.recipe).subset(size)
            reached = evaluate(part, data, NET, protocols.fixed_steps, 1, torch.bfloat16)
            table.add(data, reached, made.recipe, seconds * step / made.steps, method=method, step=step, size=size)
    if given.figures:
        write_figures(drawn(table), given.figures)


if __name__ == "__main__":
    program(main)
