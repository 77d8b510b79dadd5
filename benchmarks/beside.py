"""The cost of a step beside other processes: alone, two runs at once, and a run beside a busy loop.

Each case is the command itself, stopped after some time; the seconds of a step are read from its records. "as OpenMP
comes" means threads that always wait busily (the default of GOMP_SPINCOUNT).
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

ALONE, TWO, BUSY = "alone", "two at once", "beside a busy process"
Cases = dict[str, tuple[str, float, Sequence[str]]]
"""Words of a command, for how many seconds its steps are watched, and beside what."""

CASES: Cases = {
    "dc, 1x8x8": ("dc:quick --data digits --ipc 1", 8.0, (ALONE, TWO, BUSY)),  # tiny kernels, where waiting costs most
    "dc, 1x28x28": ("dc:quick --data {folder}/1x28x28.npz --ipc 1", 12.0, (ALONE, TWO)),
    "dc, 3x32x32": ("dc:quick --data {folder}/3x32x32.npz --ipc 1", 12.0, (ALONE, TWO)),
}
SMOKE_CASES: Cases = {
    "dm": ("dm:quick --data {folder}/1x28x28.npz --ipc 1 --real-rows 2 --net.width 4", 0.1, (ALONE, BUSY))
}
WAITING = {
    "as OpenMP comes": {"GOMP_SPINCOUNT": "300000"},
    "ours": {},
}


def beside(cases: Cases, sides: Sequence[str], rounds: int) -> list[dict[str, Any]]:
    """A row for every case and side: seconds for each step, and their ratio to those of the first side alone."""
    with tempfile.TemporaryDirectory() as folder:
        for shape in ((1, 28, 28), (3, 32, 32)):
            name = "x".join(map(str, shape))
            pictures = np.random.default_rng(0).integers(0, 256, (3000, *shape), dtype=np.uint8)
            np.savez(f"{folder}/{name}.npz", x_train=pictures, y_train=np.arange(3000) % 10)
        found = []
        for case, (command, window, hows) in cases.items():
            words = command.format(folder=folder).split()
            found += _case(case, words, window, hows, sides, rounds, Path(folder))
        return found


def _case(
    case: str, words: list[str], window: float, hows: Sequence[str], sides: Sequence[str], rounds: int, folder: Path
) -> list[dict[str, Any]]:
    _seconds([words], {}, window, folder)  # compiles
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for side in sides:
            for how in hows:
                busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if how == BUSY else None
                try:
                    each = _seconds([words] * (2 if how == TWO else 1), WAITING[side], window, folder)
                finally:
                    if busy:
                        busy.kill()
                        busy.wait()
                found.setdefault((side, how), []).append(max(each))
    alone = found[sides[0], ALONE]
    rows = []
    for (side, how), times in found.items():
        ratios = [t / a for t, a in zip(times, alone, strict=True)]
        row = {"case": case, "side": side, "how": how, "seconds": [round(t, 3) for t in times]}
        rows.append(row | {"ratio": round(statistics.median(ratios), 2), "ratios": [round(r, 2) for r in ratios]})
        print(rows[-1], flush=True)
    return rows


def _seconds(commands: list[list[str]], env: dict[str, str], window: float, folder: Path) -> list[float]:
    """Seconds per step of commands that run at once, counted after all have done three steps."""
    runs: list[tuple[subprocess.Popen[bytes], Path]] = []
    clean = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    with tempfile.TemporaryDirectory(dir=folder) as out:
        for i, words in enumerate(commands):
            program = [sys.executable, "-m", "condensery", "run", *words, "--out", f"{out}/{i}"]
            process = subprocess.Popen(program, env=clean | env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            runs.append((process, Path(out, str(i), "metrics.jsonl")))
        try:
            _wait(runs, [3] * len(runs))
            before = [len(_moments(path)) for _, path in runs]
            time.sleep(window)
            _wait(runs, before)  # if a step takes longer than the window, it counts whole
            watched = [_moments(path)[n - 1 :] for (_, path), n in zip(runs, before, strict=True)]
        finally:
            for process, _ in runs:
                process.kill()
                process.wait()
    return [(moments[-1] - moments[0]) / (len(moments) - 1) for moments in watched]


def _wait(runs: list[tuple[subprocess.Popen[bytes], Path]], steps: list[int]) -> None:
    """Wait until every command has done more steps than these.

    Raises:
        RuntimeError: a command has ended before.
    """
    while not all(len(_moments(path)) > n for (_, path), n in zip(runs, steps, strict=True)):
        if any(process.poll() is not None for process, _ in runs):
            raise RuntimeError(f"a command ended before it could be watched: {runs[0][0].args!r}")
        time.sleep(0.1)


def _moments(path: Path) -> list[float]:
    """The time of each step since the start; an incomplete last line is left out."""
    if not path.exists():
        return []
    return [json.loads(line)["seconds"] for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
