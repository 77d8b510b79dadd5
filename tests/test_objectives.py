from functools import partial
from itertools import cycle, product

import pytest
import torch
from conftest import blobs
from lists import DISTANCES, MATCHES, NETS, OBJECTIVES, SHAPES, TINY, Residual, Unused, over
from torch.nn import functional as F

from condensery.data import Batch
from condensery.errors import InputError
from condensery.evaluation.training import Training
from condensery.networks.net import build
from condensery.networks.network import initial
from condensery.objectives import DistributionMatching, GradientMatching, Unrolling
from condensery.objectives.means import LastLayer
from condensery.randomness import rng


def place(net, real):
    return initial(build(net, real.shape, real.classes).double(), rng(0)).with_statistics_of(real.read(slice(0, 9)))


def rows(real, n, key="rows"):
    return real.sample(n, range(real.classes), lambda c: rng(0, key, c))


def literal(point, x, y, matched):
    """The gradient of the mean cross-entropy, one row at a time."""
    params = {k: v.detach().requires_grad_(k in matched) for k, v in point.params.items()}
    total = 0
    for i in range(len(x)):
        total = total + F.cross_entropy(point.logits(x[i : i + 1], params), y[i : i + 1])
    return torch.autograd.grad(total / len(x), [params[k] for k in matched])


# every network with one distance, and one network with every distance: neither knows of the other
MEASURED = [*zip(NETS, cycle(DISTANCES), strict=False), *product(["convnet instance"], DISTANCES)]
MEASURED = list(dict.fromkeys(MEASURED))


@pytest.mark.parametrize(("net", "distance"), MEASURED)
@over(OBJECTIVES)
def test_real_rows_are_at_distance_zero_from_themselves(part, net, distance):
    real = blobs()
    point, batch = place(NETS[net], real), rows(real, 4)
    objective = part(DISTANCES[distance])
    target = objective.target(point, batch)
    assert not any(t.requires_grad for t in target)
    assert objective.loss(point, batch, target).abs().max() < 1e-9


@over({name: net for name, net in NETS.items() if not name.startswith("own")})
def test_the_last_layer_is_its_gradient_by_autograd(part):
    real = blobs()
    point, batch = place(part, real), rows(real, 5)
    last = [name for name in point.params if name.startswith("head.") and name.endswith("weight")][-1]
    (found,) = DistributionMatching(mean=LastLayer(0.5)).statistic(point, batch)
    (embedding,) = DistributionMatching().statistic(point, batch)
    assert torch.equal(found[:, : embedding.shape[1]], embedding)
    for mine, x, y in zip(found[:, embedding.shape[1] :], batch.x, batch.y, strict=True):
        (gradient,) = literal(point, x, y, [last])
        assert (mine - 0.5 * gradient.flatten()).abs().max() < 1e-9


@over(NETS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_statistic_is_the_mean_gradient(part, shape):
    real = blobs(shape)
    point, batch = place(part, real), rows(real, 5)
    for match in MATCHES.values():
        matched = [k for k, v in point.params.items() if match(k, v)]
        if not matched:
            with pytest.raises(InputError, match="no parameter of the kind to match"):
                GradientMatching(match=match).statistic(point, batch)
            continue
        statistic = GradientMatching(match=match).statistic(point, batch)
        for c in range(3):
            for ours, theirs in zip(statistic, literal(point, batch.x[c], batch.y[c], matched), strict=True):
                assert torch.allclose(ours[c], theirs, atol=1e-9)


CHUNKED = {
    f"{net}-{distance}": (NETS[net], partial(GradientMatching, DISTANCES[distance], MATCHES["everything"]))
    for net, distance in MEASURED
} | {name: (NETS["convnet instance"], kind) for name, kind in OBJECTIVES.items()}


@pytest.mark.parametrize(("net", "kind"), CHUNKED.values(), ids=CHUNKED)
def test_another_chunking_is_the_same_loss_and_gradient(net, kind):
    real = blobs()
    point, target_rows = place(net, real), rows(real, 7)
    results = []
    for chunk in (1, 3, 32):
        objective = kind()
        objective.chunk = chunk
        x = rows(real, 4, "synthetic").x.clone().requires_grad_()
        loss = objective.loss(point, Batch(x, target_rows.y[:, :4]), objective.target(point, target_rows))
        loss.sum().backward()
        results.append((loss.detach(), x.grad))
    for loss, gradient in results[1:]:
        assert torch.allclose(loss, results[0][0], atol=1e-9)
        assert torch.allclose(gradient, results[0][1], atol=1e-9)


@over(OBJECTIVES)
def test_weights_are_parts_of_a_mean(part):
    real = blobs()
    point, batch = place(NETS["convnet instance"], real), rows(real, 5)
    objective = part()
    first = torch.zeros(3, 5, dtype=torch.float64)
    first[:, :2] = 0.5
    for ours, theirs in zip(
        objective.statistic(point, batch, first), objective.statistic(point, batch.rows(slice(2))), strict=True
    ):
        assert torch.allclose(ours, theirs, atol=1e-12)


def test_the_gradient_of_the_loss_is_the_finite_difference():
    real = blobs(shape=(1, 8, 8), sizes=(4, 4))
    point = place(NETS["convnet swish"], real)  # smooth: differences know no kinks
    objective = GradientMatching()
    target, y = objective.target(point, rows(real, 4)), torch.zeros(2, 1, dtype=torch.long)
    y[1] = 1
    x = rows(real, 1, "synthetic").x.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: objective.loss(point, Batch(x, y), target), x, atol=1e-5, rtol=1e-3)


