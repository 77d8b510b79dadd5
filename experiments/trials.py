"""What was tried for the best set of its size: its parts one by one, and ideas that are not in the library.

    python experiments/trials.py --data-dir DIR [--trials anchor "shared bases" ...]

A tenth of FashionMNIST's training part is held out. 1 image per class in strict floats; ConvNet of width 64 to match in
and to measure with, both in bfloat16; 1 set x 3 networks under `fixed-steps`, and some sets under `idc2022` too. If the
name of a trial says nothing else, there are 300 steps, and rounds with 4500 updates of networks in all. Every trial
changes one thing of KFS, of Anchor around it, or of Unrolled, which starts from the set of another trial. Exceptions
are the preset for 3 minutes, which was first tried with eight networks and rounds of several lengths; and the
regression, which takes 200 more steps in float32.
The code of ideas that did not pay is here and nowhere else. No published figures.
Cost at `cpu` scale: 5 to 10 minutes of one core for a trial, 10 to 20 for one that is unrolled. Cells that are in the
results file are skipped; runs are kept in `runs/trials`.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from record import (
    Kept,
    Table,
    by_hand,
    commit,
    compiled,
    evaluate,
    few,
    kept,
    options,
    parsed,
    program,
    read,
    small,
    smoke_run,
)
from torch import Tensor, nn
from torch.nn import functional as F

from condensery import Anchor, Condensed, ConvNet, Recipe
from condensery.algorithms.algorithm import Beginning, FromRows
from condensery.algorithms.autoencoder import Autoencoder
from condensery.algorithms.matching import Matching
from condensery.data import Data, RealSet, fashion_mnist
from condensery.decoders import Factorized
from condensery.decoders.decoder import Decoder
from condensery.evaluation.protocols import fixed_steps, idc2022
from condensery.evaluation.training import TensorRows, Training, fit
from condensery.networks.net import build
from condensery.networks.network import Point, initial
from condensery.objectives import DistributionMatching
from condensery.objectives.embeddings import embeddings
from condensery.objectives.means import Mean
from condensery.randomness import global_rng, rng
from condensery.recipes import KFS, Unrolled, Warm
from condensery.synthetic import SyntheticSet, random_real

REPEATS, NET = 3, ConvNet(width=64)
BASE = replace(KFS.quick(), net=NET, real_dtype="bfloat16", synthetic_dtype="bfloat16")
MINUTES = Unrolled.named()["unrolled:3min"]
assert isinstance(MINUTES, Unrolled)
STEPS: dict[str, Recipe] = {
    "kfs": BASE,
    "anchor": Anchor(BASE),
    "embeddings only": Anchor(BASE, last_layer=0.0),
    "trained networks only": Anchor(BASE, points=3),
    "one network": Anchor(BASE, trained_networks=1, points=16),
    "1000 steps": Anchor(replace(BASE, steps=1000)),
}
PRESETS: dict[str, Recipe] = {
    "unrolled:3min": MINUTES,
    "unrolled:3min, half augmented": replace(MINUTES, augmented=0.5),
    "unrolled:3min, eight networks, half augmented": replace(MINUTES, augmented=0.5, network_pool=8),
    "unrolled:3min, 44 rounds of 40 updates, half augmented": replace(
        MINUTES, rounds=44, unrolled_updates=40, augmented=0.5, network_pool=8
    ),
    **{
        f"unrolled:3min, {rounds} rounds of {updates} updates": replace(
            MINUTES, rounds=rounds, unrolled_updates=updates, network_pool=8
        )
        for rounds, updates in ((60, 15), (22, 40), (9, 100))
    },
}
ROUNDS = Unrolled(BASE, rounds=45, unrolled_dtype="bfloat16")


def rounds_of(updates: int) -> Unrolled[KFS]:
    """Rounds of so many updates, 4500 in all."""
    return replace(ROUNDS, rounds=4500 // updates, unrolled_updates=updates)


UNROLLED: dict[str, tuple[str, Recipe]] = {
    "unrolled": ("anchor", ROUNDS),
    "unrolled without anchor": ("kfs", ROUNDS),
    "unrolled, one network at a time": ("anchor", replace(ROUNDS, network_pool=1)),
    **{f"unrolled, {updates} updates": ("anchor", rounds_of(updates)) for updates in (5, 15, 40, 200)},
    **{
        f"unrolled, {updates} updates, one network at a time": ("anchor", replace(rounds_of(updates), network_pool=1))
        for updates in (15, 40)
    },
    "unrolled, 15 updates, without anchor": ("kfs", rounds_of(15)),
    "unrolled, 15 updates, in float32": ("anchor", replace(rounds_of(15), unrolled_dtype=None)),
    "unrolled, half of the networks augmented": ("anchor", replace(ROUNDS, augmented=0.5)),
    "unrolled, all networks augmented": ("anchor", replace(ROUNDS, augmented=1.0)),
    "unrolled, 155 rounds": ("anchor", replace(ROUNDS, rounds=155)),
    "unrolled, half augmented, 155 rounds": ("anchor", replace(ROUNDS, augmented=0.5, rounds=155)),
}
"""The trial from whose set a trial starts, and the recipe that does so."""
SHORT = ["unrolled:3min", "unrolled:3min, 22 rounds of 40 updates"]
TWICE = ["unrolled", "unrolled, 155 rounds", *SHORT, *(name for name in (*PRESETS, *UNROLLED) if "augmented" in name)]
"""Trials that are measured under `idc2022`, too."""


# Other means. Each takes a point, and embeddings (n, d), labels (n,) and weights (n,) of rows.


def only_last_layer(point: Point, found: Tensor, y: Tensor, w: Tensor) -> Tensor:
    """The mean gradient of the last layer without the mean embedding."""
    logits = point.classified(found)
    return ((w[:, None] * (F.softmax(logits, 1) - F.one_hot(y, logits.shape[1]))).T @ found).flatten()


def second_moments(point: Point, found: Tensor, y: Tensor, w: Tensor) -> Tensor:
    """The mean embedding and the mean of its squares, as in DSDM (Li et al., 2024)."""
    return torch.cat([w @ found, w @ found.square()])


def characteristic_function(point: Point, found: Tensor, y: Tensor, w: Tensor) -> Tensor:
    """Means of cos and sin of 1024 fixed random projections, as in NCFM (Wang et al., 2025) without its sampler."""
    d = found.shape[1]
    angles = found @ (torch.randn(d, 1024, generator=rng(0, "frequencies")) / math.sqrt(d)).to(found)
    return torch.cat([w @ angles.cos(), w @ angles.sin()])


MEANS: dict[str, Mean] = {
    "last layer only": only_last_layer,
    "second moments": second_moments,
    "characteristic function": characteristic_function,
}


# Other decoders, with as many codes as fit. `Anchor` around them.


class Mirrored(Factorized):
    """Codes x decoders, whose rows are followed by their mirror images."""

    def forward(self, bases: Tensor) -> Tensor:
        rows = super().forward(bases)
        return torch.cat([rows, rows.flip(-1)], 1)


class Linear(Decoder):
    """Rows that are sums of atoms shared by all classes; only the factors are stored for a row.

    Learned atoms are half as wide and high as the rows, and stored (RTP: Deng and Russakovsky, 2022). Cosines are
    functions, and not stored (FreD: Shin et al., 2023, here with the lowest frequencies of all data).
    """

    def __init__(self, atoms: Tensor, mean: Tensor, shape: tuple[int, int, int], learned: bool):
        super().__init__()
        self.shape, self.mean = shape, nn.Parameter(mean)
        if learned:
            self.atoms = nn.Parameter(atoms)
        else:
            self.register_buffer("atoms", atoms, persistent=False)

    def base_shape(self, shape: tuple[int, int, int]) -> tuple[int, ...]:
        return (len(self.atoms),)

    def encode(self, rows: Tensor) -> Tensor:
        flat = F.interpolate(rows.flatten(0, 1), size=self.atoms.shape[-2:], mode="area").flatten(1)
        atoms = self.atoms.detach().flatten(1)
        return ((flat - self.mean.detach().flatten()) @ torch.linalg.pinv(atoms)).unflatten(0, rows.shape[:2])

    def forward(self, bases: Tensor) -> Tensor:
        made = torch.einsum("cnk,kxhw->cnxhw", bases, self.atoms) + self.mean
        large = F.interpolate(made.flatten(0, 1), size=self.shape[1:], mode="bilinear", align_corners=False)
        return large.unflatten(0, bases.shape[:2])


class Half(Factorized):
    """Codes x decoders that make rows half as wide and high, which are then enlarged, as IDC's are."""

    def __init__(self, shape: tuple[int, int, int], channels: tuple[int, ...], decoders: int):
        super().__init__((shape[0], shape[1] // 2, shape[2] // 2), channels, decoders)

    def base_shape(self, shape: tuple[int, int, int]) -> tuple[int, ...]:
        return self.code_shape

    def encode(self, rows: Tensor) -> Tensor:
        return super().encode(F.avg_pool2d(rows.flatten(0, 1), 2).unflatten(0, rows.shape[:2]))

    def forward(self, bases: Tensor) -> Tensor:
        rows = super().forward(bases)
        return F.interpolate(rows.flatten(0, 1), scale_factor=2, mode="bilinear").unflatten(0, rows.shape[:2])


def linear(real: RealSet, count: int, learned: bool) -> Linear:
    """Atoms: the principal components of real rows at half size, or the lowest frequencies of a cosine basis."""
    channels, height, width = real.shape
    mean = torch.zeros(channels, 1, 1)
    if not learned:
        order = sorted(((i, j) for i in range(height) for j in range(width)), key=lambda at: (sum(at), at))
        chosen = [(c, *at) for at in order for c in range(channels)][:count]
        atoms = torch.zeros(count, channels, height, width)
        for k, (c, i, j) in enumerate(chosen):
            down = torch.cos(math.pi * i * (torch.arange(height) + 0.5) / height)
            across = torch.cos(math.pi * j * (torch.arange(width) + 0.5) / width)
            atoms[k, c] = down[:, None] * across / (1 + i + j)  # natural images have the less, the higher the frequency
        return Linear(atoms, mean + 0.5, real.shape, learned)
    parts = torch.arange(len(real)).split(4096)
    rows = torch.cat([F.avg_pool2d(real.space.unit(real.read(part)), 2) for part in parts]).flatten(1)
    center = rows.mean(0)
    variances, directions = torch.linalg.eigh((rows - center).T @ (rows - center) / len(rows))
    largest = (directions[:, -count:] * variances[-count:].clamp(min=1e-8).sqrt()).flip(1)
    half = (channels, height // 2, width // 2)
    return Linear(largest.T.reshape(-1, *half).contiguous(), center.reshape(half).contiguous(), real.shape, learned)


@dataclass(frozen=True)
class OtherRows(KFS):
    """KFS with another decoder; as many codes as the strict budget holds."""

    kind: str = "half"

    def _initial(self, real: RealSet) -> SyntheticSet:
        with global_rng(rng(self.seed, "decoder")):
            made: dict[str, Callable[[], Decoder]] = {
                "mirrored": lambda: Mirrored(real.shape, (4, 4, 4), 8),
                "half": lambda: Half(real.shape, (4, 4), 8),
                "half, 3 channels": lambda: Half(real.shape, (3, 3), 8),
                "bases": lambda: linear(real, 8, True),
                "frequencies": lambda: linear(real, 36, False),
            }
            decoder = made[self.kind]()
        shape = decoder.base_shape(real.shape)
        count = (real.classes * self.ipc * math.prod(real.shape) - decoder.floats) // (real.classes * math.prod(shape))
        bases = torch.randn(real.classes, max(1, count), *shape, generator=rng(self.seed, "codes"))
        return SyntheticSet(bases, replace(real.space, stored="unit"), decoder)

    def _beginnings(self, real: RealSet, synthetic: SyntheticSet) -> tuple[Beginning, ...]:
        if self.kind in ("bases", "frequencies"):
            return (FromRows(lambda: random_real(real, synthetic.bases_per_class, self.seed)),)
        return super()._beginnings(real, synthetic)


DECODERS = {
    "mirrored rows": "mirrored", "half size": "half", "half size, 3 channels": "half, 3 channels",
    "shared bases": "bases", "frequencies": "frequencies",
}  # fmt: skip
REGRESSION = "regression"


def regression(made: Matching, real: RealSet, steps: int) -> None:
    """Kernel ridge regression of real rows by synthetic ones, in networks trained on the synthetic set (FRePo).

    Five networks take turns. Before each step, one of them is trained for one more update; it starts anew after 20.
    """
    synthetic, pool = made.synthetic, 5
    network = build(NET, real.shape, real.classes)
    how, each = Training(0.01, 0.9, 5e-4, batch_size=256), 51
    optimizer = torch.optim.Adam(
        [{"params": [synthetic.bases], "lr": 0.03}, {"params": list(synthetic.decoder.parameters()), "lr": 0.003}]
    )
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [steps * 7 // 10, steps * 9 // 10], 0.2)
    points = [initial(network, rng(0, "pool", i)) for i in range(pool)]
    for step in range(steps):
        i = step % pool
        points[i] = fit(points[i], TensorRows(synthetic()), how, 1, 0, ("pool", step))
        draws = [rng(0, "real", step, c) for c in range(real.classes)]
        batch = real.sample(each, range(real.classes), draws.__getitem__)
        (x, y), (rows, labels) = batch.flat(), synthetic().flat()
        with torch.no_grad():
            theirs = embeddings(points[i], x)
        ours = embeddings(points[i], rows)
        kernel = (ours @ ours.T).double()
        ridge = 1e-3 * kernel.diagonal().mean() * torch.eye(len(kernel))
        one_hot = [F.one_hot(each, real.classes).double() - 1 / real.classes for each in (labels, y)]
        predicted = (theirs @ ours.T).double() @ torch.linalg.solve(kernel + ridge, one_hot[0])
        optimizer.zero_grad()
        (predicted - one_hot[1]).square().sum(1).mean().backward()
        optimizer.step()
        schedule.step()
        if (step // pool + 1) % (100 // pool) == 0:
            points[i] = initial(network, rng(0, "pool", pool + step))


def tried(table: Table, name: str, data: Data) -> Kept:
    """The set of a trial."""
    if name in UNROLLED:
        start, recipe = UNROLLED[name]
        tried(table, start, data)
        recipe = Warm(recipe, start=str(table.runs / start))
    elif name in STEPS | PRESETS:
        recipe = (STEPS | PRESETS)[name]
    else:
        return Kept(*changed(name, data), commit(), processor="")
    return kept(recipe, data, table.runs / name)


def changed(name: str, data: Data) -> tuple[Condensed, float]:
    """The set of a trial that is no recipe, with the record of the recipe from which it differs."""
    begun, usual = time.perf_counter(), small(BASE if name == REGRESSION else Anchor(BASE))
    recipe = small(Anchor(OtherRows(**{**vars(BASE), "kind": DECODERS[name]}))) if name in DECODERS else usual
    made = recipe.algorithm(data.train)
    assert isinstance(made, Matching)
    if name.startswith("half"):  # the autoencoder learns from rows of half the size
        first, *others = made.beginnings
        assert isinstance(first, Autoencoder)
        half = data.resized(data.shape[1] // 2, data.shape[0]).train
        made = replace(made, beginnings=(replace(first, real=half), *others))
    if name in MEANS:
        assert isinstance(made.objective, DistributionMatching)
        made = replace(made, objective=made.objective.with_mean(MEANS[name]))
    made.run()
    if name == REGRESSION:
        regression(made, data.train, few(200))
    # no recipe makes the set, so the record is that of the recipe from which the trial differs, and says so
    return by_hand(made.synthetic, data, usual.record() | {"changed": name}), time.perf_counter() - begun


TABLES = {"anchor": [*STEPS, *MEANS, *DECODERS], "unrolled": [*UNROLLED, REGRESSION], "3min": [*PRESETS]}
"""The tables in which the trials are shown."""
TRIALS = [name for table in TABLES.values() for name in table]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--trials", nargs="+", choices=TRIALS, default=TRIALS, help="only these trials")
    given = parsed(parser, trials=["anchor", *TWICE[:2], *MEANS, *DECODERS, REGRESSION])
    table = Table("trials", "Trials for the best set of its size: FashionMNIST, validation part of train; width 64")
    data = read(fashion_mnist, given.data_dir)
    data = data if smoke_run() else data.validation()
    for name in given.trials:
        for under in (fixed_steps, idc2022) if name in TWICE else (fixed_steps,):
            cell = {"trial": name, "under": None if under is fixed_steps else under.__name__}
            if table.has(**cell):
                continue
            with compiled():
                there = tried(table, name, data)
            made = there.condensed
            reached = evaluate(made, data, NET, under, REPEATS, torch.bfloat16)
            facts = {**cell, "floats": made.floats, "rows": 10 * made.rows_per_class}
            table.add(data, reached, made.recipe, there.seconds, there.commit, there.processor, **facts)


if __name__ == "__main__":
    program(main)
