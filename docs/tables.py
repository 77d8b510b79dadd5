"""Write the tables in docs/ and README.md, and what `auto` knows, from results/; --check: say what is not current."""

import importlib
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from statistics import fmean, median, pstdev
from typing import Any

from condensery.cli.names import RECIPES
from condensery.networks.net import described

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "experiments"))
FILES = (*sorted((ROOT / "docs").glob("**/*.md")), ROOT / "README.md")
KNOWN = ROOT / "src" / "condensery" / "runs" / "known.json"
SHAPES = {"digits": (64, 10), "FashionMNIST": (784, 10), "cifar10-jpeg": (3072, 10)}
"""Numbers in an image, and classes, of the data of `experiments/bytes.py`."""
DATASETS = ("FashionMNIST", "MNIST")
ABSENT = ("SVHN", "CIFAR10", "CIFAR100", "ImageNet10", "ImageNet100", "TinyImageNet", "MiniSpeechCommands")
"""Data sets of the papers of which there is no copy here."""

Row = dict[str, Any]
"""A row of a results file."""


def results(name: str) -> list[Row]:
    """The rows of a results file; those of sets that were condensed at the scale `gpu` come last."""
    path = ROOT / "results" / f"{name}.json"
    rows: list[Row] = json.loads(path.read_text())["rows"] if path.exists() else []
    return sorted(rows, key=lambda row: row.get("scale") == "gpu")


def percent(row: Row) -> str:
    """The accuracy; an asterisk marks what was condensed by the paper's own schedule."""
    return f"{mean(row['runs'])}{'*' if row.get('scale') == 'gpu' else ''}"


def gap(row: Row, paper: str) -> str:
    return f"{100 * row['accuracy'] - float(paper.split()[0]):+.1f}"


def mean(runs: list[float]) -> str:
    return f"{100 * fmean(runs):.1f}" + (f" ± {100 * pstdev(runs):.1f}" if len(runs) > 1 else "")


def condensing(row: Row, unit: str = "s") -> str:
    """The time that the set took; on a GPU it cannot be compared with that on a CPU."""
    seconds = row["condense_seconds"]
    if seconds < 1:
        return "-"
    said = f"{seconds / 60:.1f} min" if unit == "min" else f"{seconds:.0f} s"
    return said + " (GPU)" * str(row.get("condensed_on", row["processor"])).startswith("NVIDIA")


def each(values: Iterable[object]) -> str:
    """All different values."""
    return ", ".join(dict.fromkeys(str(value) for value in values))


def table(head: list[str], lines: list[list[str]]) -> str:
    if not lines:
        return "No figures yet."
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *lines])


def cells(name: str, part: str | None = None) -> list[tuple[Any, Row | None, str]]:
    """The cells of `experiments/<name>.py`, or of one of its tables, each with its row, or None and the reason why."""
    module, rows, found = importlib.import_module(name), results(name)[::-1], []
    for cell in module.CELLS if part is None else module.TABLES[part]:
        keys = {k: v for k, v in cell.keys.items() if k != "scale"}
        row = next((row for row in rows if all(row.get(k) == v for k, v in keys.items())), None)
        absent = cell.dataset.removesuffix("-zca") in ABSENT
        reason = "data absent" if absent else "needs a GPU" if cell.gpu else ""
        found.append((cell, row, f"not run: {reason}" if reason else "not run yet"))
    return found


IDC_NETS = {described(net): name for name, net in importlib.import_module("grid").IDC_NETS.items()}
"""The usual names of the networks of IDC's program."""


def key(cell: Any, name: str) -> str:
    """What identifies a cell in a table: a key of its row, or its label."""
    value = cell.label if name == "label" else cell.keys.get(name)
    value = IDC_NETS.get(value, value) if name == "measured_in" else value
    return "all" if value is None and name == "ipc" else str(value).removeprefix("convnet ")


def named(columns: tuple[str, ...]) -> list[str]:
    names = {"ipc": "images per class", "label": "case", "protocol_name": "protocol"}
    return [names.get(name, name.replace("_", " ")) for name in columns]


