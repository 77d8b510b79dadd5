"""How long methods take to reach an accuracy: FashionMNIST, 1 image per class, while condensing.

    python experiments/time_to_accuracy.py --data-dir DIR [--methods kfs unrolled:quick] [--figures DIR]

Presets of minutes, in a ConvNet of width 64, measured on the test part after some shares of their steps: 2 networks of
width 64 for each moment, trained in bfloat16 under `fixed-steps`. Nothing is chosen here; the presets of KFS, Anchor
and Unrolled were chosen on a tenth of this training part. Seconds are those of the run itself, from its beginning and
with all that happens before its first step; compiling and measuring are left out. Beside them, hours of the released
program's manner: steps of `benchmarks/baseline.py`, timed in the same minutes, times the number of steps that the
released program takes. Seconds depend on the machine and on its load: compare rows of one run of this program only, and
run nothing beside it until it measures. Cost at `cpu` scale on 2 cores: a quarter of an hour to condense, and as much
to measure. Methods that are in the results file are skipped.
"""

import json
import os
import subprocess
import sys
import time
from copy import deepcopy
from operator import itemgetter
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import sets
import torch
from record import (
    Figures,
    Table,
    by_hand,
    compiled,
    evaluate,
    options,
    parsed,
    program,
    read,
    small,
    smoke_run,
    write_figures,
)

from condensery import ConvNet, Step, SyntheticSet
from condensery.algorithms.matching import Matching
from condensery.data import Data, fashion_mnist
from condensery.evaluation import plots, protocols
from condensery.kernels.compiling import seconds_spent

METHODS = ("dc", "dsa", "dm", "idc", "kfs", "anchor", "unrolled:quick")
SHARES = (0.05, 0.2, 0.5, 1.0)
NET = ConvNet(width=64)
RELEASED = {
    "dc": (1000, {"dc": 1.0}),
    "dsa": (1000, {"dsa": 1.0}),
    "dm": (20_000, {"dm": 1.0}),
    "idc": (200_000, {"idc": 1.0, "network update": 8 / 20}),
    "kfs": (20_000, {"kfs": 80 / 128}),
}
"""Steps of the released programs at 1 image per class, and what a step is in `benchmarks/baseline.py`.

IDC's trains its network for 8 minibatches after every match; the baseline's network update is 20 of them. KFS has no
released program; the number of steps is the paper's, and the baseline's step has 128 rows per class where this budget
has 80.
"""
ABOUT = "Time to accuracy: FashionMNIST, 1 image per class, presets; ConvNet-3, width 64; test accuracy"
Moments = dict[int, tuple[float, SyntheticSet]]
"""What a run has learned after some numbers of steps, and the seconds that it took until then."""


def drawn(table: Table) -> Figures:
    """Accuracy over seconds, a curve for each method."""
    lines = table.curves(itemgetter("method"), "seconds")
    return {"time-to-accuracy": plots.plot_curves(lines, "seconds", "accuracy %", log=True, scale=100)}


def followed(method: str, data: Data) -> tuple[Moments, dict[str, Any]]:
    """The moments of a method's run, and the record of its recipe."""
    half = {"synthetic_dtype": "bfloat16"} if method in ("dm", "kfs", "anchor") else {}
    recipe = small(sets.recipe_of("FashionMNIST", 1, method).having(net=NET, **half))
    seen: Moments = {}
    # no method finds means of real images that another one has computed
    with compiled(), TemporaryDirectory() as empty, patch.dict(os.environ, CONDENSERY_CACHE=empty):
        start, before, copying, done = time.perf_counter(), seconds_spent(), 0.0, 0
        algorithm = recipe.algorithm(data.train)
        parts = algorithm.parts if isinstance(algorithm, Matching) else [algorithm]
        moments = {max(1, round(share * sum(part.steps for part in parts))) for share in SHARES}

        def observe(step: Step) -> None:
            nonlocal copying
            if done + step.done in moments:
                now = time.perf_counter()
                taken = now - start - copying - (seconds_spent() - before)
                seen[done + step.done] = taken, deepcopy(step.synthetic)  # type: ignore[assignment]
                copying += time.perf_counter() - now

        for part in parts:
            part.run(observe=observe)
            done += part.steps
    return seen, recipe.record()


def released(method: str) -> dict[str, float]:
    """Hours of the released program's manner on this machine, as a key of rows; empty where there is none."""
    if method not in RELEASED:
        return {}
    steps, parts = RELEASED[method]
    options = {"side": "baseline", "shape": [1, 28, 28], "ipc": 1, "width": 8 if smoke_run() else 64}
    times = 2 if smoke_run() else 6
    asked = "".join(f"{part}\n" * times for part in parts)
    worker = Path(__file__).resolve().parent.parent / "benchmarks" / "worker.py"
    command = [sys.executable, str(worker), json.dumps(options)]
    said = subprocess.run(command, input=asked, capture_output=True, text=True, check=True).stdout.split("\n")[1:]
    ms = [json.loads(line)["ms"] for line in said if line]
    each = [median(ms[i * times + 1 : (i + 1) * times]) for i in range(len(parts))]  # without the first one
    step = sum(share * one for share, one in zip(parts.values(), each, strict=True)) / 1000
    return {"released_hours": round(steps * step / 3600, 2)}


def main() -> None:
    parser = options(__doc__, figures=True)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, help="only these methods")
    given = parsed(parser, methods=["dm", "unrolled:quick"])
    table = Table("time_to_accuracy", ABOUT)
    data = read(fashion_mnist, given.data_dir)
    missing = [method for method in given.methods if not table.has(method=method)]
    runs = {method: (*followed(method, data), released(method)) for method in missing}
    for method, (moments, recipe, hours) in runs.items():
        reached = [
            evaluate(by_hand(synthetic, data, recipe), data, NET, protocols.fixed_steps, 2, torch.bfloat16)
            for _, synthetic in moments.values()
        ]
        for (step, (seconds, _)), each in zip(moments.items(), reached, strict=True):  # all moments, or none
            cell = {"method": method, "step": step, "seconds": round(seconds, 1), **hours}
            table.add(data, each, recipe, seconds, **cell)
    if given.figures:
        write_figures(drawn(table), given.figures)


if __name__ == "__main__":
    program(main)
