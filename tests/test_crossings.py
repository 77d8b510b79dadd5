"""Every parameterization x objective x schedule works together, without a line of its own."""

import pytest
import torch
from conftest import blobs
from lists import DECODERS, TINY

from condensery.algorithms.matching import Matching
from condensery.algorithms.samplers import Uniform
from condensery.algorithms.schedules import Fresh, TrainedOnReal, TrainedOnSynthetic
from condensery.augment import Augmentation, Color, Crop, CutMix
from condensery.data.pixels import PixelSpace
from condensery.evaluation.training import Training
from condensery.networks.net import build
from condensery.objectives import DistributionMatching, GradientMatching, convolutions
from condensery.objectives.distances import squared_euclidean
from condensery.synthetic import SyntheticSet, random_real

OBJECTIVES = {
    "gradient": GradientMatching,
    "gradient of convolutions, squared": lambda: GradientMatching(squared_euclidean, convolutions),
    "distribution": DistributionMatching,
    "distribution, through a part": lambda: DistributionMatching(part=6),
}
HOW = Training(0.05, 0.9, batch_size=6)
SCHEDULES = {
    "fresh": lambda net: Fresh(net, 20, seed=0),
    "trained on synthetic": lambda net: TrainedOnSynthetic(net, 4, 5, 2, HOW, 0, Augmentation((Color(),))),
    "trained on real": lambda net: TrainedOnReal(net, 4, 5, 12, HOW, 0, Augmentation((Color(),)), CutMix(0.5)),
}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
@pytest.mark.parametrize("decoder", DECODERS.values(), ids=DECODERS)
def test_twenty_steps_move_every_stored_parameter(decoder, objective, schedule):
    real, ipc = blobs(), 2
    decoder = decoder(real.shape, ipc)
    space = PixelSpace(real.space.mean, real.space.std, "unit")
    synthetic = SyntheticSet.from_rows(random_real(real, ipc, 0, decoder), space, decoder)
    before = {name: p.detach().clone() for name, p in synthetic.named_parameters()}
    network = build(TINY, real.shape, 3).double()
    losses = []
    Matching(
        real, synthetic, schedule(network), Uniform(6), objective(),
        torch.optim.Adam(synthetic.parameters(), 1e-3), 0, Augmentation((Color(), Crop())),
    ).run(observe=lambda step: losses.append(step.loss))  # fmt: skip
    assert len(losses) == 20
    for name, parameter in synthetic.named_parameters():
        assert parameter.dtype == torch.float64
        assert (parameter != before[name]).all(), name
