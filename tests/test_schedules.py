import torch
from conftest import blobs
from lists import LEARNED, SCHEDULES, TINY, WRAPPED, over

from condensery.algorithms import schedules
from condensery.algorithms.schedules import Fresh, KeptPoints, TrainedOnReal, TrainedOnSynthetic, walk
from condensery.augment import Augmentation, Color, Crop, CutMix
from condensery.evaluation.training import Training, fit
from condensery.networks.convnet import ConvNet
from condensery.networks.net import build
from condensery.randomness import rng
from condensery.runs.checkpoint import Interrupted, Keeper
from condensery.synthetic import SyntheticSet, noise

SYNTHETIC = SyntheticSet.from_rows(noise(blobs(), 2, 0), blobs().space)


def trained(outer=3, inner=4, net=TINY):
    return TrainedOnSynthetic(build(net, (1, 8, 8), 3).double(), outer, inner, 2, Training(0.1), seed=0)


def test_a_schedule_goes_through_outer_and_inner_points_in_order():
    points = list(walk(trained(), SYNTHETIC, blobs()))
    assert [(p.outer, p.inner) for p in points] == [(o, i) for o in range(3) for i in range(4)]
    assert len({p.key for p in points}) == 12


def test_weights_are_fresh_at_every_restart_and_trained_between():
    points = list(walk(trained(), SYNTHETIC, blobs()))
    fresh = list(walk(Fresh(build(TINY, (1, 8, 8), 3).double(), 3, seed=0), SYNTHETIC, blobs()))
    name = "head.weight"
    for outer in range(3):
        assert torch.equal(points[4 * outer].params[name], fresh[outer].params[name])
        for i in range(3):
            assert not torch.equal(points[4 * outer + i].params[name], points[4 * outer + i + 1].params[name])


@over(SCHEDULES)
def test_a_walk_resumes_at_any_point(part):
    network = build(TINY, (1, 8, 8), 3).double()
    points = list(walk(part(network), SYNTHETIC, blobs()))
    assert len(points) == 20
    for start in (0, 3, 5, 19):
        rest = list(walk(part(network), SYNTHETIC, blobs(), points[start]))
        assert [p.key for p in rest] == [p.key for p in points[start:]]
        assert all(torch.equal(value, points[-1].params[k]) for k, value in rest[-1].params.items())


def test_the_network_is_trained_on_what_the_last_step_learned():
    synthetic = SyntheticSet.from_rows(noise(blobs(), 2, 0), blobs().space)
    steps = walk(trained(1, 2), synthetic, blobs())
    next(steps)
    with torch.no_grad():
        synthetic.bases.add_(1)
    changed, before = next(steps), list(walk(trained(1, 2), SYNTHETIC, blobs()))[1]
    assert not torch.equal(changed.params["head.weight"], before.params["head.weight"])


def test_batch_norm_statistics_come_from_real_rows_at_every_point():
    net = ConvNet(width=4, depth=2, norm="batch")
    real = blobs()
    name = "stages.0.1.running_mean"
    for point in walk(trained(2, 2, net), SYNTHETIC, real):
        assert point.buffers[name].abs().max() > 0
        rows = real.read(slice(0, 21))
        estimate = point.with_statistics_of(rows).buffers[name]
        assert torch.allclose(point.buffers[name], estimate, atol=0.2)


def test_weights_that_come_back_have_the_same_batch_norm_statistics():
    network = build(ConvNet(width=4, depth=2, norm="batch"), (1, 8, 8), 3).double()
    points = list(walk(Fresh(network, 4, seed=0, networks=2), SYNTHETIC, blobs()))
    assert [point.outer for point in points] == [0, 1, 2, 3]
    for first, again in zip(points[:2], points[2:], strict=True):
        assert all(torch.equal(first.buffers[k], again.buffers[k]) for k in first.buffers)


def on_real(outer=3, inner=4, rows=12, **more):
    how = Training(0.1, 0.9, 5e-4, batch_size=6)
    return TrainedOnReal(build(TINY, (1, 8, 8), 3).double(), outer, inner, rows, how, seed=0, **more)


def test_weights_trained_on_real_rows_do_not_read_the_synthetic_set():
    other = SyntheticSet.from_rows(noise(blobs(), 2, 1), blobs().space)
    for a, b in zip(walk(on_real(), SYNTHETIC, blobs()), walk(on_real(), other, blobs()), strict=True):
        assert all(torch.equal(a.params[k], b.params[k]) for k in a.params)


def test_between_two_matches_the_network_goes_on_as_one_training_would():
    """Momentum lives as long as the weights: two advances are the steps of one run on the same minibatches."""
    first, second, third = list(walk(on_real(outer=1, inner=3), SYNTHETIC, blobs()))
    network = first.placed().train()
    optimizer = torch.optim.SGD(network.parameters(), 0.1, 0.9, weight_decay=5e-4)
    real = blobs()
    for inner in (0, 1):
        order = real.minibatches(6, rng(0, "order", "schedule", 0, inner, 0))
        for _, (x, y, _) in zip(range(2), order, strict=False):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(x), y).backward()
            optimizer.step()
        after = (second, third)[inner]
        assert all(torch.allclose(p, after.params[k], atol=1e-12) for k, p in network.named_parameters())
    assert first.momenta == {}
    assert set(third.momenta) == set(third.params)


