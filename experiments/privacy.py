"""Membership inference against networks trained on condensed sets; FashionMNIST, 1 image per class.

    python experiments/privacy.py --data-dir DIR [--methods dm kfs ...] [--figures DIR]

A third of the training part is condensed; attacks try to tell its images from those of another third. For comparison,
networks are trained on the initial images and on random ones. ConvNet-3 of width 64, `fixed-steps`, 1 set x 5 networks,
and 8 networks on images of the last third. No published figures. Cost at `cpu` scale on 2 cores: 10 to 20 minutes for
each method. Rows that are in the results file are skipped.
"""

import sets
from record import Figures, Table, brief, compiled, few, options, parsed, program, read, small, smoke_run, write_figures

from condensery import ConvNet
from condensery.applications import membership
from condensery.data import fashion_mnist
from condensery.evaluation.protocols import fixed_steps

METHODS, REPEATS, SHADOWS, NET = ("random", "dc", "dm", "idc", "kfs"), 5, 8, ConvNet(width=64)
ABOUT = "Membership inference on FashionMNIST, 1 image per class; areas under the ROC curve"


def drawn(table: Table) -> Figures:
    """For every method, how well its initial images are told from others by the likelihood ratio."""
    from matplotlib.figure import Figure

    axes = Figure(figsize=(7, 3.5), layout="constrained").subplots()
    found = [row for row in table.rows() if row["members"] == "its initial images"]
    for trained_on in dict.fromkeys(row["trained_on"] for row in found):
        rows = [row for row in found if row["trained_on"] == trained_on]
        means, halves = ([100 * row[name] for row in rows] for name in ("ratio", "ratio half width"))
        axes.errorbar([row["method"] for row in rows], means, halves, fmt="o", capsize=3, label=trained_on)
    axes.axhline(50, color="gray", linewidth=1)
    axes.set(ylabel="area under the ROC curve, %")
    axes.legend(title="networks trained on")
    return {"privacy": axes}


def main() -> None:
    parser = options(__doc__, figures=True)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, help="only these methods")
    given = parsed(parser, methods=["dm"])
    table = Table("privacy", ABOUT)
    data = read(fashion_mnist, given.data_dir)
    for method in given.methods:
        if table.has(method=method):
            continue
        recipe = small(sets.recipe_of("FashionMNIST", 1, method).having(net=NET))
        with compiled():
            shadows = 2 if smoke_run() else SHADOWS
            found = membership(
                data, recipe, protocol=brief(fixed_steps), repeats=few(REPEATS), shadows=shadows, progress=False
            )
        for each in found:
            areas = {"loss": each.loss, "ratio": each.ratio}
            means = {name: sum(values) / len(values) for name, values in areas.items()}
            halves = {f"{name} half width": half for name, half in zip(areas, each.half_widths, strict=True)}
            table.note(
                data, means | halves, recipe.record(), dataset="FashionMNIST", method=method,
                trained_on=each.trained_on, members=each.members, n=len(each.loss), loss_runs=list(each.loss),
                ratio_runs=list(each.ratio), images=list(each.images),
            )  # fmt: skip
    if given.figures:
        write_figures(drawn(table), given.figures)


if __name__ == "__main__":
    program(main)
