"""Write the tables of docs/*.md and README.md from results/*.json; with --check, say whether they are current."""

import importlib
import json
import sys
from functools import partial
from pathlib import Path
from statistics import fmean, median
from typing import Any

from condensery.cli.names import RECIPES

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "experiments"))
FILES = (*(ROOT / "docs" / name for name in ("numbers.md", "speed.md", "kfs.md", "multisize.md")), ROOT / "README.md")
DATASETS = ("FashionMNIST", "MNIST")
ABSENT = ("SVHN", "CIFAR10", "CIFAR100", "ImageNet10", "ImageNet100", "TinyImageNet", "MiniSpeechCommands")
"""Data sets of the papers of which there is no copy here."""

Row = dict[str, Any]
"""A row of a results file."""


def results(name: str) -> list[Row]:
    path = ROOT / "results" / f"{name}.json"
    return json.loads(path.read_text())["rows"] if path.exists() else []


def percent(row: Row) -> str:
    return f"{100 * row['accuracy']:.1f} ± {100 * row['std']:.1f}"


def gap(row: Row) -> str:
    return f"{100 * row['accuracy'] - float(row['paper'].split()[0]):+.1f}"


def table(head: list[str], lines: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *lines])


def cells(name: str) -> list[tuple[Any, Row | None, str]]:
    """The cells that `experiments/<name>.py` lists, each with its row, or None and the reason why there is none."""
    rows, found = results(name), []
    for cell in importlib.import_module(name).CELLS:
        row = next((row for row in rows if all(row.get(k) == v for k, v in cell.keys.items())), None)
        found.append((cell, row, "not run: data absent" if cell.dataset in ABSENT else "not run yet"))
    return found


def grid(name: str, *columns: str) -> str:
    """A line for every cell of a table: its keys, the paper's figure and ours; cells that were not run come last."""
    head = [*(c.replace("_", " ").replace("ipc", "images per class") for c in columns),
            "paper", "ours", "gap", "n", "protocol", "stored floats", "condensing", "commit"]  # fmt: skip
    lines, missing = [], []
    for cell, row, reason in cells(name):
        keys = ["all" if cell.keys.get(c, "") is None and c == "ipc" else str(cell.keys.get(c)) for c in columns]
        if row is None:
            if cell.paper:
                missing.append([*keys, cell.paper, reason, *["-"] * 6])
            continue
        seconds = f"{row['condense_seconds']:.0f} s" if row["condense_seconds"] >= 1 else "-"
        lines.append(
            [*keys, row["paper"] or "-", percent(row), gap(row) if row["paper"] else "-", str(row["n"]),
             row["protocol"], f"{row['floats']:,}" if "floats" in row else "-", seconds, row["commit"][:7]]
        )  # fmt: skip
    return table(head, lines + missing)


dc_table1 = partial(grid, "dc_table1", "dataset", "ipc", "method")
dc_table2 = partial(grid, "dc_table2", "measured_in")
idc_table10 = partial(grid, "idc_table10", "dataset", "ipc", "method")


def idc_ablation() -> str:
    rows = {(r["ipc"], r["case"]): r for r in results("idc_ablation") if r["table"] == 5}
    sizes, cases = (sorted({key[i] for key in rows}) for i in (0, 1))
    order = ("syn + cos", "syn + mse", "real + cos", "real + mse", "real + reg + mse")
    head = ["", "paper (CIFAR-10, 50 images)", *(f"digits, {ipc} image{'s' if ipc > 1 else ''}" for ipc in sizes)]
    lines = [
        [case, next(rows[ipc, case]["paper"] for ipc in sizes if (ipc, case) in rows),
         *(percent(rows[ipc, case]) if (ipc, case) in rows else "-" for ipc in sizes)]
        for case in sorted(cases, key=order.index)
    ]  # fmt: skip
    return table(head, lines) if lines else "No figures yet."


PAPERS = {
    "random": ("51.4 ± 3.8", "64.9 ± 3.5"), "herding": ("67.0 ± 1.9", "89.2 ± 1.6"),
    "k-center": ("66.9 ± 1.8", "89.3 ± 1.5"), "forgetting": ("42.0 ± 5.5", "35.5 ± 5.6"),
    "dc": ("70.5 ± 0.6", "91.7 ± 0.5"), "dsa": ("70.6 ± 0.6", "88.7 ± 0.6"), "dm": ("70.0", "89.7"),
    "idc-i": ("70.7", "88.9"), "idc": ("81.0", "94.2"), "kfs": ("-", "-"),
}  # fmt: skip
"""What the papers report at 1 image per class, on FashionMNIST and on MNIST."""


