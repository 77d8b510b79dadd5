"""Plots as SVG, by matplotlib (`pip install condensery[plot]`)."""

import io
import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

from condensery.errors import InputError

if TYPE_CHECKING:
    from condensery.evaluation.evaluate import Accuracy

__all__ = ["curves", "heat_map", "needed", "size_curve", "subset_trace"]


def needed() -> None:
    """Check, before work begins, that matplotlib is installed.

    Raises:
        InputError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise InputError("plots need matplotlib: pip install 'condensery[plot]'")


def size_curve(curves: "Mapping[str, Mapping[int, Accuracy]]", sizes: str = "images per class") -> bytes:
    """A plot of accuracy over the size of a subset, mean ± std, one line per curve, as SVG.

    Arguments:
        curves: the accuracy at every size, for every curve by its name.
        sizes: label of the horizontal axis.

    Raises:
        InputError: matplotlib is not installed.
    """
    figure, axes = _figure(1)
    from matplotlib.ticker import MaxNLocator

    axes[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    for name, by_size in curves.items():
        x = sorted(by_size)
        axes[0].errorbar(
            x, [100 * by_size[n].mean for n in x], [100 * by_size[n].std for n in x], label=name, marker="o", capsize=3
        )
    axes[0].set_xlabel(sizes)
    axes[0].set_ylabel("accuracy %")
    axes[0].legend()
    return _svg(figure)


def curves(
    lines: Mapping[str, Mapping[int, Sequence[float]]], x: str, y: str, log: bool = False, scale: float = 1.0
) -> bytes:
    """A plot of values over a number, mean ± std of the values at each place, one line per curve, as SVG.

    Arguments:
        lines: the values at every place, for every curve by its name.
        x, y: labels of the axes.
        log: whether the horizontal axis is logarithmic.
        scale: a factor on all values, such as 100 for accuracies in percent.

    Raises:
        InputError: matplotlib is not installed.
    """
    figure, axes = _figure(1)
    for name, values in lines.items():
        places = sorted(values)
        means, spreads = ([scale * of(values[place]) for place in places] for of in (fmean, pstdev))
        axes[0].errorbar(places, means, spreads, label=name, marker="o", capsize=3)
    if log:
        axes[0].set_xscale("log")
    axes[0].set_xlabel(x)
    axes[0].set_ylabel(y)
    axes[0].legend()
    return _svg(figure)


def heat_map(values: Mapping[tuple[int, int], float], across: str, down: str, shade: str) -> bytes:
    """A plot of a value over pairs of numbers, as a grid of shaded cells, as SVG.

    Arguments:
        values: the value of each pair (across, down); a pair that is missing leaves its cell blank.
        across, down: labels of the axes.
        shade: what the values are.

    Raises:
        InputError: matplotlib is not installed.
    """
    figure, axes = _figure(1)
    columns, lines = (sorted({pair[i] for pair in values}) for i in (0, 1))
    grid = [[values.get((column, line), float("nan")) for column in columns] for line in lines]
    figure.colorbar(axes[0].imshow(grid, origin="lower", aspect="auto"), label=shade)
    axes[0].set_xticks(range(len(columns)), map(str, columns))
    axes[0].set_yticks(range(len(lines)), map(str, lines))
    axes[0].set_xlabel(across)
    axes[0].set_ylabel(down)
    return _svg(figure)


def subset_trace(run: str | Path) -> bytes:
    """A plot of an MDC run over its steps: the chosen subset, the frozen one, and the scores of the subsets, as SVG.

    Arguments:
        run: the folder of the run, in which `metrics.jsonl` is read.

    Raises:
        InputError: no such run, or one that chose no subset; matplotlib is not installed.

    References:
        MDC figure 5 and table 7.
    """
    said = _choices(Path(run) / "metrics.jsonl")
    steps = [line["step"] for line in said]
    figure, axes = _figure(2)
    axes[0].set_ylim(0, len(said[0]["scores"][0]) + 1)
    for name, style in (("subset", "-"), ("frozen", "--")):
        low, high = ([extreme(line[name]) for line in said] for extreme in (min, max))
        mean = [sum(line[name]) / len(line[name]) for line in said]
        axes[0].step(steps, mean, style, where="post", label=name if low == high else f"{name}, mean of classes")
        if low != high:
            axes[0].fill_between(steps, low, high, step="post", alpha=0.2)
    axes[0].set_ylabel("images per class")
    axes[0].legend()
    scores = [[sum(column) / len(column) for column in zip(*line["scores"], strict=True)] for line in said]
    for n, by_step in enumerate(zip(*scores, strict=True), 1):
        axes[1].plot(steps, by_step, marker=".", label=f"first {n}")
    axes[1].set_xlabel("steps")
    axes[1].set_ylabel("score of the subset")
    if len(scores[0]) <= 20:
        axes[1].legend(fontsize="x-small", ncols=2)
    return _svg(figure)


def _choices(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise InputError(f"{path.parent}: no {path.name} in it; give the folder of a run")
    try:
        lines: list[dict[str, Any]] = [json.loads(line) for line in path.read_text().splitlines()]
        wanted = ("step", "subset", "frozen", "scores")
        said = [{key: line[key] for key in wanted} for line in lines if "scores" in line]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: not a run's metrics ({error})") from error
    if not said:
        raise InputError(
            f"{path.parent}: this run chose no subset; give a run whose recipe has +mdc and makes a choice"
        )
    return said


def _figure(rows: int) -> tuple[Any, Any]:
    needed()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.5 * rows), layout="constrained")
    return figure, figure.subplots(rows, squeeze=False)[:, 0]


def _svg(figure: Any) -> bytes:
    from matplotlib import rc_context

    file = io.BytesIO()
    with rc_context({"svg.hashsalt": "condensery"}):  # so that the same plot gives the same bytes
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
