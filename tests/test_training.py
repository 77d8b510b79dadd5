from dataclasses import replace

import pytest
import torch
from conftest import blobs
from lists import DECODERS, NETS, TINY, over

from condensery.data import TestSet
from condensery.evaluation.protocols import WHOLE
from condensery.evaluation.training import DecodedRows, TensorRows, Training, accuracy, fit, guesses
from condensery.kernels.compiling import during
from condensery.kernels.passes import passes
from condensery.networks.net import build
from condensery.networks.network import initial
from condensery.randomness import rng
from condensery.synthetic import SyntheticSet, random_real


def start(net=TINY):
    return initial(build(net, (1, 8, 8), 3).double(), rng(0))


def same(a, b):
    return all(torch.equal(a.params[k], b.params[k]) for k in a.params)


@over(NETS)
def test_training_learns_and_leaves_the_start_alone(part):
    real, point = blobs(), start(part)
    before = {k: v.clone() for k, v in point.params.items()}
    rates = 0.01, 0.05  # a deep network needs a small one, a network without norms a large one
    trained = [fit(point, real, Training(lr, 0.9, batch_size=7), 60, 0, ("t",)) for lr in rates]
    test = TestSet(real.images, real.labels, real.space, real.dtype, real.device)
    assert max(accuracy(each, test) for each in trained) > max(accuracy(point, test), 0.5)
    assert all(torch.equal(before[k], point.params[k]) for k in before)


def test_training_is_a_function_of_seed_and_key():
    real = blobs()
    a, b, c = (fit(start(), real, Training(0.1, batch_size=4), 9, 0, ("t", k)) for k in (1, 1, 2))
    assert same(a, b)
    assert not same(a, c)


def test_a_step_is_sgds():
    real, point = blobs(), start()
    how = Training(0.1, momentum=0.9, weight_decay=0.01, batch_size=100)
    params = {k: v.clone().requires_grad_() for k, v in point.params.items()}
    velocity = {k: torch.zeros_like(v) for k, v in params.items()}
    for _ in range(3):
        x, y = real.read(slice(0, 21)), real.labels
        loss = torch.nn.functional.cross_entropy(point.logits(x, params), y)
        gradients = torch.autograd.grad(loss, list(params.values()))
        for (k, p), g in zip(params.items(), gradients, strict=True):
            velocity[k] = 0.9 * velocity[k] + g + 0.01 * p.detach()
            params[k] = (p.detach() - 0.1 * velocity[k]).requires_grad_()
    trained = fit(point, real, how, 3, 0, ("t",))
    assert all(torch.allclose(trained.params[k], p, atol=1e-12) for k, p in params.items())


def test_training_goes_on_with_the_momenta_of_its_point():
    real, how = blobs(), Training(0.1, 0.9, batch_size=100)
    whole = fit(start(), real, how, 8, 0, ("t",))
    parts = fit(fit(start(), real, how, 4, 0, ("t",)), real, how, 4, 0, ("t",))
    assert all(torch.allclose(whole.params[k], parts.params[k], atol=1e-12) for k in whole.params)
    assert all(torch.allclose(whole.momenta[k], parts.momenta[k], atol=1e-12) for k in whole.params)


def test_forgotten_momentum_and_a_lower_rate_are_a_new_optimizer():
    real, point = blobs(), start()
    half = Training(0.1, 0.9, batch_size=100, schedule=lambda p: 1.0 if p < 0.5 else 0.1, restart_at=(0.5,))
    whole = fit(point, real, half, 8, 0, ("t",))
    first = fit(point, real, Training(0.1, 0.9, batch_size=100), 4, 0, ("t",))
    second = fit(replace(first, momenta={}), real, Training(0.01, 0.9, batch_size=100), 4, 0, ("t",))
    assert all(torch.allclose(whole.params[k], second.params[k], atol=1e-12) for k in whole.params)


def test_one_cycle_climbs_then_falls_to_nothing():
    factors = [WHOLE.schedule(i / 100) for i in range(100)]
    peak = factors.index(max(factors))
    assert max(factors) == 1
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
    assert factors[-1] < 1e-3


def test_decoded_rows_are_gone_through_once_an_epoch():
    batch = blobs().sample(4, range(3), lambda c: rng(0, c))
    rows = TensorRows(batch)
    parts = list(rows.minibatches(5, rng(1)))
    assert [len(x) for x, _, _ in parts] == [5, 5, 2]
    assert sorted(torch.cat([i for _, _, i in parts]).tolist()) == list(range(12))
    assert all(torch.equal(rows.x[i], x) for x, _, i in parts)


def test_accuracy_counts_the_largest_logit(monkeypatch):
    monkeypatch.setattr("condensery.evaluation.training.rows_at_once", lambda device, shape: 4)
    real, point = blobs(), start()
    test = TestSet(real.images, real.labels, real.space, real.dtype, real.device)
    largest = point.logits(real.read(slice(0, 21))).argmax(1)
    assert accuracy(point, test) == (largest == real.labels).double().mean().item()


@over(NETS)
def test_guesses_by_passes_are_those_of_the_network(part, monkeypatch):
    real = blobs(sizes=(60, 40, 50))
    point = start(part).with_statistics_of(real.read(slice(0, 9)))
    test = TestSet(real.images, real.labels, real.space, real.dtype, real.device)
    expected = guesses(point, test)
    embedded = []
    monkeypatch.setattr(
        "condensery.evaluation.training.passes",
        lambda network, dtype: embedded.append(network) or passes(network, dtype),
    )
    with during("passes"):
        assert torch.equal(guesses(point, test), expected)
    assert bool(embedded) != point.network.plain_training


@over({name: part for name, part in DECODERS.items() if part((1, 8, 8), 2).even})
@pytest.mark.parametrize("soft", [False, True])
def test_rows_decoded_minibatch_by_minibatch_are_the_decoded_rows(part, soft):
    real, ipc = blobs(), 2
    decoder = part(real.shape, ipc)
    rows = random_real(real, ipc, 0, decoder)
    labels = torch.randn(3, ipc, 3, generator=rng(0, "labels"), dtype=torch.float64) if soft else None
    synthetic = SyntheticSet.from_rows(rows, real.space, decoder, labels)
    decoded, kept = DecodedRows(synthetic, dtype=torch.float64), TensorRows(synthetic())
    assert len(decoded) == len(kept)
    ours, theirs = (list(each.minibatches(5, rng(1))) for each in (decoded, kept))
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.equal(mine[2], other[2])
        assert torch.allclose(mine[0], other[0], atol=1e-12)
        assert torch.allclose(mine[1].double(), other[1].double(), atol=1e-12)
