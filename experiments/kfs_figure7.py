"""KFS's figure 7 on FashionMNIST: the bias of drawing decoders or codes, and the variance of drawing real images.

    python experiments/kfs_figure7.py --data-dir DIR      # about 3 minutes for each case on 2 CPU cores

The paper: CIFAR-10, 1 image per class. Here the validation part of FashionMNIST's train, 1 image in floats, decoders
counted; ConvNet of width 64 in bfloat16, 150 steps; 1 set x 3 networks under `fixed-steps`. Bias is the norm over
all of its tensors, variance the trace of eq. 3, both at the learned set and over 10 random networks (in float32); their
loss is 2 C times the paper's. Cells that are in the results file are skipped.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Literal

import torch
from kfs_choices import BASE, NET, REPEATS, diversity
from record import Table, compiled, condensed, evaluate, few, options, parsed, program, read
from torch import Tensor

from condensery.algorithms.algorithm import Step
from condensery.data import Data, fashion_mnist
from condensery.decoders import Factorized
from condensery.evaluation import protocols
from condensery.networks.net import build
from condensery.networks.network import Point, initial
from condensery.objectives.subsampling import bias, variance
from condensery.randomness import rng
from condensery.recipes import KFS
from condensery.synthetic import SyntheticSet

DECODERS, CODES, ROWS = (1, 2, 4, 8), (1, 3, 6), (4, 16, 64, 256, 1024)
NETWORKS, SAMPLE = 10, 32


class Drawn(Factorized):
    """A set that decodes to the rows of a few decoders or codes only, drawn again at every use."""

    drawing = False

    def drawn(self, what: str, number: int) -> "Drawn":
        self.drawing, self.what, self.number, self.generator = True, what, number, rng(0, "drawn", what, number)
        return self

    def forward(self, bases: Tensor) -> Tensor:
        rows = super().forward(bases)
        if not self.drawing:
            return rows
        by_code = rows.unflatten(1, (-1, self.decoders))
        axis = 2 if self.what == "decoders" else 1
        chosen = torch.randperm(by_code.shape[axis], generator=self.generator)[: self.number]
        return by_code.index_select(axis, chosen.to(rows.device)).flatten(1, 2)


@dataclass(frozen=True)
class Some(KFS):
    """KFS in which every step draws a number of decoders or codes for each class."""

    what: str = "decoders"
    number: int = 8

    def decoder(self, shape: tuple[int, int, int], classes: int) -> Drawn:
        return Drawn(**super().decoder(shape, classes).arguments).drawn(self.what, self.number)


def places(data: Data) -> list[Point]:
    network = build(NET, data.shape, data.train.classes).to(data.train.device)
    return [initial(network, rng(1, "figure 7", i)) for i in range(few(NETWORKS))]


def norm_of_bias(data: Data, synthetic: SyntheticSet, what: str, number: int) -> float:
    of: Literal["decoders", "bases"] = "decoders" if what == "decoders" else "bases"
    found = (bias(point, synthetic, number, of) for point in places(data))
    return fmean(float(torch.cat([part.flatten() for part in parts]).norm()) for parts in found)


def trace_of_variance(data: Data, synthetic: SyntheticSet, rows: int) -> float:
    some = data.train.sample(few(SAMPLE), range(data.train.classes), partial(rng, 1, "figure 7"))
    n = min(data.train.sizes)
    share = (n - rows) / (rows * (n - 1))  # of a single row's, where `rows` of n are drawn
    return share * fmean(variance(point, synthetic, some, 1) for point in places(data))


def answer(folder: Path | None) -> None:
    table = Table("kfs_figure7", "KFS, figure 7; FashionMNIST, validation part of train; width 64")
    data = read(fashion_mnist, folder).validation()
    recipes = {
        **{
            (what, n): Some(**vars(BASE), what=what, number=n)
            for what, numbers in (("decoders", DECODERS), ("codes", CODES))
            for n in numbers
        },
        **{("real images", n): replace(BASE, real_rows=n) for n in ROWS},
    }
    for (what, n), recipe in recipes.items():
        if table.has(drawn=what, number=n):
            continue
        steps: list[Step] = []
        made, seconds = condensed(recipe, data, steps.append)
        synthetic = made.synthetic
        if isinstance(synthetic.decoder, Drawn):
            synthetic.decoder.drawing = False
        reached = evaluate(made, data, NET, protocols.fixed_steps, REPEATS, torch.bfloat16)
        real = what == "real images"
        wrong = trace_of_variance(data, synthetic, n) if real else norm_of_bias(data, synthetic, what, n)
        table.add(
            data, reached, recipe.record(), seconds, drawn=what, number=n, wrong=wrong,
            diversity=round(diversity(synthetic), 3), losses=[round(step.loss, 4) for step in steps],
        )  # fmt: skip


def main() -> None:
    given = parsed(options(__doc__))
    with compiled():
        answer(given.data_dir)


if __name__ == "__main__":
    program(main)
