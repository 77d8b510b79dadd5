import torch
from conftest import blobs
from lists import TINY

from condensery.net import Net
from condensery.networks import build
from condensery.schedules import Fresh, TrainedOnSynthetic, walk
from condensery.synthetic import SyntheticSet, noise
from condensery.training import SGD

SYNTHETIC = SyntheticSet.from_rows(noise(blobs(), 2, 0), blobs().space)


def trained(outer=3, inner=4, net=TINY):
    return TrainedOnSynthetic(build(net, (1, 8, 8), 3).double(), outer, inner, 2, SGD(0.1), seed=0)


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


def test_a_walk_resumes_at_any_point():
    points = list(walk(trained(), SYNTHETIC, blobs()))
    for start in (0, 3, 5, 11):
        rest = list(walk(trained(), SYNTHETIC, blobs(), points[start]))
        assert [p.key for p in rest] == [p.key for p in points[start:]]
        assert torch.equal(rest[-1].params["head.weight"], points[-1].params["head.weight"])


def test_the_network_is_trained_on_what_the_last_step_learned():
    synthetic = SyntheticSet.from_rows(noise(blobs(), 2, 0), blobs().space)
    steps = walk(trained(1, 2), synthetic, blobs())
    next(steps)
    with torch.no_grad():
        synthetic.bases.add_(1)
    changed, before = next(steps), list(walk(trained(1, 2), SYNTHETIC, blobs()))[1]
    assert not torch.equal(changed.params["head.weight"], before.params["head.weight"])


def test_batch_norm_statistics_come_from_real_rows_at_every_point():
    net = Net(width=4, depth=2, norm="batch")
    real = blobs()
    name = "stages.0.1.running_mean"
    for point in walk(trained(2, 2, net), SYNTHETIC, real):
        assert point.buffers[name].abs().max() > 0
        rows = real.read(slice(0, 21))
        estimate = point.with_statistics_of(rows).buffers[name]
        assert torch.allclose(point.buffers[name], estimate, atol=0.2)
