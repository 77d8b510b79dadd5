"""Speed and memory of every step on this machine: `make bench`, or python benchmarks/bench.py [--smoke] [PART ...]

    steps    every step at 3x32x32 and 1x28x28, 10 classes, 1 and 10 images per class, against `baseline.py`, each in
             its own process (default allocator), alternating; medians of 5 rounds after a warm-up round. 25 minutes.
    embeddings  the same for DM's and KFS's matches. 10 minutes.
    scaling  our DC match from 2 to 100 classes and from 1 to 50 images per class. 30 minutes.
    multisize  IDC's steps with and without MDC, 1x28x28, 10 images per class: one period, scores included. 12 minutes.
    beside   a step alone, two runs at once, a run beside a busy process: the effect of how threads wait. 20 minutes.
    plan     `condensery plan` compared with the run itself, several cases. 10 minutes.

Run it on an otherwise idle machine. Each part writes `results/bench/PART.json`; with `--smoke` it runs tiny
cases for some seconds, to check that it works, and writes nothing.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from beside import CASES, SMOKE_CASES, WAITING, Cases, beside
from torch.nn import functional as F

from condensery.algorithms.algorithm import Step
from condensery.data import RealSet
from condensery.networks.convnet import ConvNet
from condensery.recipes import IDC, MDC
from condensery.runs import storage
from condensery.runs.checkpoint import environment

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "bench"
GRADIENTS, EMBEDDINGS = ("dc", "dsa", "idc", "network update", "evaluation epoch"), ("dm", "kfs")
SIDES: dict[str, dict[str, Any]] = {
    "baseline": {"side": "baseline"},
    "float32": {"side": "ours", "mode": "compiled"},
    "bfloat16": {"side": "ours", "mode": "compiled", "dtype": "bfloat16"},
    "float32, allocator tuned": {"side": "ours", "mode": "compiled", "tuned": True},
    "float32, plain": {"side": "ours", "mode": "plain"},  # autograd alone: the oracle
}
PLANNED = {
    "digits, dc, 1 image": "dc:quick --data digits --ipc 1 --outer-steps 300",
    "digits, dc, 10 images": "dc:quick --data digits --ipc 10 --outer-steps 4 --network-epochs 20",
    "digits, dsa, 5 images": "dsa:quick --data digits --ipc 5 --outer-steps 20",
    "digits, idc, 1 image": "idc:quick --data digits --ipc 1 --outer-steps 4",
    "digits, idc, 10 images": "idc:quick --data digits --ipc 10 --outer-steps 1",
    "digits, kfs, 1 image": "kfs:quick --data digits --ipc 1 --pretraining 500 --steps 300",
    "digits, dm, 5 images": "dm:quick --data digits --ipc 5 --steps 300",
    "digits, dc, 1 image, compiled": "dc --data digits --ipc 1 --init real --outer-steps 500 --net.depth 3",
}


@dataclass(frozen=True)
class Scale:
    """The sizes and numbers of rounds of a measurement."""

    rounds: int
    """Rounds in which steps are timed, after one that warms up."""
    cells: Sequence[tuple[tuple[int, int, int], int, Sequence[str]]]
    """Shapes, images per class and sides of steps."""
    axes: Mapping[str, Sequence[int]]
    """The numbers that scaling varies, one at a time: classes, and images per class."""
    options: Mapping[str, Any]
    """Options that all workers get; they replace those of their sides."""
    periods: int
    """Rounds in which multisize is timed, after one that warms up."""
    recipe: IDC
    """The recipe that multisize is timed with and without MDC."""
    rows: int
    """Real rows per class that multisize is timed on."""
    planned: Mapping[str, str]
    """The commands whose times are planned, without their first word."""
    watched: tuple[Cases, Sequence[str], int]
    """The commands that are timed beside others, how their threads wait, and the number of rounds."""


ALL, THREE = tuple(SIDES), tuple(SIDES)[:3]
FULL = Scale(
    rounds=5,
    cells=[((3, 32, 32), 10, ALL), ((1, 28, 28), 10, THREE), ((3, 32, 32), 1, THREE), ((1, 28, 28), 1, THREE)],
    axes={"classes": (2, 5, 10, 20, 50, 100), "ipc": (1, 2, 5, 10, 20, 50)},
    options={},
    periods=3,
    recipe=replace(IDC.quick(), ipc=10, outer_steps=6, net=ConvNet(width=64)),
    rows=256,
    planned=PLANNED,
    watched=(CASES, tuple(WAITING), 2),
)
TINY = ConvNet(width=4, depth=2)
SMOKE = Scale(
    rounds=1,
    cells=[((1, 28, 28), 1, ("baseline", "bfloat16"))],
    axes={"ipc": (1,)},
    options={"shape": (1, 28, 28), "classes": 2, "width": 4, "tuned": True, "mode": "passes"},  # compiling takes long
    periods=1,
    recipe=replace(IDC.quick(), ipc=2, outer_steps=3, inner_steps=2, real_rows=4, network_rows=8, net=TINY),
    rows=4,
    planned={"digits, dm": "dm:quick --data digits --ipc 1 --steps 3 --real-rows 4 --net.width 4"},
    watched=(SMOKE_CASES, tuple(WAITING)[:1], 1),
)


class Worker:
    """A `worker.py` in its own process. With `handing_back`, glibc keeps no freed tensor (slow), so that the growth of
    the process is the memory in use."""

    def __init__(self, handing_back: bool = False, **options: Any):
        words = [sys.executable, str(HERE / "worker.py"), json.dumps(options)]
        env = os.environ | ({"MALLOC_MMAP_THRESHOLD_": str(2**17)} if handing_back else {})
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        self._line()

    def _line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline()

    def ask(self, case: str) -> dict[str, float]:
        assert self.process.stdin
        self.process.stdin.write(case + "\n")
        self.process.stdin.flush()
        answer: dict[str, float] = json.loads(self._line())
        return answer

    def end(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def steps(scale: Scale, cases: Sequence[str] = GRADIENTS) -> list[dict[str, Any]]:
    rows = []
    for shape, ipc, sides in scale.cells:
        workers = {name: Worker(**{"shape": shape, "ipc": ipc, **SIDES[name], **scale.options}) for name in sides}
        for case in cases:
            times: dict[str, list[float]] = {name: [] for name in workers}
            for _ in range(scale.rounds + 1):
                for name, worker in workers.items():
                    times[name].append(worker.ask(case)["ms"])
            for name in workers:
                paired = [b / o for b, o in zip(times["baseline"][1:], times[name][1:], strict=True)]
                rows.append(
                    {
                        "step": case, "shape": shape, "ipc": ipc, "side": name,
                        "ms": round(statistics.median(times[name][1:]), 1), "first_ms": round(times[name][0], 1),
                        "ratio": round(statistics.median(paired), 2),
                        "ratios": [round(ratio, 2) for ratio in paired],
                        "added_mb": round(workers[name].ask(f"{case}:memory")["added"] / 2**20),
                    }
                )  # fmt: skip
                print(rows[-1], flush=True)
        for worker in workers.values():
            worker.end()
    return rows


def scaling(scale: Scale) -> list[dict[str, Any]]:
    rows = []
    for axis, values in scale.axes.items():
        options = {"shape": (3, 32, 32), "ipc": 10, **SIDES["float32"], **scale.options}
        workers = {value: Worker(**{**options, axis: value}) for value in values}
        times: dict[int, list[float]] = {value: [] for value in values}
        for _ in range(scale.rounds + 1):  # alternating, since the machine's speed drifts
            for value, worker in workers.items():
                times[value].append(worker.ask("dc")["ms"])
        for value, worker in workers.items():
            added, ms = worker.ask("dc:memory")["added"], statistics.median(times[value][1:])
            worker.end()
            exact = Worker(handing_back=True, **{**options, axis: value})
            exact.ask("dc")  # compiles
            in_use = exact.ask("dc:memory")["added"]
            exact.end()
            rows.append(
                {axis: value, "ms": round(ms, 1), "added_mb": round(added / 2**20), "in_use_mb": round(in_use / 2**20)}
            )
            print(rows[-1], flush=True)
    return rows


def multisize(scale: Scale) -> list[dict[str, Any]]:
    """Seconds that the steps of one period take in each run, alternating in one process, after a warm-up round.

    The runs are those of experiments/mdc_table1.py, real rows in either number format. The first period computes scores
    too, over as many steps as the others.
    """
    images, labels = torch.rand(10 * scale.rows, 1, 28, 28), torch.arange(10).repeat_interleave(scale.rows)
    real = RealSet.measured(images, labels, 10)
    rows = []
    for dtype in (None, "bfloat16"):
        base = replace(scale.recipe, real_dtype=dtype, network_dtype=dtype)
        recipes = {"idc": base, "idc + mdc": MDC.quick(base)}
        period = base.inner_steps  # 0.1 of the 6 restarts are less than one
        runs: dict[str, list[float]] = {name: [] for name in recipes}
        for _ in range(1 + scale.periods):
            for name, recipe in recipes.items():
                runs[name].append(_seconds_of_steps(recipe, real, 1, period))
        counted = {name: times[1:] for name, times in runs.items()}
        ratios = [m / b for b, m in zip(counted["idc"], counted["idc + mdc"], strict=True)]
        rows.append({"real_dtype": dtype or "float32", "steps": period - 1,
                     "seconds": {name: [round(s, 2) for s in times] for name, times in counted.items()},
                     "ratio": round(statistics.median(ratios), 3),
                     "ratios": [round(r, 3) for r in ratios]})  # fmt: skip
        print(rows[-1], flush=True)
    return rows


class _Enough(Exception):
    pass


def _seconds_of_steps(recipe: Any, real: RealSet, first: int, last: int) -> float:
    moments: dict[int, float] = {}

    def observe(step: Step) -> None:
        moments[step.done] = time.perf_counter()
        if step.done == last:
            raise _Enough

    with contextlib.suppress(_Enough):
        recipe.algorithm(real).run(observe=observe)
    return moments[last] - moments[first]


def plan(scale: Scale) -> list[dict[str, Any]]:
    rows = []
    for name, words in scale.planned.items():
        said = _measured("plan", *words.split())
        done = _measured("run", *words.split())
        rows.append({"case": name, "command": words, "planned": said, "happened": done,
                     "time_ratio": round(said["seconds"] / done["seconds"], 2),
                     "memory_ratio": round(said["memory"] / done["memory"], 2)})  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def _measured(what: str, *words: str) -> dict[str, float]:
    script = HERE / "planned.py"
    out = subprocess.run([sys.executable, str(script), what, *words], capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(out.stdout.splitlines()[-1])
    return result


def peak_convolution() -> dict[str, float]:
    """GFLOP per second of this machine in a 3 x 3 convolution of 128 to 128 channels, 16 rows of 16 x 16."""
    reached: dict[str, float] = {}
    for dtype in (torch.float32, torch.bfloat16):
        x, w = torch.randn(16, 128, 16, 16).to(dtype), torch.randn(128, 128, 3, 3).to(dtype)
        x, w = (t.contiguous(memory_format=torch.channels_last) for t in (x, w))
        times = []
        for _ in range(20):
            start = time.perf_counter()
            F.conv2d(x, w, padding=1)
            times.append(time.perf_counter() - start)
        reached[str(dtype).removeprefix("torch.")] = round(2 * 9 * 128 * 128 * 256 * 16 / min(times) / 1e9)
    return reached


PARTS: dict[str, Callable[[Scale], list[dict[str, Any]]]] = {
    "steps": steps, "embeddings": lambda scale: steps(scale, EMBEDDINGS), "scaling": scaling, "multisize": multisize,
    "plan": plan, "beside": lambda scale: beside(*scale.watched),
}  # fmt: skip


def main() -> None:
    smoke = "--smoke" in sys.argv
    asked = [word for word in sys.argv[1:] if word != "--smoke"] or list(PARTS)
    if not set(asked) <= set(PARTS):
        sys.exit(f"parts to measure: {', '.join(PARTS)}")
    for part in asked:
        print(f"== {part}", flush=True)
        head = {
            "date": time.strftime("%Y-%m-%d"),
            "commit": subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=HERE, text=True).strip(),
            **environment(torch.device("cpu")),
            "peak_convolution_gflops": peak_convolution(),
            "load": os.getloadavg()[0],
        }
        content = json.dumps({**head, "rows": PARTS[part](SMOKE if smoke else FULL)}, indent=1) + "\n"
        if smoke:
            continue
        RESULTS.mkdir(parents=True, exist_ok=True)
        storage.write(RESULTS / f"{part}.json", content.encode())


if __name__ == "__main__":
    main()