def grid(name: str, *columns: str, part: str | None = None) -> str:
    """A line for every cell of a table: its keys, the paper's figure and ours; cells that were not run come last.

    If the paper has figures, cells without one are left out until they are run.
    """
    head = [*named(columns), "paper", "ours", "gap", "n", "protocol", "stored floats", "condensing", "commit"]
    lines, missing, found = [], [], cells(name, part)
    published = any(cell.paper for cell, _, _ in found)
    for cell, row, reason in found:
        keys = [key(cell, column) for column in columns]
        if row is None and published and not cell.paper:
            continue
        if row is None:
            missing.append([*keys, cell.paper or "-", reason, "-", "-", cell.protocol, *["-"] * 3])
            continue
        lines.append(
            [*keys, cell.paper or "-", percent(row), gap(row, cell.paper) if cell.paper else "-", str(row["n"]),
             row["protocol"], f"{row['floats']:,}" if "floats" in row else "-", condensing(row), row["commit"][:7]]
        )  # fmt: skip
    return table(head, lines + missing)


def reasons(line: Mapping[str, tuple[Any, Row | None, str]]) -> list[str]:
    """Why cells of a line were not run, with their columns if the others were, or for other reasons."""
    missing = {column: reason for column, (_, row, reason) in line.items() if row is None}
    alike = len(missing) == len(line) and len(set(missing.values())) == 1
    return list(missing.values()) if alike else [f"{column} {reason}" for column, reason in missing.items()]


def stuck(line: Mapping[str, tuple[Any, Row | None, str]]) -> list[str]:
    """The columns of a line in which some networks did not learn at all, and what the others reach."""
    said = []
    for column, (_, row, _) in line.items():
        learned = [run for run in row["runs"] if run > max(row["runs"]) / 3] if row else []
        if row and len(learned) < len(row["runs"]):
            count = len(row["runs"]) - len(learned)
            said.append(f"{column}: {count} of {row['n']} networks stayed at chance, the others reach {mean(learned)}")
    return said


def cross(name: str, *down: str, across: str, part: str | None = None, timed: bool = False) -> str:
    """A line for all cells that share the keys `down`, a column for each value of `across`.

    An entry is our figure, and in parentheses the paper's. If the paper has figures, lines without any are left out
    until they are run. `timed`: whether to show the minutes that the set took.
    """
    found: dict[tuple[str, ...], dict[str, tuple[Any, Row | None, str]]] = {}
    for entry in cells(name, part):
        found.setdefault(tuple(key(entry[0], k) for k in down), {})[key(entry[0], across)] = entry
    columns = list(dict.fromkeys(column for line in found.values() for column in line))
    published, lines = any(cell.paper for line in found.values() for cell, _, _ in line.values()), []
    for keys, line in found.items():
        if published and not any(row or cell.paper for cell, row, _ in line.values()):
            continue
        texts = dict.fromkeys(columns, "-")
        for column, (cell, row, _) in line.items():
            texts[column] = f"{percent(row) if row else ''} {f'({cell.paper})' if cell.paper else ''}".strip() or "-"
        rows = [row for _, row, _ in line.values() if row]
        facts = {
            "n": [str(row["n"]) for row in rows],
            "condensing": [condensing(row, "min") for row in rows],
            "protocol": [row["protocol"] for row in rows] or [cell.protocol for cell, *_ in line.values()],
            "commit": [row["commit"][:7] for row in rows],
            "": [*reasons(line), *stuck(line)],
        }
        if across == "protocol_name":
            del facts["protocol"]
        if not timed:
            del facts["condensing"]
        lines.append([*keys, *texts.values(), *map(each, facts.values())])
    return table([*named(down), *columns, *facts], lines)


def listed(name: str, columns: Mapping[str, Callable[[Row], object]]) -> str:
    """A line for every row of a results file."""
    lines = [[str(text(row)) for text in columns.values()] for row in results(name)]
    return table(list(columns), lines)


