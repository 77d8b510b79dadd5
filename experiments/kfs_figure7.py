"""KFS's figure 7 on FashionMNIST: bias where decoders are drawn, variance where real images are.

    python experiments/kfs_figure7.py --data-dir DIR      # about 3 minutes a case on 2 CPU cores

The paper: CIFAR-10, 1 image a class. Here the validation part of FashionMNIST's train, 1 image in floats, decoders
counted; ConvNet of width 64 in bfloat16, 150 steps; 1 set x 3 networks under `fixed-steps`. Bias is the norm of its
tensors together, variance the trace of eq. 3, both at the learned set and over 10 random networks (in float32); their
loss is 2 C times the paper's. Cells are not done twice.
"""

import argparse
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean

import torch
from kfs_choices import BASE, REPEATS, condensed, diversity
from record import Table
from torch import Tensor

from condensery import protocols
from condensery.compiling import during
from condensery.data import Data, fashion_mnist
from condensery.decoders import Factorized
from condensery.evaluation import evaluate
from condensery.networks import Point, build, initial
from condensery.objectives.subsampling import bias, variance
from condensery.randomness import rng
from condensery.recipes import KFS
from condensery.synthetic import SyntheticSet

DECODERS, ROWS = (1, 2, 4, 8), (4, 16, 64, 256, 1024)
NETWORKS, SAMPLE = 10, 32


class Drawn(Factorized):
    """Decoders of which a few are drawn whenever rows are asked for; all of them once `drawn` is None."""

    drawn: int | None = None
    generator = rng(0, "drawn")

    def forward(self, bases: Tensor) -> Tensor:
        if self.drawn is None:
            return super().forward(bases)
        chosen = torch.randperm(self.decoders, generator=self.generator)[: self.drawn]
        rows = super().forward(bases).unflatten(1, (-1, self.decoders))
        return rows[:, :, chosen].flatten(1, 2)


@dataclass(frozen=True)
class SomeDecoders(KFS):
    """KFS whose every step and class sees only `drawn` decoders."""

    drawn: int = 8

    def decoder(self, shape: tuple[int, int, int], classes: int) -> Drawn:
        decoder = Drawn(**super().decoder(shape, classes).arguments)
        decoder.drawn = self.drawn
        return decoder


def places(data: Data) -> list[Point]:
    network = build(BASE.net, data.shape, data.train.classes)
    return [initial(network, rng(1, "figure 7", i)) for i in range(NETWORKS)]


def norm_of_bias(data: Data, synthetic: SyntheticSet, drawn: int) -> float:
    found = (bias(point, synthetic, drawn, "decoders") for point in places(data))
    return fmean(float(torch.cat([part.flatten() for part in parts]).norm()) for parts in found)


def trace_of_variance(data: Data, synthetic: SyntheticSet, rows: int) -> float:
    some = data.train.sample(SAMPLE, range(data.train.classes), partial(rng, 1, "figure 7"))
    return fmean(variance(point, synthetic, some, 1) / rows for point in places(data))


def answer(folder: Path) -> None:
    table = Table("kfs_figure7", "KFS, figure 7; FashionMNIST, validation part of train; width 64")
    data = fashion_mnist(folder).validation()
    recipes = {
        **{("decoders", n): SomeDecoders(**{**asdict(BASE), "net": BASE.net}, drawn=n) for n in DECODERS},
        **{("real images", n): replace(BASE, real_rows=n) for n in ROWS},
    }
    for (what, n), recipe in recipes.items():
        if table.has(drawn=what, number=n):
            continue
        losses: list[float] = []
        made, seconds = condensed(recipe, data, lambda step, losses=losses: losses.append(step.loss))
        if isinstance(made.decoder, Drawn):
            made.decoder.drawn = None
        reached = evaluate(made, data, recipe.net, protocols.fixed_steps, REPEATS, dtype=torch.bfloat16)
        wrong = norm_of_bias(data, made, n) if what == "decoders" else trace_of_variance(data, made, n)
        table.add(
            data, reached, {"name": "kfs", **asdict(recipe)}, seconds, drawn=what, number=n, wrong=wrong,
            diversity=round(diversity(made), 3), losses=[round(loss, 4) for loss in losses],
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    given = parser.parse_args()
    with during("compiled"):
        answer(given.data_dir)


if __name__ == "__main__":
    main()