def test_a_restart_is_fresh_and_its_early_phase_trains_on_all_rows():
    plain, early = list(walk(on_real(), SYNTHETIC, blobs())), list(walk(on_real(early=2), SYNTHETIC, blobs()))
    for outer in range(3):
        start = plain[4 * outer]
        steps = -(-21 // 6) * 2
        trained = fit(start, blobs(), Training(0.1, 0.9, 5e-4, 6), steps, 0, ("early", outer))
        assert all(torch.equal(trained.params[k], early[4 * outer].params[k]) for k in trained.params)
        assert not torch.equal(start.params["head.weight"], plain[0].params["head.weight"]) or outer == 0


def test_a_pool_is_trained_once_and_drawn_from():
    points = list(walk(on_real(outer=12, inner=1, early=1, pool=2), SYNTHETIC, blobs()))
    kinds = {tuple(p.params["head.weight"].flatten().tolist()) for p in points}
    assert len(kinds) == 2
    assert [p.outer for p in points] == list(range(12))
    again = on_real(outer=12, inner=1, early=1, pool=2).start(5, blobs())
    assert torch.equal(again.params["head.weight"], points[5].params["head.weight"])


def test_the_networks_that_restarts_begin_with_are_counted():
    network = build(TINY, (1, 8, 8), 3).double()
    assert [Fresh(network, 12, 0, networks).different for networks in (None, 2, 20)] == [12, 2, 12]
    assert [on_real(12, pool=pool).different for pool in (0, 2, 20)] == [12, 2, 12]
    kept = KeptPoints(network, 12, networks=2, points=5, updates=6, how=Training(), seed=0)
    assert (kept.different, kept.rare(blobs()).count) == (5, 2 * 6)


@over({name: part for name, part in (LEARNED | WRAPPED).items() if name != "idc pool"})  # which draws its networks
def test_the_rows_on_which_networks_are_trained_are_counted(part, monkeypatch):
    seen = []

    def counting(point, rows, how, steps, *arguments, **more):
        seen.append(steps * min(how.batch_size, len(rows)))
        return fit(point, rows, how, steps, *arguments, **more)

    monkeypatch.setattr(schedules, "fit", counting)
    for alone in part.algorithm(blobs()).parts:
        seen.clear()
        alone.run(observe=lambda step: None)
        rows = alone.real.classes * alone.synthetic.rows_per_class
        assert sum(seen) == alone.schedule.trained_rows(alone.real, rows)


def test_what_is_rare_is_augmented_and_mixed_as_in_the_run(monkeypatch):
    seen = []
    monkeypatch.setattr("condensery.algorithms.schedules.fit", lambda *given: seen.append(given[-2:]))
    more = {"augment": Augmentation((Color(),)), "mix": CutMix(0.5)}
    on_real(early=1, **more).rare(blobs()).some(1)
    assert seen == [tuple(more.values())]


def test_augmentation_and_mixing_change_the_weights():
    plain = list(walk(on_real(1, 2), SYNTHETIC, blobs()))[1].params["head.weight"]
    for more in ({"augment": Augmentation((Color(), Crop()))}, {"mix": CutMix(1.0)}):
        changed = list(walk(on_real(1, 2, **more), SYNTHETIC, blobs()))[1].params["head.weight"]
        assert not torch.equal(plain, changed)


def test_an_early_phase_stopped_at_every_step_ends_with_the_same_weights(tmp_path):
    whole = on_real(early=2).start(1, blobs())
    sessions = 0
    while True:
        sessions += 1
        asked = iter([False, True])
        keeper = Keeper(tmp_path / "checkpoint.safetensors", {"run": 1}, stop=lambda asked=asked: next(asked, True))
        try:
            parts = on_real(early=2).start(1, blobs(), keeper.beside)
            break
        except Interrupted:
            assert sessions < 20
    assert sessions == 8
    assert all(torch.equal(whole.params[k], parts.params[k]) for k in whole.params)
    # the next restart's early phase takes the same file, whatever is in it
    other = on_real(early=2).start(2, blobs(), Keeper(tmp_path / "checkpoint.safetensors", {"run": 1}).beside)
    assert torch.equal(other.params["head.weight"], on_real(early=2).start(2, blobs()).params["head.weight"])


def test_kept_points_come_back_and_lie_between_random_and_trained_weights():
    real, network = blobs(), build(TINY, (1, 8, 8), 3).double()
    how = Training(0.1, 0.9, batch_size=8)
    points = list(walk(KeptPoints(network, 7, networks=2, points=5, updates=6, how=how, seed=0), SYNTHETIC, real))
    assert [p.outer for p in points] == list(range(7))
    assert [p.key for p in points[5:]] == [p.key for p in points[:2]]
    assert len({p.key for p in points}) == 5
    fresh = list(walk(Fresh(network, 2, seed=0), SYNTHETIC, real))
    for i, point in enumerate(points):
        start, end = fresh[i % 5 % 2].params, points[i % 5 % 2].params
        moved = torch.cat([(end[k] - v).flatten() for k, v in start.items()])
        places = torch.cat([(point.params[k] - v).flatten() for k, v in start.items()])[moved.abs() > 1e-3]
        places = places / moved[moved.abs() > 1e-3]
        assert torch.allclose(places, places[0].expand_as(places), atol=1e-6)
        assert (places[0] == 1) == (i % 5 < 2)
        assert 0 < places[0] <= 1