def methods() -> str:
    """Every method with its file: the accuracy at 1 image per class under its protocol, in its paper and here."""
    rows = {(r["dataset"], r["ipc"], r["method"]): percent(r) for r in results("dc_table1")}
    rows |= {
        (r["dataset"], r["ipc"], r["method"]): percent(r)
        for r in results("idc_table10")
        if r["paper"] or (r["method"], r["protocol_name"]) == ("kfs", "dc2021")
    }  # KFS has no figure for these data
    kinds = {name: type(recipe) for name, recipe in RECIPES.items()}
    lines = []
    for method, papers in PAPERS.items():
        file = kinds[method].__module__.replace(".", "/").removeprefix("condensery/") + ".py"
        figures = [cell for name, paper in zip(DATASETS, papers, strict=True)
                   for cell in (paper, rows.get((name, 1, method), "-"))]  # fmt: skip
        protocol = "dc2021" if method == "kfs" else kinds[method].protocol
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
    return table(head, lines) if lines else "No figures yet."


def kfs_figure7() -> str:
    head = ["drawn in a step", "how many", "accuracy", "bias (norm) or variance (trace)", "diversity", "n", "commit"]
    lines = [
        [r["drawn"], str(r["number"]), percent(r), f"{r['wrong']:.3g}", str(r["diversity"]), str(r["n"]),
         r["commit"][:7]]
        for r in results("kfs_figure7")
    ]  # fmt: skip
    return table(head, lines) if lines else "No figures yet."


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
             *((f"{' / '.join(str(r['paper']) for r in mine)}", f"{fmean(r['paper'] for r in mine):.1f}")
               if mine[0]["paper"] else ("-", "-")),
             str(mine[0]["n"]), f"{seconds:.0f} s", mine[0]["commit"][:7]]
        )  # fmt: skip
    head = ["", *map(str, sizes), "average", "paper, CIFAR-10", "average", "n", "condensing", "commit"]
    return table(head, lines) if lines else "No figures yet."


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
    return table(["real rows in", "steps", "IDC", "IDC + MDC", "ratio"], lines) if lines else "No figures yet."


def precision() -> str:
    head = ["method", "condensed in", "networks trained in", "accuracy", "n", "protocol", "condensing", "commit"]
    lines = [
        [r["method"], r["condensed"], r["measured"], percent(r), str(r["n"]), r["protocol"],
         f"{r['condense_seconds']:.0f} s", r["commit"][:7]]
        for r in results("precision")
    ]  # fmt: skip
    return table(head, lines) if lines else "No figures yet."


def gflop(step: str, shape: tuple[int, ...], ipc: int) -> float:
    """What a step has to compute directly, 10 classes, width 128: a row forward, twice that back, 7 such with V's."""
    row = (2 * 9 * 128 * (shape[0] * 32**2 + 128 * 16**2 + 128 * 8**2) + 2 * 2048 * 10) / 1e9
    passes = {
        "dc": 10 * (3 * 256 + 7 * ipc), "dsa": 10 * (3 * 256 + 7 * ipc), "idc": 10 * (3 * 64 + 7 * 4 * ipc),
        "dm": 10 * (256 + 2 * ipc), "kfs": 10 * 2 * 128,
        "network update": 3 * 1280, "evaluation epoch": 3 * 10 * 4 * ipc,
    }  # fmt: skip
    return passes[step] * row


