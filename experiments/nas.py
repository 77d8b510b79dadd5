"""Architecture search on proxies: DC's table 4 at CPU scale, on FashionMNIST.

    python experiments/nas.py --data-dir DIR [--proxies random dc ...] [--engine local|ray] [--workers N]
        [--figures DIR]

The paper: 720 ConvNets, CIFAR-10, 10 images per class; correlation over the 10 networks that a proxy ranks highest.
Here 24 ConvNets (widths 16 and 32, depths 1 to 3, with and without instance norm, maximum and average pooling), 10
images per class in a network of width 32, `fixed-steps` on a proxy and 3 epochs on the whole training part. Recipes
condense nine tenths of the training part, and networks are chosen by the last tenth. Cost at `cpu` scale on 2 cores: 10
minutes for each proxy, and an hour for the whole training part. Sets are kept in `runs/nas/`, and so are trials, which
only the same code uses again.
"""

import os
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import sets
from record import (
    Figures,
    Table,
    brief,
    options,
    parsed,
    program,
    read,
    small,
    smoke_run,
    write_figures,
)

from condensery import ConvNet, Net, Recipe
from condensery.applications import Candidate, EarlyStopping, architecture_search, small_grid
from condensery.data import Data
from condensery.evaluation import plots
from condensery.evaluation.protocols import Protocol, fixed_steps, whole

DATASET, IPC, NET = "FashionMNIST", 10, ConvNet(width=32)
EARLY = "early-stopping"
PROXIES = ("random", "herding", "dc", "dm", "idc", "kfs", EARLY)
PAPER = {  # performance of the best network, and the correlation over the 10 best
    "random": "76.2 / -0.21", "herding": "76.2 / -0.20", "dc": "84.5 / 0.79", EARLY: "84.5 / 0.42",
    "whole": "85.9 / 1.00",
}  # fmt: skip
ABOUT = "Architecture search on FashionMNIST: ConvNets ranked by training on proxies; test accuracy of the best"


def reference(data: Data, condensed: Any = None, net: Any = None) -> Protocol:
    """Training on the whole training part, in 3 epochs."""
    return replace(whole(data), name="whole (3 epochs)", epochs=3)


def recipe_of(method: str) -> Recipe:
    """The quick preset of a method, with 10 images per class."""
    return small(sets.recipe_of(DATASET, 1, method).having(ipc=IPC, net=NET))


def of_norm(net: str) -> str:
    """The group of a network in the plots."""
    return "no norm" if "norm none" in net else "instance norm"


def drawn(table: Table, group: Callable[[str], str]) -> Figures:
    """For every proxy, the accuracy of each candidate after training on it and on the whole part, colored by group."""
    from matplotlib.figure import Figure

    found = {row["proxy"]: row["accuracies"] for row in table.rows()}
    whole = found.pop("whole", {})
    panels = Figure(figsize=(11, 2.8 * -(-len(found) // 4)), layout="constrained").subplots(-(-len(found) // 4), 4)
    for panel in panels.flat[len(found) :]:
        panel.set_axis_off()
    for panel, (proxy, accuracies) in zip(panels.flat, found.items(), strict=False):
        pairs: dict[str, list[tuple[float, float]]] = {}
        for name in sorted(whole, key=group):
            pairs.setdefault(group(name), []).append((accuracies[name], whole[name]))
        plots.plot_points(pairs, "trained on the proxy, %", "on the whole part, %", 100, panel).set_title(proxy)
        panel.get_legend().remove()  # one for all panels
    panels.flat[0].figure.legend(*panels.flat[0].get_legend_handles_labels(), loc="outside lower right", ncols=2)
    return {table.path.stem: panels.flat[0]}


def options_of(description: str | None, proxies: Sequence[str]) -> Namespace:
    """The options of a search on some proxies."""
    parser = options(description, figures=True)
    parser.add_argument("--proxies", nargs="+", choices=proxies, default=proxies, help="only these proxies")
    parser.add_argument("--engine", choices=["local", "ray"], default="local", help="where networks are trained")
    parser.add_argument("--workers", type=int, help="number of processes; by default one per core")
    return parsed(parser, proxies=["random", EARLY])


def main() -> None:
    given, table = options_of(__doc__, PROXIES), Table("nas", ABOUT)
    search(table, given, small_grid()[:: 12 if smoke_run() else 1], PAPER)
    if given.figures:
        write_figures(drawn(table, of_norm), given.figures)


def search(
    table: Table, given: Namespace, candidates: Sequence[Net | Candidate], paper: Mapping[str, str] = {}
) -> None:
    """Fill in the rows of the proxies that the table does not contain."""
    todo = [name for name in given.proxies if not table.has(dataset=DATASET, proxy=name)]
    if not todo:
        return
    data = read(sets.READERS[DATASET], given.data_dir)
    # early stopping takes as many steps and rows as training on the first set, which is always the random one
    first = ["random"] if EARLY in todo else []
    recipes = {name: recipe_of(name) for name in dict.fromkeys([*first, *todo]) if name != EARLY}
    with patch.dict(os.environ, CONDENSERY_CACHE=""):  # whole sets on which earlier code trained would be there
        found = architecture_search(
            data, {**recipes, **({EARLY: EarlyStopping()} if EARLY in todo else {})}, candidates, brief(fixed_steps),
            brief(reference), engine=given.engine, workers=given.workers, folder=table.runs, progress=False,
        )  # fmt: skip
    for row in found:
        if row.proxy in todo or (row.proxy == "whole" and not table.has(dataset=DATASET, proxy="whole")):
            numbers = {"performance": row.performance, "seconds": round(row.seconds, 1)}
            correlations = {"top": row.top, "spearman": row.spearman, "kendall": row.kendall}
            numbers |= {name: value for name, value in correlations.items() if value is not None}
            recipe = recipes[row.proxy].record() if row.proxy in recipes else {}
            table.note(
                data, numbers, recipe, dataset=DATASET, proxy=row.proxy, best=str(row.best),
                floats=row.floats, bytes=row.bytes, paper=paper.get(row.proxy),
                accuracies={str(net): accuracy for net, accuracy in row.accuracies.items()},
            )  # fmt: skip


if __name__ == "__main__":
    program(main)
