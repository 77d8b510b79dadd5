"""Unrolled: networks take turns, go on from where they were, and start anew; and their rows teach the set."""

from dataclasses import replace

import pytest
import torch
from conftest import blobs
from lists import LEARNED, TINY, WRAPPED, over

from condensery.algorithms.schedules import Fresh, walk
from condensery.evaluation.training import Training
from condensery.networks.net import build
from condensery.objectives import Unrolling
from condensery.randomness import rng
from condensery.recipes import Unrolled
from condensery.synthetic import SyntheticSet, random_real

HOW = Training(0.05, 0.9, 1e-2, batch_size=4)


def test_networks_of_all_ages_take_turns():
    """Two networks of two rounds each, of which the first life of the first one is shorter."""
    real = blobs()
    network = build(TINY, real.shape, 3).double()
    synthetic = SyntheticSet.from_rows(random_real(real, 2, 0), real.space)
    target = real.sample(5, range(3), lambda c: rng(0, "real", c)).flat()
    turns, begins, ended = Unrolling(network, 2, HOW, 0, networks=2, lifetime=4), [], {}
    for step, point in enumerate(walk(Fresh(network, 8, seed=0), synthetic, real)):
        went_on = ended.get(step % 2, point)
        found = {}
        for start in (point, replace(point, params=went_on.params, momenta=went_on.momenta)):
            alone = Unrolling(network, 2, HOW, 0)
            reached = alone.loss(start, synthetic(), target).item()
            found[reached] = alone._ended
        loss = turns.loss(point, synthetic(), target).item()
        ended[step % 2] = found[loss]
        begins.append(loss == next(iter(found)))
        turns.after()
    assert begins == [True, True, True, False, False, True, True, False]


def test_an_epoch_has_every_row_once():
    real = blobs()
    network = build(TINY, real.shape, 3).double()
    (point,) = walk(Fresh(network, 1, seed=0), None, real)
    x, targets = torch.arange(10.0)[:, None, None, None], torch.eye(10)
    rows, labels = Unrolling(network, 5, HOW, 0)._minibatches(point, x, targets)
    assert rows.shape == (5, 4, 1, 1, 1)
    order = rows.flatten().long()
    assert order[:10].sort().values.tolist() == order[10:].sort().values.tolist() == list(range(10))
    assert order[:10].tolist() != order[10:].tolist()
    assert torch.equal(labels.flatten(0, 1), torch.eye(10)[order])


def test_what_the_first_recipe_kept_for_its_steps_is_released():
    algorithm = WRAPPED["unrolled of anchor of kfs"].algorithm(blobs())
    algorithm.run(observe=lambda step: None)
    (before,) = algorithm.before
    assert not before.sampler._means
    assert not before.schedule._trained


@pytest.mark.parametrize("networks", [1, 2, 3, 4])
def test_the_first_of_the_networks_are_augmented(networks):
    real, changed = blobs(), []
    network = build(TINY, real.shape, 3).double()
    objective = Unrolled(LEARNED["dm 2"], augmented=0.5, network_pool=networks)._unrolling(
        network, SyntheticSet.from_rows(random_real(real, 2, 0), real.space), real
    )
    for point in walk(Fresh(network, 2 * networks, seed=0), None, real):
        x, targets = real.sample(4, range(3), lambda c: rng(0, c)).x.flatten(0, 1), torch.eye(12, dtype=torch.float64)
        rows, _ = objective._minibatches(point, x, targets)
        changed.append(not all((row == x).flatten(1).all(1).any() for row in rows[0]))
    assert changed == 2 * [which < round(networks / 2) for which in range(networks)]


@over({name: part for name, part in WRAPPED.items() if isinstance(part, Unrolled)})
def test_rounds_improve_the_set_of_what_is_wrapped(part):
    """The loss of real rows, in the same networks and on the same rows, with and without learning."""
    losses = {}
    for factor in (0.0, 0.3):
        recipe = replace(part, rounds=16, lr_factor=factor, network_pool=1, lifetime=3, augmented=0.0)
        recipe.algorithm(blobs()).run(observe=lambda step, f=factor: losses.setdefault(f, []).append(step.loss))
        assert len(losses[factor]) == 16
    assert sum(losses[0.3][8:]) < sum(losses[0.0][8:])


def test_what_mdc_froze_is_learned_again_in_the_rounds():
    real = blobs()
    for seed in range(10):
        recipe = Unrolled(WRAPPED["mdc of dm"].having(seed=seed), rounds=1, unrolled_updates=2)
        (earlier,) = recipe.algorithm(real).beginnings
        earlier.matching.learn()
        if (frozen := earlier.matching.synthetic.frozen.clone()).any():
            break
    before = earlier.matching.synthetic.bases.detach().clone()
    after = recipe.algorithm(real).run().bases
    assert frozen.any()
    assert all((after[c, :n] != before[c, :n]).any() for c, n in enumerate(frozen) if n)


def test_rates_fall_at_the_end_and_gradients_have_unit_norm():
    made = Unrolled(LEARNED["kfs whole"], rounds=50, lr_factor=0.1).algorithm(blobs())
    usual = LEARNED["kfs whole"].algorithm(blobs()).optimizer.param_groups
    assert [group["lr"] for group in made.optimizer.param_groups] == [0.1 * group["lr"] for group in usual]
    rates, norms = [], []

    def observe(step):
        rates.append(made.optimizer.param_groups[0]["lr"])
        norms.extend(p.grad.norm().item() for p in step.synthetic.parameters())

    made.run(observe=observe)
    first = 0.1 * usual[0]["lr"]
    assert rates == pytest.approx([first] * 35 + [first / 5] * 10 + [first / 25] * 5)
    assert norms == pytest.approx([1.0] * len(norms))
