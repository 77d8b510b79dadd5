"""DC's table 1 at CPU scale: random, herding and DC (`dc:quick`) on MNIST and FashionMNIST, protocol `dc2021`.

    python experiments/dc_table1.py --data-dir DIR [--data FashionMNIST MNIST] [--ipc 1 10]
                                    [--methods random herding dc whole]

Cost on 2 cores: at 1 image per class about 10 minutes for DC on each data set, 5 for herding's feature network (2
epochs on the whole set), 2 to 5 to measure 5 networks; 10 images per class and `whole` take much longer and have not
been run yet. Runs resume from `runs/dc_table1/`; cells that are in the results file are skipped.

A cell has 5 networks: random 5 sets with one network each, the other methods 1 set. The paper: 5 sets x 20 networks.
The test part is read once per network, after the last epoch; `dc:quick` was chosen on a tenth of the training part.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from record import Table, by_hand, condensed, evaluate, evaluate_whole, few, kept, parsed, program, read

from condensery.algorithms import coresets
from condensery.data import Data, fashion_mnist, mnist
from condensery.evaluation.protocols import WHOLE
from condensery.evaluation.training import fit
from condensery.networks.convnet import ConvNet
from condensery.networks.net import build
from condensery.networks.network import Point, initial
from condensery.randomness import rng
from condensery.recipes import DC, Herding, Random
from condensery.runs import storage
from condensery.runs.condensed import Condensed

METHODS = ("random", "herding", "dc", "whole")
READERS = {"FashionMNIST": fashion_mnist, "MNIST": mnist}
PAPER = {
    ("MNIST", 1): {"random": "64.9 ± 3.5", "herding": "89.2 ± 1.6", "dc": "91.7 ± 0.5"},
    ("MNIST", 10): {"random": "95.1 ± 0.9", "herding": "93.7 ± 0.3", "dc": "97.4 ± 0.2"},
    ("FashionMNIST", 1): {"random": "51.4 ± 3.8", "herding": "67.0 ± 1.9", "dc": "70.5 ± 0.6"},
    ("FashionMNIST", 10): {"random": "73.8 ± 0.7", "herding": "71.1 ± 0.7", "dc": "82.3 ± 0.4"},
    ("MNIST", None): {"whole": "99.6 ± 0.0"},
    ("FashionMNIST", None): {"whole": "93.5 ± 0.1"},
}
FEATURE_EPOCHS = 2


def features(data: Data, runs: Path) -> Point:
    """The feature network of herding for this data set, which is trained once, kept, and used at every size."""
    path = runs / f"features-{data.name}.safetensors"
    network = build(ConvNet(), data.shape, data.train.classes)
    identity = {"epochs": FEATURE_EPOCHS, "fingerprint": data.train.fingerprint}
    if path.exists():
        head, params = storage.read_tensors(path)
        if head == identity:
            return Point(network, params, {})
    steps = few(WHOLE.steps(FEATURE_EPOCHS, len(data.train)))
    point = fit(initial(network, rng(0, "weights", "features")), data.train, WHOLE, steps, 0, ("features",))
    path.parent.mkdir(parents=True, exist_ok=True)
    storage.write_tensors(path, point.params, identity)
    return point


def dc(ipc: int) -> DC:
    """`dc:quick`; above 1 image per class with as many restarts as an hour allows."""
    return replace(DC.quick(), ipc=ipc) if ipc == 1 else replace(DC.quick(), ipc=ipc, outer_steps=30, real_rows=64)


def cell(data: Data, ipc: int, method: str, runs: Path) -> tuple[list[Condensed], dict[str, Any], float, str]:
    """The sets of a cell, their recipe, the seconds of condensing, and the commit if it is not the present one."""
    start = time.perf_counter()
    if method == "random":
        sets = [condensed(Random(ipc, seed=seed), data)[0] for seed in range(5)]
        return sets, {"name": "random", "ipc": ipc, "seeds": list(range(5))}, time.perf_counter() - start, ""
    if method == "herding":
        recipe = Herding(ipc, feature_epochs=FEATURE_EPOCHS).record()
        synthetic = coresets.herding(data.train, ipc, features(data, runs))
        return [by_hand(synthetic, data, recipe)], recipe, time.perf_counter() - start, ""
    made = kept(dc(ipc), data, runs / f"{data.name}-dc-{ipc}")
    return [made.condensed], made.condensed.recipe, made.seconds, made.commit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--data", nargs="+", default=list(READERS), choices=list(READERS))
    parser.add_argument("--ipc", nargs="+", type=int, default=[1], choices=[1, 10])
    parser.add_argument("--methods", nargs="+", default=["dc", "random", "herding"], choices=METHODS)
    given = parsed(parser, data=["MNIST"], methods=METHODS)
    table = Table("dc_table1", "DC, table 1: ConvNet-3, width 128; test accuracy")
    for name in given.data:
        data = read(READERS[name], given.data_dir)
        for method in given.methods:
            if method == "whole":
                if not table.has(dataset=name, ipc=None, method="whole"):
                    reached = evaluate_whole(data, repeats=1)
                    table.add(data, reached, {"name": "whole"}, 0.0, dataset=name, ipc=None, method="whole",
                              paper=PAPER[name, None]["whole"])  # fmt: skip
                continue
            for ipc in given.ipc:
                if table.has(dataset=name, ipc=ipc, method=method):
                    continue
                sets, recipe, seconds, at = cell(data, ipc, method, table.runs)
                reached = evaluate(sets, data, repeats=5 // len(sets))
                paper = PAPER[name, ipc][method]
                table.add(data, reached, recipe, seconds, at, dataset=name, ipc=ipc, method=method, paper=paper)


if __name__ == "__main__":
    program(main)
