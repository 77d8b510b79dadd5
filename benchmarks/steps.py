"""Milliseconds of a step on this machine: python benchmarks/steps.py (`make bench`).

Random data at the papers' sizes, ConvNet-3 of width 128, 10 classes. Each figure is the median of 5 rounds that
alternate between all cases, so that a slow moment of a shared machine touches all alike. Written to
`results/bench/steps.json`.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from condensery import storage
from condensery.checkpoint import environment
from condensery.data import RealSet
from condensery.networks import ConvNet, initial
from condensery.objectives import GradientMatching
from condensery.randomness import rng
from condensery.synthetic import SyntheticSet, noise
from condensery.training import SGD, TensorRows, fit

CLASSES, ROUNDS = 10, 5


def cases(shape: tuple[int, int, int], ipc: int) -> dict[str, Callable[[], object]]:
    """One call each: a DC match of all classes, a network update, an evaluation epoch."""
    images = torch.rand(CLASSES * 256, *shape, generator=rng(0, "images"))
    real = RealSet.measured(images, torch.arange(CLASSES).repeat_interleave(256), CLASSES)
    point = initial(ConvNet(shape, CLASSES), rng(0, "weights"))
    synthetic = SyntheticSet.from_rows(noise(real, ipc, 0), real.space)
    objective, rows = GradientMatching(), TensorRows(synthetic())

    def match() -> None:
        for c in range(CLASSES):
            target = objective.target(point, real.sample(256, [c], partial(rng, 0, "real")))
            objective.loss(point, synthetic([c]), target).sum().backward()

    return {
        "dc match (256 real rows)": match,
        "network update (256 real rows)": lambda: fit(point, real, SGD(batch_size=256), 1, 0, ()),
        "evaluation epoch": lambda: fit(point, rows, SGD(batch_size=256), 1, 0, ()),
    }


def main() -> None:
    measured: dict[str, list[float]] = {}
    todo = {
        f"{'x'.join(map(str, shape))}, {ipc} images a class, {name}": case
        for shape in ((1, 28, 28), (3, 32, 32))
        for ipc in (1, 10)
        for name, case in cases(shape, ipc).items()
    }
    for _ in range(ROUNDS + 1):  # the first warms up
        for name, case in todo.items():
            start = time.perf_counter()
            case()
            measured.setdefault(name, []).append(1000 * (time.perf_counter() - start))
    rows = {name: round(statistics.median(times[1:]), 1) for name, times in measured.items()}
    for name, ms in rows.items():
        print(f"{ms:10.1f} ms  {name}")
    path = Path(__file__).parent.parent / "results" / "bench" / "steps.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"date": time.strftime("%Y-%m-%d"), **environment(torch.device("cpu")), "median_ms": rows}
    storage.write(path, (json.dumps(content, indent=1) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main())