def numbered(
    name: str, *down: str, across: str, unit: str, only: Mapping[str, str], **more: Callable[[list[Row]], object]
) -> str:  # fmt: skip
    """A line for all rows that share the keys `down`, a column for each number `across`, and the columns `more`.

    `only`: values of keys that the rows must have.
    """
    found: dict[tuple[str, ...], dict[int, Row]] = {}
    for row in results(name):
        if only.items() <= row.items():
            found.setdefault(tuple(row[key] for key in down), {})[row[across]] = row
    numbers, lines = sorted({number for line in found.values() for number in line}), []
    order = list(dict.fromkeys(row[down[-1]] for row in results(name)))  # the same for all data sets
    for keys, line in sorted(found.items(), key=lambda entry: (entry[0][:-1], order.index(entry[0][-1]))):
        rows = [line[number] for number in sorted(line)]
        accuracies = [percent(line[number]) if number in line else "-" for number in numbers]
        facts = [each(row["n"] for row in rows), each(row["commit"][:7] for row in rows)]
        lines.append([*keys, *accuracies, *(str(text(rows)) for text in more.values()), *facts])
    head = [*down, *(f"{number:,} {unit}" for number in numbers), *more, "n", "commit"]
    return table(head, lines)


def trials(part: str) -> str:
    """A line for every trial of a table of `experiments/trials.py`, with its accuracy under each protocol."""
    module, lines = importlib.import_module("trials"), []
    for name in module.TABLES[part]:
        found = {row["under"]: row for row in results("trials") if row["trial"] == name}
        first = found.get(None)
        reached, facts = "not run yet", ["-"] * 3
        if first:
            reached, facts = percent(first), [str(first["rows"] // 10), f"{first['floats']:,}", condensing(first)]
        again, n = percent(found["idc2022"]) if "idc2022" in found else "-", each(row["n"] for row in found.values())
        commits = each(row["commit"][:7] for row in found.values())
        lines.append([name, *facts, reached, again, n, commits])
    head = ["", "rows per class", "floats", "condensing", "fixed-steps", "idc2022", "n", "commit"]
    return table(head, lines)


def from_to(rows: list[Row]) -> str:
    """The shortest and the longest time that a set of a line took."""
    taken = sorted(rows, key=lambda row: row["condense_seconds"])
    return " to ".join(dict.fromkeys(condensing(row) for row in (taken[0], taken[-1])))


def correlation(name: str, row: Row) -> str:
    return f"{row[name]:.2f}" if name in row else "-"


def area(name: str, row: Row) -> str:
    return f"{100 * row[name]:.1f} ± {100 * row[f'{name} half width']:.1f}"


NETWORK, CASE = ("dataset", "ipc", "measured_in"), ("dataset", "ipc", "label")
PROVENANCE: dict[str, Callable[[Row], object]] = {"commit": lambda row: row["commit"][:7]}
MEASURED: dict[str, Callable[[Row], object]] = {
    "accuracy": percent, "n": lambda row: row["n"], "protocol": lambda row: row["protocol"], **PROVENANCE,
}  # fmt: skip


def searched(name: str, best: str, more: Mapping[str, Callable[[Row], object]] = {}) -> Callable[[], str]:
    """The table of a search on proxies."""
    correlations = {"correlation, best 10": "top", "all": "spearman", "Kendall, all": "kendall"}
    return partial(
        listed, name,
        {"proxy": lambda row: row["proxy"], best: lambda row: row["best"],
         "its test accuracy": lambda row: f"{100 * row['performance']:.1f}",
         **{head: partial(correlation, key) for head, key in correlations.items()}, **more,
         "bytes": lambda row: f"{row['bytes']:,}", "training": lambda row: f"{row['seconds'] / 60:.0f} min",
         **PROVENANCE},
    )  # fmt: skip


TABLES: dict[str, Callable[[], str]] = {
    "dc_table1": partial(grid, "dc_table1", "dataset", "ipc", "method"),
    "dc_table2": partial(cross, "dc_table2", "label", across="measured_in"),
    **{
        f"dc_tables6to10 T{n}": partial(cross, "dc_tables6to10", "condensed_in", across="measured_in", part=f"T{n}")
        for n in range(6, 11)
    },
    "dc_table11": partial(cross, "dc_table11", "distance", across="measured_in"),
    "dc_figure6": partial(grid, "dc_figure6", "K", "T"),
    **{
        f"idc_tables1to4 {n}": partial(cross, "idc_tables1to4", *NETWORK, across="method", part=str(n))
        for n in range(1, 5)
    },
    **{
        f"idc_tables6to14 {n}": partial(cross, "idc_tables6to14", *CASE, across="measured_in", part=str(n))
        for n in (6, 7, 8, 9, 12, 13, 14)
    },
    "idc_tables6to14 11": partial(cross, "idc_tables6to14", *CASE, across="protocol_name", part="11"),
    "idc_table10": partial(grid, "idc_table10", "dataset", "ipc", "method"),
    "idc_figure2": partial(
        listed, "idc_figure2",
        {"images per class": lambda row: row["rows"], "pixels on a side": lambda row: row["side"],
         "matching loss": lambda row: f"{row['loss']:.3g}", **PROVENANCE},
    ),
    "idc_figure4": partial(
        listed, "idc_figure4",
        {"trained on": lambda row: row["trained_on"], "network": lambda row: row["network"],
         "steps": lambda row: row["step"], "norm, real rows": lambda row: f"{row['real']:.3g}",
         "norm, synthetic rows": lambda row: f"{row['synthetic']:.3g}", **PROVENANCE},
    ),
    "idc_figure5": partial(
        listed, "idc_figure5",
        {"epochs": lambda row: row["epochs"], "norm of the gradient": lambda row: f"{row['norm']:.3g}",
         "cosine of gradients": lambda row: f"{row['cosine']:.2f}", **MEASURED},
    ),
    "kfs_tables1and2 1": partial(cross, "kfs_tables1and2", "dataset", "variant", across="ipc", part="1"),
    "kfs_tables1and2 2": partial(cross, "kfs_tables1and2", "dataset", "ipc", "method", across="measured_in", part="2"),
    "kfs_figure2": partial(cross, "kfs_figure2", "unit", "budget", across="method"),
    "kfs_figure8": partial(grid, "kfs_figure8", "decoders"),
    "mdc_table4": partial(
        listed, "mdc_table4",
        {"measured in": lambda row: row["net"], "method": lambda row: row["method"],
         "images per class": lambda row: row["size"], "paper, CIFAR-10": lambda row: row["paper"], **MEASURED},
    ),
    "mdc_figure4": partial(
        listed, "mdc_figure4",
        {"method": lambda row: row["method"], "steps": lambda row: row["step"],
         "images per class": lambda row: row["size"], **MEASURED},
    ),
    "color": partial(cross, "color", "dataset", "method", across="protocol_name"),
    "imagenette": partial(grid, "imagenette", "label", "ipc"),
    "nas": searched("nas", "best network", {"paper, CIFAR-10": lambda row: row["paper"] or "-"}),
    "settings": searched("settings", "best settings"),
    "privacy": partial(
        listed, "privacy",
        {"method": lambda row: row["method"], "networks trained on": lambda row: row["trained_on"],
         "to be told from others": lambda row: row["members"],
         **{name: partial(area, key) for name, key in {"by the loss": "loss", "by the ratio": "ratio"}.items()},
         "n": lambda row: row["n"], **PROVENANCE},
    ),
    "growing": partial(
        listed, "growing",
        {"method": lambda row: row["method"], "added": lambda row: row["added"], "condensed": lambda row: row["case"],
         "condensing": condensing, **MEASURED},
    ),
    **{
        f"continual {part}": partial(
            numbered, "continual", "dataset", "memory", across="classes", unit="classes", only={"table": part},
            bytes=lambda rows: f"{rows[-1]['bytes']:,}", **more,
        )
        for part, more in {"values": {}, "bytes": {"condensing": lambda rows: condensing(rows[-1])}}.items()
    },
    **{
        f"bytes {dataset}": partial(
            numbered, "bytes", "method", across="budget", unit="bytes", only={"dataset": dataset}, condensing=from_to
        )
        for dataset in importlib.import_module("bytes").BUDGETS
    },
    **{f"trials {part}": partial(trials, part) for part in importlib.import_module("trials").TABLES},
    "best": partial(
        cross, "best", "dataset", "method", "variant", "measured_in", across="protocol_name", part="papers", timed=True
    ),
    "best at equal time": partial(
        cross, "best", "dataset", "method", across="measured_in", part="time", timed=True
    ),
    "photos": partial(cross, "photos", "label", "ipc", across="protocol_name", timed=True),
    "precision": partial(
        listed, "precision",
        {"method": lambda row: row["method"], "condensed in": lambda row: row["condensed"],
         "networks trained in": lambda row: row["measured"], "accuracy": percent, "n": lambda row: row["n"],
         "protocol": lambda row: row["protocol"], "condensing": condensing, **PROVENANCE},
    ),
}  # fmt: skip
"""The tables that these functions write."""


def dc_table12() -> str:
    """All random sets, the best tenth and the best hundredth of them, with the paper's figures in parentheses."""
    runs: dict[tuple[str, int], list[float]] = {}
    for row in results("dc_table12"):
        runs.setdefault((row["dataset"], row["ipc"]), []).extend(row["runs"])
    lines = []
    for (dataset, ipc), papers in importlib.import_module("dc_table12").PAPER.items():
        best = sorted(runs.get((dataset, ipc), []), reverse=True)
        ours = [mean(best[: len(best) // share]) if len(best) >= share else "" for share in (1, 10, 100)]
        reason = "" if best else "not run: data absent" if dataset in ABSENT else "not run yet"
        entries = [f"{text} ({paper})".strip() for text, paper in zip([*ours, ""], papers, strict=True)]
        lines.append([dataset, str(ipc), *entries, str(len(best)), reason])
    head = ["dataset", "images per class", "all", "best tenth", "best hundredth", "cGAN (not built)", "sets", ""]
    return table(head, lines)


def mdc_table7() -> str:
    """Distances at the choices of a run and in the paper, and how far they fell, as a multiple of the first's fall."""
    rows, papers = results("mdc_table7"), importlib.import_module("mdc_table7").PAPER
    names = [f"first {n}" for n in range(1, 10)]
    here = {f"here, step {row['step']}": [row[name] for name in names] for row in rows}
    paper = {f"paper, restart {restart}": list(values) for restart, values in papers.items()}
    lines = []
    for whose, distances in (("here", here), ("paper", paper)):
        lines += [[which, *(f"{value:.4g}" for value in values)] for which, values in distances.items()]
        if len(distances) > 1:
            falls = [first - last for first, last in zip(*list(distances.values())[:: len(distances) - 1], strict=True)]
            lines.append([f"{whose}, fall", *(f"{fall / falls[0]:.2f}" for fall in falls)])
    commits = {row["commit"][:7] for row in rows}
    return table(["", *names], lines) + (f"\n\nCommit {', '.join(sorted(commits))}." if commits else "")


def tasks() -> str:
    """Mean accuracy after every task, a line for each memory."""
    found: dict[tuple[str, str, bool], dict[int, Row]] = {}
    for row in results("tasks"):
        found.setdefault((row["order"], row["memory"], row["distilled"]), {})[row["tasks"]] = row
    orders, lines = importlib.import_module("tasks").ORDERS, []
    for (order, memory, distilled), line in found.items():
        last = line[max(line)]
        accuracies = [percent(line[count]) if count in line else "-" for count in (1, 2, 3)]
        lines.append(
            [", ".join(orders[order]), memory, "yes" if distilled else "no", *accuracies, f"{last['bytes']:,}",
             str(last["n"]), last["commit"][:7]]
        )  # fmt: skip
    head = ["tasks", "memory", "distilled", "after the first", "second", "third", "bytes", "n", "commit"]
    return table(head, lines)


def auto() -> str:
    """What `auto` reaches, and every candidate in the same minutes and bytes, the best one in bold."""
    found: dict[tuple[str, float], dict[str, Row]] = {}
    for row in results("auto"):
        found.setdefault((row["dataset"], row["minutes"]), {})[row["method"]] = row
    names = list(dict.fromkeys(name for line in found.values() for name in line if name != "auto"))
    lines = []
    for (dataset, minutes), line in found.items():
        best = max((row["accuracy"] for name, row in line.items() if name != "auto"), default=math.nan)
        texts = [percent(line[name]) if name in line else "-" for name in names]
        texts = [f"**{text}**" if name in line and line[name]["accuracy"] == best else text
                 for name, text in zip(names, texts, strict=True)]  # fmt: skip
        chosen = line.get("auto")
        ours = ["-"] * 3
        if chosen:
            ours = [percent(chosen), f"`{chosen['chosen']}`", f"{100 * (chosen['accuracy'] - best):+.1f}"]
        last = max(line.values(), key=lambda row: row["date"])
        taken = [row["condense_seconds"] for row in line.values()]
        facts = [f"{last['budget']:,}", f"{minutes:g} ({max(taken) / 60:.1f})", str(last["n"]), last["protocol"],
                 each(row["commit"][:7] for row in line.values())]  # fmt: skip
        lines.append([dataset, *ours, *texts, *facts])
    head = ["data", "auto", "chosen", "minus the best", *(f"`{name}`" for name in names), "bytes", "minutes (longest)",
            "n", "protocol", "commit"]  # fmt: skip
    return table(head, lines)


def time_to_accuracy() -> str:
    """Seconds until the first measured moment with some accuracy, and those of the whole run, a line a method."""
    found: dict[str, list[Row]] = {}
    for row in results("time_to_accuracy"):
        found.setdefault(row["method"], []).append(row)
    lines = []
    for method, moments in found.items():
        reached = [[row["seconds"] for row in moments if row["accuracy"] >= level] for level in (0.7, 0.75, 0.8)]
        last = moments[-1]
        hours = f"{last['released_hours']:.1f} h" if "released_hours" in last else "-"
        lines.append(
            [method, *(f"{min(times):.0f} s" if times else "-" for times in reached), f"{last['seconds']:.0f} s",
             percent(last), str(last["n"]), hours, last["protocol"], last["commit"][:7]]
        )  # fmt: skip
    head = ["method", "70 %", "75 %", "80 %", "whole run", "accuracy", "n", "in the released program's style",
            "protocol", "commit"]  # fmt: skip
    return table(head, lines)


def idc_table5() -> str:
    """The cases of the ablation, with the paper's figures for CIFAR-10."""
    rows = {(r["ipc"], r["case"]): r for r in results("idc_table5")}
    sizes = sorted({ipc for ipc, _ in rows})
    lines = [
        [case, paper, *(percent(rows[ipc, case]) if (ipc, case) in rows else "-" for ipc in sizes)]
        for case, (*_, paper) in importlib.import_module("idc_table5").TABLE5.items()
    ]
    head = [f"digits, {ipc} image{'s' if ipc > 1 else ''}" for ipc in sizes]
    return table(["", "CIFAR-10, 50 images (paper; data absent)", *head], lines)


UNPUBLISHED = ("kfs", "unrolled:")
"""Methods without published figures for `DATASETS`; they are measured under DC's protocol."""


def methods() -> str:
    """Every method with its file: the accuracy at 1 image per class under its protocol, in its paper and here."""
    rows = {
        (r["dataset"], r["method"]): percent(r) + " (bf16)" * bool(r.get("half"))
        for name in ("dc_table1", "idc_table10", "best") for r in results(name)
        if r["ipc"] == 1 and not r.get("variant")
        and (r["paper"] or (r["method"].startswith(UNPUBLISHED) and r["protocol_name"] == "dc2021"))
    }  # fmt: skip
    kinds = {name: type(recipe) for name, recipe in RECIPES.items()}
    tables = [importlib.import_module(name) for name in ("dc_table1", "idc_table10")]
    papers = {(cell.dataset, cell.method): cell.paper for table in tables for cell in table.CELLS
              if cell.ipc == 1 and cell.paper}  # fmt: skip
    lines = []
    ours = (f"unrolled:{preset}" for preset in ("3min", "quick", "30min"))
    for method in (*tables[0].METHODS, *tables[1].OWN, *ours):
        file = kinds[method].__module__.replace(".", "/").removeprefix("condensery/") + ".py"
        figures = [found.get((name, method), "-") for name in DATASETS for found in (papers, rows)]
        protocol = "dc2021" if method.startswith(UNPUBLISHED) else RECIPES[method].protocol
        lines.append([method, f"[{file}](src/condensery/{file})", protocol, *figures])
    columns = (f"{name}, {whose}" for name in DATASETS for whose in ("paper", "here"))
    return table(["method", "file", "protocol", *columns], lines)


def kfs_choices(question: str) -> str:
    head = ["", "codes", "floats", "diversity", "accuracy", "n", "protocol", "commit"]
    lines = [
        [r["case"], *(str(r.get(key, "-")) for key in ("codes", "floats", "diversity")), percent(r), str(r["n"]),
         r["protocol"], r["commit"][:7]]
        for r in results("kfs_choices") if r["question"] == question
    ]  # fmt: skip
    return table(head, lines)


def kfs_figure7() -> str:
    head = ["drawn in a step", "how many", "accuracy", "bias (norm) or variance (trace)", "diversity", "n", "commit"]
    lines = [
        [r["drawn"], str(r["number"]), percent(r), f"{r['wrong']:.3g}", str(r["diversity"]), str(r["n"]),
         r["commit"][:7]]
        for r in results("kfs_figure7")
    ]  # fmt: skip
    return table(head, lines)


def mdc_table1(part: str) -> str:
    """Accuracy at every size, a line a method, with the paper's for CIFAR-10."""
    rows = {(r["method"], r["size"]): r for r in results("mdc_table1") if r["dataset"] == part}
    found = dict.fromkeys(method for method, _ in rows)
    sizes, names = sorted({size for _, size in rows}), sorted(found, key=lambda n: "ABC".find(n) % 4)
    lines = []
    for method in names:
        if any((method, size) not in rows for size in sizes):  # not all measured yet
            continue
        mine = [rows[method, size] for size in sizes]
        seconds = (sum if method == "A" else max)(r["condense_seconds"] for r in mine)  # A: a run a size
        lines.append(
            [method, *(percent(r) for r in mine), f"{100 * fmean(r['accuracy'] for r in mine):.1f}",
             " / ".join(str(r["paper"]) for r in mine) if mine[0]["paper"] else "-",
             str(mine[0]["n"]), f"{seconds:.0f} s", mine[0]["commit"][:7]]
        )  # fmt: skip
    head = ["", *map(str, sizes), "average", "paper, CIFAR-10", "n", "condensing", "commit"]
    return table(head, lines)


def mdc_table1_absent() -> str:
    """The paper's figures for data that are absent."""
    module = importlib.import_module("mdc_table1")
    lines = [
        [dataset, method, *(f"({figure:.2f})" for figure in figures), "not run: data absent"]
        for dataset, methods in module.ABSENT.items() for method, figures in methods.items()
    ]  # fmt: skip
    return table(["dataset", "", *map(str, module.SIZES), ""], lines)


def bench_multisize() -> str:
    rows = results("bench/multisize")
    lines = [
        [
            r["real_dtype"],
            str(r["steps"]),
            *(f"{median(r['seconds'][name]):.1f} s" for name in ("idc", "idc + mdc")),
            str(r["ratio"]),
        ]
        for r in rows
    ]
    return table(["real rows in", "steps", "IDC", "IDC + MDC", "ratio"], lines)


def gflop(step: str, shape: tuple[int, ...], ipc: int) -> float:
    """GFLOP of a step without shortcuts, for 10 classes and width 128.

    A row is 1 forward pass and 2 such backward; a synthetic row of a gradient match, whose gradient is differentiated
    again, is 7 in all.
    """
    row = (2 * 9 * 128 * (shape[0] * 32**2 + 128 * 16**2 + 128 * 8**2) + 2 * 2048 * 10) / 1e9
    passes = {
        "dc": 10 * (3 * 256 + 7 * ipc), "dsa": 10 * (3 * 256 + 7 * ipc), "idc": 10 * (3 * 64 + 7 * 4 * ipc),
        "dm": 10 * (256 + 2 * ipc), "kfs": 10 * 2 * 128,
        "network update": 3 * 1280, "evaluation epoch": 3 * 10 * 4 * ipc,
    }  # fmt: skip
    return passes[step] * row


def bench_steps() -> str:
    cells: dict[tuple[Any, ...], Row] = {}
    for part in ("steps", "embeddings"):
        if rows := results(f"bench/{part}"):
            content = json.loads((ROOT / "results" / "bench" / f"{part}.json").read_text())
            peak = content["peak_convolution_gflops"]["float32"]  # on the same machine, in the same minutes
            cells |= {(tuple(r["shape"]), r["ipc"], r["step"], r["side"]): r | {"peak": peak} for r in rows}
    cases = list(dict.fromkeys(key[:3] for key in cells))
    head = ["rows", "images per class", "step", "baseline", "float32", "bfloat16", "ratio float32", "ratio bfloat16",
            "of the peak, float32", "memory added, baseline", "float32"]  # fmt: skip
    lines = []
    for shape, ipc, step in cases:
        base, full, half = (cells[shape, ipc, step, side] for side in ("baseline", "float32", "bfloat16"))
        lines.append(
            ["x".join(map(str, shape)), str(ipc), step, *(f"{r['ms']:,.0f} ms" for r in (base, full, half)),
             *(f"{r['ratio']:.2f}" for r in (full, half)),
             f"{100 * gflop(step, shape, ipc) / (full['ms'] / 1000) / full['peak']:.0f} %",
             *(f"{r['added_mb']} MB" for r in (base, full))]
        )  # fmt: skip
    return table(head, lines)


def bench_sides() -> str:
    rows = [r for r in results("bench/steps") if (r["shape"], r["ipc"]) == ([3, 32, 32], 10)]
    sides, steps = (list(dict.fromkeys(r[key] for r in rows)) for key in ("side", "step"))
    cells = {(r["step"], r["side"]): f"{r['ms']:,.0f} ms" for r in rows}
    lines = [[step, *(cells[step, side] for side in sides)] for step in steps]
    return table(["step", *sides], lines)


def bench_scaling() -> str:
    rows = results("bench/scaling")
    lines = [
        [axis, str(r[axis]), f"{r['ms']:,.0f} ms", f"{r['in_use_mb']} MB", f"{r['added_mb']} MB"]
        for axis in ("classes", "ipc") for r in rows if axis in r
    ]  # fmt: skip
    return table(["", "how many", "a match", "memory in use", "memory added"], lines)


def bench_beside() -> str:
    rows = results("bench/beside")
    cells = {(r["case"], r["side"], r["how"]): f"{median(r['seconds']):.2f} s, {r['ratio']:.2f}" for r in rows}
    hows = list(dict.fromkeys(r["how"] for r in rows))
    lines = [
        [case, side, *(cells.get((case, side, how), "-") for how in hows)]
        for case, side in dict.fromkeys((r["case"], r["side"]) for r in rows)
    ]
    return table(["step", "threads wait", *hows], lines)


def bench_plan() -> str:
    lines = [
        [r["case"], f"{r['planned']['seconds']:.0f} s", f"{r['happened']['seconds']:.0f} s", f"{r['time_ratio']:.2f}",
         f"{r['planned']['memory'] / 2**20:.0f} MB", f"{r['happened']['memory'] / 2**20:.0f} MB",
         f"{r['memory_ratio']:.2f}"]
        for r in results("bench/plan")
    ]  # fmt: skip
    head = ["case", "time, planned", "happened", "ratio", "memory, planned", "happened", "ratio"]
    return table(head, lines)


PARTS = TABLES | {
    make.__name__: make
    for make in (
        tasks, auto, time_to_accuracy, dc_table12, mdc_table1_absent, mdc_table7, idc_table5, methods, kfs_figure7,
        bench_steps, bench_sides, bench_scaling, bench_plan, bench_multisize, bench_beside,
    )
}  # fmt: skip
PARTS |= {f"mdc_table1 {part}": partial(mdc_table1, part) for part in ("FashionMNIST", "FashionMNIST-validation")}
PARTS |= {
    f"kfs {question}": partial(kfs_choices, question)
    for question in [*importlib.import_module("kfs_choices").QUESTIONS, "evaluation"]
}


def written(text: str) -> str:
    for name, make in PARTS.items():
        start, end = f"<!-- {name} -->", f"<!-- end {name} -->"
        if start in text:
            before, rest = text.split(start)
            text = f"{before}{start}\n{make()}\n{end}{rest.split(end)[1]}"
    return text


def known(text: str) -> str:
    """What `condensery.auto` knows: the accuracy of every method on some data, at some bytes per class."""
    cells: dict[tuple[str, int], Row] = {}
    for row in results("bytes"):
        values, classes = SHAPES[row["dataset"]]
        cell = {"data": row["data"]["fingerprint"], "values": values, "bytes_per_class": row["budget"] // classes}
        found = cells.setdefault((row["dataset"], row["budget"]), {**cell, "accuracies": {}})
        found["accuracies"][row["method"]] = round(row["accuracy"], 3)
    return json.dumps(list(cells.values()), indent=1) + "\n"


if __name__ == "__main__":
    stale = []
    for file, made in [*((file, written) for file in FILES), (KNOWN, known)]:
        text = file.read_text()
        if made(text) != text:
            stale.append(file.name)
            if "--check" not in sys.argv:
                file.write_text(made(text))
    if stale and "--check" in sys.argv:
        sys.exit(f"not what results/ says: {', '.join(stale)}; run python docs/tables.py")
