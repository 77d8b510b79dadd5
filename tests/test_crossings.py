"""Parameterizations, objectives and schedules work together, without a line of their own."""

from dataclasses import fields
from itertools import combinations, cycle, product

import pytest
import torch
from conftest import blobs
from lists import DECODERS, LEARNED, OBJECTIVES, SAMPLERS, SCHEDULES, TINY

from condensery.algorithms.matching import Matching, updates
from condensery.algorithms.samplers import Epochwise, Representative, Uniform
from condensery.augment import Augmentation, Color, Crop
from condensery.data.pixels import PixelSpace
from condensery.networks.net import build
from condensery.objectives import AdaptiveSubset, DistributionMatching, Unrolling
from condensery.recipes import DREAM, MDC, Compact, Unrolled
from condensery.synthetic import SyntheticSet, random_real

MATCHED = OBJECTIVES | {"distribution, through a part": lambda: DistributionMatching(part=6)}
PARTS = {"decoder": DECODERS, "objective": MATCHED, "schedule": SCHEDULES, "sampler": SAMPLERS}


def pairs(names):
    """The pairs of parts in a crossing, each part with its kind."""
    return set(combinations(zip(PARTS, names, strict=True), 2))


def crossed():
    """Every decoder with every objective, each time with the schedule and the sampler that bring most new pairs."""
    seen = set()
    for decoder, objective in product(DECODERS, MATCHED):
        choices = product([decoder], [objective], SCHEDULES, SAMPLERS)
        names = max(choices, key=lambda names: len(pairs(names) - seen))
        seen |= pairs(names)
        yield names


CROSSED = list(crossed())


def test_all_pairs_of_parts_are_crossed():
    assert set().union(*map(pairs, CROSSED)) == set().union(*map(pairs, product(*PARTS.values())))


@pytest.mark.parametrize("names", CROSSED, ids="-".join)
def test_twenty_steps_move_every_stored_parameter(names):
    real, ipc = blobs(), 2
    decoder, objective, schedule, sampler = (kind[name] for kind, name in zip(PARTS.values(), names, strict=True))
    decoder = decoder(real.shape, ipc)
    space = PixelSpace(real.space.mean, real.space.std, "unit")
    synthetic = SyntheticSet.from_rows(random_real(real, ipc, 0, decoder), space, decoder)
    before = {name: p.detach().clone() for name, p in synthetic.named_parameters()}
    network = build(TINY, real.shape, 3).double()
    losses = []
    Matching(
        real, synthetic, schedule(network), sampler(real.classes), objective(),
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
    "dream": lambda base: DREAM(base, cluster_every=2),
    "mdc of dream": lambda base: mdc(DREAM(base, cluster_every=2), base),
    "compact": Compact,
    "unrolled": lambda base: Unrolled(base, rounds=4, unrolled_updates=2, network_pool=2, lifetime=4, outer_rows=3),
}
WRAPPED = list(zip(LEARNED, cycle(WRAPPERS), strict=False))


@pytest.mark.parametrize(("name", "wrapper"), WRAPPED)
def test_wrappers_go_around_all_recipes_that_match(name, wrapper):
    real, base = blobs(sizes=(30, 25, 27)), wrappable(LEARNED[name])
    wrapped, chosen, alone = WRAPPERS[wrapper](base), [], base.algorithm(real)
    made = wrapped.algorithm(real)
    assert updates(made) - updates(alone) == (4 if wrapper == "unrolled" else 0)
    assert isinstance(made.objective, AdaptiveSubset) == ("mdc" in wrapper)
    assert isinstance(made.objective, Unrolling) == (wrapper == "unrolled")
    assert isinstance(made.sampler, Representative) == ("dream" in wrapper)
    assert isinstance(alone.sampler, Uniform | Epochwise)
    before = made.synthetic.floats
    synthetic = made.run(observe=lambda step: chosen.extend(step.said.get("subset", [])))
    assert (synthetic.floats, type(synthetic.decoder)) == (before, type(alone.finish(alone.synthetic).decoder))
    assert synthetic.format == ("uint8" if wrapper == "compact" else None)
    assert bool(chosen) == ("mdc" in wrapper)
    assert all(torch.isfinite(p).all() for p in synthetic.parameters())