def bench_steps() -> str:
    path = ROOT / "results" / "bench" / "steps.json"
    peak = json.loads(path.read_text())["peak_convolution_gflops"]["float32"] if path.exists() else 1
    cells = {
        (tuple(r["shape"]), r["ipc"], r["step"], r["side"]): r
        for part in ("steps", "embeddings")
        for r in results(f"bench/{part}")
    }
    cases = list(dict.fromkeys(key[:3] for key in cells))
    head = ["rows", "images per class", "step", "baseline", "float32", "bfloat16", "ratio float32", "ratio bfloat16",
            "of the peak, float32", "memory added, baseline", "float32"]  # fmt: skip
    lines = []
    for shape, ipc, step in cases:
        base, full, half = (cells[shape, ipc, step, side] for side in ("baseline", "float32", "bfloat16"))
        lines.append(
            ["x".join(map(str, shape)), str(ipc), step, *(f"{r['ms']:,.0f} ms" for r in (base, full, half)),
             *(f"{r['ratio']:.2f}" for r in (full, half)),
             f"{100 * gflop(step, shape, ipc) / (full['ms'] / 1000) / peak:.0f} %",
             *(f"{r['added_mb']} MB" for r in (base, full))]
        )  # fmt: skip
    return table(head, lines) if lines else "No figures yet."


def bench_sides() -> str:
    rows = [r for r in results("bench/steps") if (r["shape"], r["ipc"]) == ([3, 32, 32], 10)]
    sides, steps = (list(dict.fromkeys(r[key] for r in rows)) for key in ("side", "step"))
    cells = {(r["step"], r["side"]): f"{r['ms']:,.0f} ms" for r in rows}
    lines = [[step, *(cells[step, side] for side in sides)] for step in steps]
    return table(["step", *sides], lines) if lines else "No figures yet."


def bench_scaling() -> str:
    rows = results("bench/scaling")
    lines = [
        [axis, str(r[axis]), f"{r['ms']:,.0f} ms", f"{r['in_use_mb']} MB", f"{r['added_mb']} MB"]
        for axis in ("classes", "ipc") for r in rows if axis in r
    ]  # fmt: skip
    return table(["", "how many", "a match", "memory in use", "memory added"], lines) if lines else "No figures yet."


def bench_beside() -> str:
    rows = results("bench/beside")
    cells = {(r["case"], r["side"], r["how"]): f"{median(r['seconds']):.2f} s, {r['ratio']:.2f}" for r in rows}
    hows = list(dict.fromkeys(r["how"] for r in rows))
    lines = [
        [case, side, *(cells.get((case, side, how), "-") for how in hows)]
        for case, side in dict.fromkeys((r["case"], r["side"]) for r in rows)
    ]
    return table(["step", "threads wait", *hows], lines) if lines else "No figures yet."


def bench_plan() -> str:
    lines = [
        [r["case"], f"{r['planned']['seconds']:.0f} s", f"{r['happened']['seconds']:.0f} s", f"{r['time_ratio']:.2f}",
         f"{r['planned']['memory'] / 2**20:.0f} MB", f"{r['happened']['memory'] / 2**20:.0f} MB",
         f"{r['memory_ratio']:.2f}"]
        for r in results("bench/plan")
    ]  # fmt: skip
    head = ["case", "time, planned", "happened", "ratio", "memory, planned", "happened", "ratio"]
    return table(head, lines) if lines else "No figures yet."


PARTS = {"dc_table1": dc_table1, "dc_table2": dc_table2, "idc_table10": idc_table10} | {
    make.__name__: make
    for make in (
        idc_ablation, methods, precision, kfs_figure7, bench_steps, bench_sides, bench_scaling,
        bench_plan, bench_multisize, bench_beside,
    )
}  # fmt: skip
QUESTIONS = ("diversity", "encoder", "codes", "activation", "matching", "evaluation", "decoders", "shape", "rows",
             "rates", "pretraining")  # fmt: skip
PARTS |= {f"mdc_table1 {part}": partial(mdc_table1, part) for part in ("FashionMNIST", "FashionMNIST-validation")}
PARTS |= {f"kfs {question}": partial(kfs_choices, question) for question in QUESTIONS}


def written(text: str) -> str:
    for name, make in PARTS.items():
        start, end = f"<!-- {name} -->", f"<!-- end {name} -->"
        if start in text:
            before, rest = text.split(start)
            text = f"{before}{start}\n{make()}\n{end}{rest.split(end)[1]}"
    return text


if __name__ == "__main__":
    stale = []
    for file in FILES:
        text = file.read_text()
        if written(text) != text:
            stale.append(file.name)
            if "--check" not in sys.argv:
                file.write_text(written(text))
    if stale and "--check" in sys.argv:
        sys.exit(f"not what results/ says: {', '.join(stale)}; run python docs/tables.py")
