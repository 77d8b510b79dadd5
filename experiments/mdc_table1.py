"""MDC's tables 1, 3, 5, 6 and 12 on FashionMNIST: one set for every size up to 10 images per class, and its cost.

    python experiments/mdc_table1.py --data-dir DIR [--methods A B C mdc ...] [--part validation|test] [--figures DIR]

IDC, ConvNet of width 64, 300 steps (6 restarts of 50), Adam, in bfloat16; sizes 1, 2, 5, 10; 1 set x 3 networks under
`fixed-steps` in bfloat16. On 2 CPU cores: 4 to 7 minutes of condensing at 10 images, and 1 minute to measure a size.
Runs are kept in `runs/mdc_table1/`; cells that are in the results file are skipped.

    A           a set condensed for every size
    B           ten sets of 1 image from different initial images, joined
    C           the first images of the set of 10
    mdc         the same with the adaptive subset loss (`MDC.quick`)
    calculate   ... whose subset is always the first image; nothing is frozen (table 3, row 2)
    compare     ... whose subset is chosen; nothing is frozen (table 3, row 3)
    gradients, accuracy, class-wise
                other ways to choose (table 5; table 12)
    seed 1, seed 2
                `mdc` from other initial images and networks (table 6, of whose runs the paper gives averages only)
    period 2, period 3
                `mdc` that chooses after every 2 or 3 restarts, not after every one
    LFS, LBS    C made smaller without the real images (Slimmable, after its abstract, since we do not have its text).
                LFS does not learn: n principal components of the rows of each class, from which all rows are composed.
                LBS learns: size after size, each one is condensed from the rows of the one before
    kfs C, kfs, kfs, decoders learned, kfs, nothing frozen
                codes x decoders in the bytes of 10 images, cut to the bytes of fewer; the same with MDC, in three ways

`PAPER` has the paper's figures for CIFAR-10 at these sizes, `ABSENT` those for other data.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from record import Figures, Table, compiled, evaluate, few, kept, options, parsed, program, read, write_figures

from condensery.data import Data, RealSet, fashion_mnist
from condensery.evaluation import plots, protocols
from condensery.evaluation.evaluate import Accuracy
from condensery.networks.convnet import ConvNet
from condensery.recipes import IDC, KFS, MDC, Recipe
from condensery.runs.condensed import Condensed
from condensery.synthetic import SyntheticSet

SIZES, REPEATS, NET = (1, 2, 5, 10), 3, ConvNet(width=64)
PAPER = {
    "A": (50.80, 54.85, 62.49, 67.50), "B": (50.80, 53.17, 55.80, 58.38), "C": (27.49, 38.50, 53.60, 67.50),
    "mdc": (49.66, 54.58, 55.18, 66.72), "calculate": (49.35, 48.27, 54.20, 67.63),
    "compare": (40.12, 54.91, 56.18, 67.01), "gradients": (49.20, 53.64, 55.82, 66.90),
    "accuracy": (48.18, 52.66, 59.75, 66.57), "class-wise": (49.22, 52.90, 57.55, 66.90),
}  # fmt: skip
ABSENT = {  # the same for data of which there is no copy here; of ImageNet-10, the sets hold 20 images
    "SVHN": {"A": (68.50, 75.27, 83.33, 87.50), "B": (68.50, 71.65, 73.28, 71.55), "C": (35.48, 51.55, 74.38, 87.50),
             "mdc": (63.26, 67.91, 77.54, 86.38)},
    "CIFAR100": {"A": (28.90, 34.28, 41.15, 45.40), "B": (28.90, 30.63, 32.61, 33.39),
                 "C": (14.38, 21.76, 35.27, 45.40), "mdc": (27.58, 31.83, 36.93, 44.34)},
    "ImageNet10": {"A": (60.40, 63.87, 71.33, 72.80), "B": (60.40, 62.07, 64.67, 63.60),
                   "C": (44.00, 57.27, 64.33, 73.00), "mdc": (55.87, 61.60, 63.80, 71.13)},
}  # fmt: skip
BASE = replace(IDC.quick(), ipc=10, outer_steps=6, real_dtype="bfloat16", network_dtype="bfloat16", net=NET)
CODES = replace(
    KFS.quick(), ipc=10, steps=150, real_dtype="bfloat16", synthetic_dtype="bfloat16", real_rows=64, net=NET
)
VARIANTS: dict[str, Recipe] = {
    "C": BASE,
    "mdc": MDC.quick(BASE),
    "calculate": replace(MDC.quick(BASE), compare=False, freeze=False),
    "compare": replace(MDC.quick(BASE), freeze=False),
    "gradients": replace(MDC.quick(BASE), metric="gradients"),
    "accuracy": replace(MDC.quick(BASE), metric="accuracy"),
    "class-wise": replace(MDC.quick(BASE), class_wise=True),
    **{f"seed {seed}": MDC.quick(BASE).having(seed=seed) for seed in (1, 2)},
    **{f"period {period}": MDC(BASE, period=period, window=5) for period in (2, 3)},
    "kfs C": CODES,
    "kfs": MDC.quick(CODES),
    "kfs, decoders learned": replace(MDC.quick(CODES), shared_decoder="learned"),
    "kfs, nothing frozen": replace(MDC.quick(CODES), freeze=False),
}


def sets(method: str, data: Data, runs: Path) -> Iterator[tuple[int, Condensed, Recipe, float, str]]:
    """For every size: the set, its (first) recipe, and the seconds and the commits of condensing."""
    if method == "A":
        for size in SIZES:
            recipe = replace(BASE, ipc=size)
            made = kept(recipe, data, runs / ("C" if size == 10 else f"A-{size}"))
            yield size, made.condensed, recipe, made.seconds, made.commit
    elif method == "B":
        ones = [
            kept(replace(BASE, ipc=1, seed=k), data, runs / ("A-1" if k == 0 else f"B-{k}")) for k in range(few(10))
        ]
        seconds = sum(one.seconds for one in ones)
        bases = torch.cat([one.condensed.synthetic.bases.detach().cpu() for one in ones], 1)
        first, each = ones[0].condensed, " ".join(dict.fromkeys(one.commit for one in ones))
        for size in SIZES:
            side_by_side = SyntheticSet(bases[:, :size], first.space, first.synthetic.decoder)
            yield size, replace(first, synthetic=side_by_side), replace(BASE, ipc=1), seconds, each
    elif method == "LFS":
        made = kept(BASE, data, runs / "C")
        for size in SIZES:
            yield size, slimmed(made.condensed, size), BASE, made.seconds, made.commit
    elif method == "LBS":
        last = kept(BASE, data, runs / "C")
        total = last.seconds
        yield 10, last.condensed, BASE, total, last.commit
        for size in (5, 2, 1):
            recipe = replace(BASE, ipc=size)
            last = kept(recipe, as_data(last.condensed, data), runs / f"LBS-{size}")
            yield size, last.condensed, recipe, (total := total + last.seconds), last.commit
    else:
        variant = VARIANTS[method]
        made = kept(variant, data, runs / method.replace(",", "").replace(" ", "-"))
        image = 4 * made.condensed.synthetic.classes * data.train.images[0].numel()
        for size in SIZES:
            yield size, made.condensed.subset(bytes=size * image), variant, made.seconds, made.commit


def slimmed(whole: Condensed, size: int) -> Condensed:
    """The rows of a set composed of `size` principal components per class; these and a factor per row are stored."""
    with torch.no_grad():
        x = whole.synthetic().x
    left, scales, right = torch.linalg.svd(x.flatten(2), full_matrices=False)
    rows = (left[..., :size] * scales[:, None, :size]) @ right[:, :size]
    made = SyntheticSet.from_rows(rows.reshape(x.shape), replace(whole.space, stored="normalized"))
    return replace(whole, synthetic=made)


def as_data(condensed: Condensed, data: Data) -> Data:
    """The rows of a condensed set as a training set."""
    x, y = condensed.tensors(space="unit")
    return replace(
        data,
        name=f"{data.name}-{condensed.bases_per_class}",
        train=RealSet(x, y, len(data.class_names), condensed.space).to(device=data.train.device),
    )


def drawn(table: Table, part: str) -> Figures:
    """The curves of the methods on a part, and the choices of its `mdc` run (figure 5, table 7)."""
    curves: dict[str, dict[int, Accuracy]] = {}
    for row in table.rows():
        if row["dataset"] == part:
            found = Accuracy(tuple(row["runs"]), row["protocol"], NET, row["evaluation_seconds"])
            curves.setdefault(row["method"], {})[row["size"]] = found
    return {"mdc-sizes": plots.plot_sizes(curves), "mdc-trace": plots.plot_choices(table.runs / part / "mdc")[0]}


def main() -> None:
    parser = options(__doc__, figures=True)
    parser.add_argument("--part", choices=["validation", "test"], default="validation")
    known = ["A", "B", "LFS", "LBS", *VARIANTS]
    parser.add_argument("--methods", nargs="+", choices=known, default=["C", "mdc", "A", "B"])
    given = parsed(parser, methods=["A", "B", "LFS", "LBS", "C", "mdc"])
    table = Table("mdc_table1", "MDC, tables 1, 3, 5, 6 and 12: FashionMNIST, up to 10 images per class, width 64")
    data = read(fashion_mnist, given.data_dir)
    data = data.validation() if given.part == "validation" else data
    for method in given.methods:
        if all(table.has(dataset=data.name, method=method, size=size) for size in SIZES):
            continue
        with compiled():
            found = list(sets(method, data, table.runs / data.name))
        for size, condensed, recipe, seconds, at in found:
            if table.has(dataset=data.name, method=method, size=size):
                continue
            with compiled():
                reached = evaluate(condensed, data, NET, protocols.fixed_steps, REPEATS, torch.bfloat16)
            table.add(
                data, reached, recipe.record(), seconds, at,
                dataset=data.name, method=method, size=size,
                floats=condensed.floats if method != "LFS" else data.train.classes * size * (
                    condensed.bases_per_class + data.train.images[0].numel()
                ),
                paper=PAPER[method][SIZES.index(size)] if method in PAPER else None,
            )  # fmt: skip
    if given.figures:
        write_figures(drawn(table, data.name), given.figures)


if __name__ == "__main__":
    program(main)
