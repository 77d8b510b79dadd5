"""IDC's table 5 at CPU scale: where and how gradients are matched.

    python experiments/idc_table5.py [--ipc 1 10]        # digits; about 5 minutes for each size

The paper: CIFAR-10, 50 images per class, ConvNet-3, 200,000 steps. Here ConvNet of width 64, some hundred steps of
Adam at one learning rate for all cases, 1 set x 3 networks under `idc2022`. "Syn" trains the network on the synthetic
set (5 passes between two matches), "Real" on 256 real rows; without "Reg" a row of its training gets one operation of
color, crop and cutout, with it color, crop and CutMix. Cells that are in the results file are skipped.
"""

import time
from dataclasses import replace

import torch
from record import Table, by_hand, evaluate, few, options, parsed, program, read

from condensery.algorithms.matching import Matching
from condensery.algorithms.samplers import Uniform
from condensery.algorithms.schedules import Schedule, TrainedOnReal, TrainedOnSynthetic
from condensery.augment import Augmentation, Color, Crop, CutMix, Cutout
from condensery.data import Data, digits
from condensery.evaluation.protocols import idc2022
from condensery.evaluation.training import Training
from condensery.networks.convnet import ConvNet
from condensery.networks.net import build
from condensery.objectives import GradientMatching, convolutions
from condensery.objectives.distances import layerwise_cosine, squared_euclidean
from condensery.synthetic import SyntheticSet, random_real

NET, REPEATS = ConvNet(width=64), 3
OUTER, INNER = 15, 20
ONE_OF = Augmentation(one_of=(Color(), Crop(), Cutout()))
SEQUENCE, WITHOUT_CUTOUT = Augmentation((Color(), Crop(), Cutout())), Augmentation((Color(), Crop()))
TABLE5 = {  # name: (trained on real rows, distance, regularized), the paper's figure
    "syn + cos": (False, layerwise_cosine, False, "60.6"),
    "syn + mse": (False, squared_euclidean, False, "25.8"),
    "real + cos": (True, layerwise_cosine, False, "63.4"),
    "real + mse": (True, squared_euclidean, False, "67.0"),
    "real + reg + mse": (True, squared_euclidean, True, "69.5"),
}


def schedule(data: Data, on_real: bool, regularized: bool) -> Schedule:
    """The schedule of a case of table 5: the points at which gradients are matched."""
    network = build(NET, data.shape, data.train.classes).to(data.train.device)
    outer, inner = few(OUTER), few(INNER)
    if not on_real:
        return TrainedOnSynthetic(network, outer, inner, 5, Training(0.01, batch_size=64), 0, ONE_OF)
    how = Training(0.01, 0.9, 5e-4, 64)
    augment, mix = (WITHOUT_CUTOUT, CutMix(0.5)) if regularized else (ONE_OF, None)
    return TrainedOnReal(network, outer, inner, 256, how, 0, augment, mix)


def measure(table: Table, ipc: int) -> None:
    """Condense and measure all cases of a size that the table does not contain."""
    data = read(lambda folder: digits(), None)
    for name, (on_real, distance, regularized, paper) in TABLE5.items():
        if table.has(ipc=ipc, case=name):
            continue
        start = time.perf_counter()
        space = replace(data.train.space, stored="unit")
        synthetic = SyntheticSet.from_rows(random_real(data.train, ipc, 0), space)
        Matching(
            data.train, synthetic, schedule(data, on_real, regularized), Uniform(64),
            GradientMatching(distance, convolutions), torch.optim.Adam(synthetic.parameters(), 0.01), 0, SEQUENCE,
            project=SyntheticSet.clamp, project_every=few(INNER),
        ).run()  # fmt: skip
        seconds = time.perf_counter() - start
        recipe = {"name": name, "ipc": ipc, "outer_steps": OUTER, "inner_steps": INNER, "lr": 0.01, "seed": 0}
        reached = evaluate(by_hand(synthetic, data, recipe), data, NET, idc2022, REPEATS)
        table.add(data, reached, recipe, seconds, dataset="digits", ipc=ipc, case=name, paper=paper)


def main() -> None:
    parser = options(__doc__, data=False)
    parser.add_argument("--ipc", type=int, nargs="+", default=[10, 1])
    given = parsed(parser, ipc=[1])
    table = Table("idc_table5", "IDC, table 5, at CPU scale: ConvNet-3 of width 64; test accuracy")
    for ipc in given.ipc:
        measure(table, ipc)


if __name__ == "__main__":
    program(main)
