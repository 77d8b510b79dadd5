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
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from condensery import storage
from condensery.augment import Augmentation, Colour, Crop, CutMix, Cutout, Flip, Rotate, Scale
from condensery.checkpoint import environment
from condensery.data import RealSet
from condensery.decoders import Uniform
from condensery.distances import squared_euclidean
from condensery.networks import ConvNet, initial
from condensery.objectives import GradientMatching, convolutions
from condensery.randomness import rng
from condensery.synthetic import SyntheticSet, noise, random_real
from condensery.training import SGD, Rows, TensorRows, fit

CLASSES, ROUNDS = 10, 5


def cases(shape: tuple[int, int, int], ipc: int) -> dict[str, Callable[[], object]]:
    """One call each: a match of all classes by DC, by DSA and by IDC, a network update, an evaluation epoch."""
    images = torch.rand(CLASSES * 256, *shape, generator=rng(0, "images"))
    real = RealSet.measured(images, torch.arange(CLASSES).repeat_interleave(256), CLASSES)
    point = initial(ConvNet(shape, CLASSES), rng(0, "weights"))
    pixels = SyntheticSet.from_rows(noise(real, ipc, 0), real.space)
    decoder = Uniform(2)
    formed = SyntheticSet.from_rows(random_real(real, ipc, 0, decoder), replace(real.space, stored="unit"), decoder)
    siamese = Augmentation(one_of=(Colour(), Crop(), Cutout(), Flip(), Scale(), Rotate()))
    sequence = Augmentation((Colour(), Crop(), Cutout()))

    def match(synthetic: SyntheticSet, objective: GradientMatching, rows: int, augment: Augmentation) -> None:
        for c in range(CLASSES):
            a = partial(augment, omega=augment.siamese([c], shape, partial(rng, 0, "augment")))
            target = objective.target(point, real.sample(rows, [c], partial(rng, 0, "real")).map(a))
            objective.loss(point, synthetic([c]).map(a), target).sum().backward()

    def trained(rows: Rows, steps: int, augment: Augmentation | None = None, mix: CutMix | None = None) -> None:
        fit(point, rows, SGD(batch_size=64), steps, 0, (), augment, mix)

    squares = GradientMatching(squared_euclidean, convolutions)
    return {
        "dc match (256 real rows)": lambda: match(pixels, GradientMatching(), 256, Augmentation()),
        "dsa match (256 real rows)": lambda: match(pixels, GradientMatching(), 256, siamese),
        "idc match (64 real rows, factor 2)": lambda: match(formed, squares, 64, sequence),
        "network update (512 real rows, augmented, CutMix)": lambda: trained(real, 8, sequence, CutMix(1.0)),
        "evaluation epoch": lambda: trained(rows := TensorRows(pixels()), -(-len(rows) // 64)),
        "evaluation epoch (factor 2, augmented, CutMix)": lambda: trained(
            rows := TensorRows(formed()), -(-len(rows) // 64), siamese, CutMix(0.5)
        ),
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
