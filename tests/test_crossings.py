"""Parameterizations, objectives and schedules work together, without a line of their own."""

from dataclasses import fields

import pytest
import torch
from conftest import blobs
from lists import DECODERS, LEARNED, TINY, over

from condensery.algorithms.matching import Matching
from condensery.algorithms.samplers import Epochwise, Representative, Uniform
from condensery.algorithms.schedules import Fresh, TrainedOnReal, TrainedOnSynthetic
from condensery.augment import Augmentation, Color, Crop, CutMix
from condensery.data.pixels import PixelSpace
from condensery.evaluation.training import Training
from condensery.networks.net import build
from condensery.objectives import AdaptiveSubset, DistributionMatching, GradientMatching, convolutions
from condensery.objectives.distances import squared_euclidean
from condensery.recipes import DREAM, MDC
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


def crossed():
    """Every decoder with every objective, and both with every schedule in turn, so that all pairs occur."""
    for i, decoder in enumerate(DECODERS):
        for j, objective in enumerate(OBJECTIVES):
            schedule = list(SCHEDULES)[(i + j) % len(SCHEDULES)]
            names = f"{decoder}-{objective}-{schedule}"
            yield pytest.param(DECODERS[decoder], OBJECTIVES[objective], SCHEDULES[schedule], id=names)


@pytest.mark.parametrize(("decoder", "objective", "schedule"), list(crossed()))
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


def wrappable(recipe):
    """The recipe with some real rows in a match, several bases per class, and enough restarts for MDC to choose."""
    names = {field.name for field in fields(recipe)}
    several = {"ipc": 3, "real_rows": 6} | ({"outer_steps": 4} if "outer_steps" in names else {"steps": 8})
    return recipe.having(**several)


def mdc(base, recipe):
    labels_alone = getattr(recipe, "learn", "") == "labels"  # features do not depend on them
    return MDC(base, period=1, window=1, metric="gradients" if labels_alone else "features")


WRAPPERS = {
    "mdc": lambda base: mdc(base, base),
    "mdc of dream": lambda base: mdc(DREAM(base, cluster_every=2), base),
}


@pytest.mark.parametrize("wrapper", WRAPPERS.values(), ids=WRAPPERS)
@over(LEARNED)
def test_every_wrapper_goes_around_every_recipe_that_matches(part, wrapper):
    real, base = blobs(sizes=(30, 25, 27)), wrappable(part)
    wrapped, chosen, alone = wrapper(base), [], base.algorithm(real)
    made = wrapped.algorithm(real)
    assert made.steps == alone.steps
    assert isinstance(made.objective, AdaptiveSubset) == isinstance(wrapped, MDC)
    assert isinstance(made.sampler, Representative) == ("DREAM" in repr(wrapped))
    assert isinstance(alone.sampler, Uniform | Epochwise)
    before = made.synthetic.floats
    synthetic = made.run(observe=lambda step: chosen.extend(step.said.get("subset", [])))
    assert (synthetic.floats, type(synthetic.decoder)) == (before, type(alone.finish(alone.synthetic).decoder))
    assert bool(chosen) == isinstance(wrapped, MDC)
    assert all(torch.isfinite(p).all() for p in synthetic.parameters())