def test_batch_norm_in_bfloat16_points_the_same_way():
    real = blobs()
    point, batch = place(NETS["convnet batch"], real), rows(real, 4)
    exact, rough = (GradientMatching(real_dtype=dtype).target(point, batch) for dtype in (None, torch.bfloat16))
    for one, other in zip(exact, rough, strict=True):
        assert F.cosine_similarity(one.flatten(), other.flatten(), dim=0) > 0.99 or one.norm() < 1e-6


def test_matching_leaves_the_point_alone():
    real = blobs()
    point, batch = place(NETS["convnet batch"], real), rows(real, 4)
    before = {k: v.clone() for k, v in (point.params | point.buffers).items()}
    objective = GradientMatching()
    x = batch.x.clone().requires_grad_()
    objective.loss(point, Batch(x, batch.y), objective.target(point, rows(real, 4, "others"))).sum().backward()
    assert all(torch.equal(v, before[k]) for k, v in (point.params | point.buffers).items())
    assert all(p.grad is None for p in point.network.parameters())


def test_the_papers_choice_of_parameters_is_the_default():
    real = blobs()
    point = place(NETS["convnet instance"], real)
    shapes = [tuple(t.shape[1:]) for t in GradientMatching().statistic(point, rows(real, 2))]
    assert shapes == [tuple(v.shape) for v in point.params.values() if v.ndim in (2, 4)]


def test_every_update_of_unrolled_training_is_counted():
    network = build(TINY, (1, 8, 8), 3)
    costs = [Unrolling(network, window, Training(0.1, batch_size=20), 0).forwards(7, 60) for window in (1, 10)]
    assert costs == [3 * 7 + 9 * 20, 3 * 7 + 9 * 200]
    assert Unrolling(network, 1, Training(0.1, batch_size=20), 0).forwards(7, 5) == 3 * 7 + 9 * 5


def test_unrolled_training_leaves_weights_alone_that_are_not_used():
    """But for their decay, which has no effect on the loss."""
    real = blobs()
    losses = []
    for net in (Residual, Unused):
        point = place(net, real)
        objective = Unrolling(point.network, 2, Training(0.05, 0.9, 1e-2, batch_size=4), seed=0)
        losses.append(objective.loss(point, rows(real, 3), objective.target(point, rows(real, 5, "other"))))
    assert torch.equal(*losses)


def test_unrolled_training_is_training():
    """The loss is that of a network after the updates of torch.optim.SGD, its gradient that of small differences."""
    real = blobs()
    point, how = place(TINY, real), Training(0.05, 0.9, 1e-2, batch_size=100)
    objective, batch = Unrolling(point.network, 4, how, seed=0), rows(real, 3)
    target = objective.target(point, rows(real, 5, "other"))
    network = point.placed()
    optimizer = torch.optim.SGD(network.parameters(), how.lr, how.momentum, weight_decay=how.weight_decay)
    x, y = batch.flat()
    for _ in range(4):
        optimizer.zero_grad()
        F.cross_entropy(network(x), y).backward()
        optimizer.step()
    expected = F.cross_entropy(network(target[0]), target[1]).detach()
    learned = batch.x.clone().requires_grad_()
    loss = objective.loss(point, Batch(learned, batch.y), target)
    assert torch.allclose(loss.detach(), expected, rtol=1e-12)
    loss.backward()
    there = torch.randn(batch.x.shape, generator=rng(1), dtype=batch.x.dtype)
    ahead, behind = (objective.loss(point, Batch(batch.x + e * there, batch.y), target) for e in (1e-5, -1e-5))
    assert ((ahead - behind) / 2e-5).item() == pytest.approx((learned.grad * there).sum().item(), rel=1e-5)
