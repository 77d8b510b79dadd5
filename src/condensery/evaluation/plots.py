"""Plots by matplotlib: each function draws into axes and returns them.

axes = cd.plot_sizes({"idc": by_size})
axes.set_title("FashionMNIST")
Path("sizes.svg").write_bytes(svg(axes))
"""

import io
import json
import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

from condensery.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from condensery.evaluation.evaluate import Accuracy

__all__ = ["needed", "plot_choices", "plot_curves", "plot_heat_map", "plot_points", "plot_sizes", "svg"]


def needed() -> None:
    """Check, before work begins, that matplotlib is installed.

    Raises:
        InputError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise InputError("plots need matplotlib: pip install matplotlib")


def plot_sizes(
    curves: "Mapping[str, Mapping[int, Accuracy | float]]", sizes: str = "images per class", axes: "Axes | None" = None
) -> "Axes":
    """Plot accuracy over the size of a subset, mean ± std, one line per curve.

    Arguments:
        curves: the accuracy (or a fraction) at every size, for every curve by its name.
        sizes: label of the horizontal axis.
        axes: where to draw; None: a new figure.

    Raises:
        InputError: matplotlib is not installed.
    """
    axes = axes or _new()
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for name, by_size in curves.items():
        x = sorted(by_size)
        of = [by_size[n] for n in x]
        means = [100 * (each if isinstance(each, float | int) else each.mean) for each in of]
        spreads = [0 if isinstance(each, float | int) else 100 * each.std for each in of]
        axes.errorbar(x, means, spreads, label=name, marker="o", capsize=3)
    axes.set(xlabel=sizes, ylabel="accuracy %")
    axes.legend()
    return axes


def plot_curves(
    lines: Mapping[str, Mapping[int, Sequence[float]]],
    x: str,
    y: str,
    log: bool = False,
    scale: float = 1.0,
    axes: "Axes | None" = None,
) -> "Axes":
    """Plot values over a number, mean ± std of the values at each place, one line per curve.

    Arguments:
        lines: the values at every place, for every curve by its name.
        x, y: labels of the axes.
        log: whether the horizontal axis is logarithmic.
        scale: a factor on all values, such as 100 for accuracies in percent.
        axes: where to draw; None: a new figure.

    Raises:
        InputError: matplotlib is not installed.
    """
    axes = axes or _new()
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for name, values in lines.items():
        places = sorted(values)
        means, spreads = ([scale * of(values[place]) for place in places] for of in (fmean, pstdev))
        axes.errorbar(places, means, spreads, label=name, marker="o", capsize=3)
    if log:
        axes.set_xscale("log")
    axes.set(xlabel=x, ylabel=y)
    if len(lines) > 6:  # the legend would cover curves
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    else:
        axes.legend()
    return axes


def plot_points(
    groups: Mapping[str, Sequence[tuple[float, float]]], x: str, y: str, scale: float = 1.0, axes: "Axes | None" = None
) -> "Axes":
    """Plot pairs of numbers as points, with a color for each group.

    Arguments:
        groups: the pairs (across, up), for every group by its name.
        x, y: labels of the axes.
        scale: a factor on all numbers, such as 100 for accuracies in percent.
        axes: where to draw; None: a new figure.

    Raises:
        InputError: matplotlib is not installed.
    """
    axes = axes or _new()
    for name, pairs in groups.items():
        axes.scatter([scale * across for across, _ in pairs], [scale * up for _, up in pairs], label=name)
    axes.set(xlabel=x, ylabel=y)
    axes.legend()
    return axes


def plot_heat_map(
    values: Mapping[tuple[int, int], float], across: str, down: str, shade: str, axes: "Axes | None" = None
) -> "Axes":
    """Plot a value over pairs of numbers, as a grid of shaded cells.

    Arguments:
        values: the value of each pair (across, down); a pair that is missing leaves its cell blank.
        across, down: labels of the axes.
        shade: what the values are.
        axes: where to draw; None: a new figure.

    Raises:
        InputError: matplotlib is not installed.
    """
    axes = axes or _new()
    columns, lines = (sorted({pair[i] for pair in values}) for i in (0, 1))
    grid = [[values.get((column, line), float("nan")) for column in columns] for line in lines]
    axes.figure.colorbar(axes.imshow(grid, origin="lower", aspect="auto"), ax=axes, label=shade)
    axes.set_xticks(range(len(columns)), map(str, columns))
    axes.set_yticks(range(len(lines)), map(str, lines))
    axes.set(xlabel=across, ylabel=down)
    return axes


def plot_choices(run: str | Path) -> "tuple[Axes, Axes]":
    """Plot an MDC run over its steps: the chosen subset and the frozen one; below, the scores of the subsets.

    Arguments:
        run: the folder of the run, in which `metrics.jsonl` is read.

    Raises:
        InputError: no such run, or one that chose no subset; matplotlib is not installed.

    References:
        MDC figure 5 and table 7.
    """
    said = _choices(Path(run) / "metrics.jsonl")
    steps = [line["step"] for line in said]
    above = _new(rows=2)
    below = above.figure.axes[1]
    above.set_ylim(0, len(said[0]["scores"][0]) + 1)
    for name, style in (("subset", "-"), ("frozen", "--")):
        low, high = ([extreme(line[name]) for line in said] for extreme in (min, max))
        mean = [sum(line[name]) / len(line[name]) for line in said]
        above.step(steps, mean, style, where="post", label=name if low == high else f"{name}, mean of classes")
        if low != high:
            above.fill_between(steps, low, high, step="post", alpha=0.2)
    above.set_ylabel("images per class")
    above.legend()
    scores = [[sum(column) / len(column) for column in zip(*line["scores"], strict=True)] for line in said]
    for n, by_step in enumerate(zip(*scores, strict=True), 1):
        below.plot(steps, by_step, marker=".", label=f"first {n}")
    below.set(xlabel="steps", ylabel="score of the subset")
    if len(scores[0]) <= 20:
        below.legend(fontsize="x-small", ncols=2)
    return above, below


def _choices(path: Path) -> list[dict[str, Any]]:
    if not os.path.isfile(path):
        raise InputError(f"{path.parent}: no {path.name} in it; give the folder of a run")
    try:
        text = path.read_text()
        whole = text[: text.rfind("\n") + 1]  # a kill may have cut off the last line
        lines: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]
        wanted = ("step", "subset", "frozen", "scores")
        said = [{key: line[key] for key in wanted} for line in lines if "scores" in line]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: not a run's metrics ({error})") from error
    if not said:
        raise InputError(
            f"{path.parent}: this run chose no subset; give a run whose recipe has +mdc and makes a choice"
        )
    return said


def _new(rows: int = 1) -> "Axes":
    """The first axes of a new figure of `rows` plots, which no window shows unless a notebook displays it."""
    needed()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.5 * rows), layout="constrained")
    first: Axes = figure.subplots(rows, squeeze=False)[0, 0]
    return first


def svg(axes: "Axes") -> bytes:
    """The figure that `axes` belong to, as SVG. The same plot gives the same bytes."""
    from matplotlib import rc_context

    file = io.BytesIO()
    with rc_context({"svg.hashsalt": "condensery"}):
        axes.figure.figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
