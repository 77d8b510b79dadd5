import pytest
import torch
from conftest import blobs
from lists import DISTANCES, TINY, over

from condensery.condensing import condense
from condensery.distances import layerwise_cosine
from condensery.errors import RunError
from condensery.networks import build, initial
from condensery.objectives import GradientMatching
from condensery.randomness import rng
from condensery.samplers import Uniform
from condensery.schedules import Fresh, TrainedOnSynthetic
from condensery.synthetic import SyntheticSet, noise
from condensery.training import SGD


def learned(objective=None, classes_per_pass=None, outer=5, lr=0.1, schedule=None):
    real = blobs()
    synthetic = SyntheticSet.from_rows(noise(real, 2, 0), real.space)
    schedule = schedule or Fresh(build(TINY, real.shape, 3).double(), outer, seed=0)
    optimizer = torch.optim.SGD(synthetic.parameters(), lr, 0.5)
    losses = []
    condense(
        real, synthetic, schedule, Uniform(6), objective or GradientMatching(), optimizer, 0, classes_per_pass,
        observe=lambda step: losses.append(step.loss),
    )  # fmt: skip
    return synthetic.bases.detach(), losses


def test_the_loop_is_algorithm_1_written_out():
    """DC by hand: K restarts, T matches, one pass over all classes and one update a match, then training on S."""
    real, K, T, epochs = blobs(), 3, 2, 3
    s = noise(real, 2, 0).requires_grad_()
    velocity = torch.zeros_like(s)
    y = torch.tensor([[0, 0], [1, 1], [2, 2]])
    network = build(TINY, real.shape, 3).double()
    ce = torch.nn.functional.cross_entropy
    for k in range(K):
        theta = initial(network, rng(0, "weights", k)).params
        for t in range(T):
            network.load_state_dict(theta)
            ws = [p for p in network.parameters() if p.ndim > 1]
            loss = 0
            for c in range(3):
                batch = real.sample(6, [c], lambda c, k=k, t=t: rng(0, "real", k, t, c))
                g_real = torch.autograd.grad(ce(network(batch.x[0]), batch.y[0]), ws)
                g_syn = torch.autograd.grad(ce(network(s[c]), y[c]), ws, create_graph=True)
                loss = loss + layerwise_cosine([g[None] for g in g_syn], [g[None] for g in g_real])[0]
            velocity = 0.5 * velocity + torch.autograd.grad(loss, s)[0]
            s = (s - 0.1 * velocity).detach().requires_grad_()
            for _ in range(epochs if t < T - 1 else 0):
                slopes = torch.autograd.grad(ce(network(s.detach().flatten(0, 1)), y.flatten()), network.parameters())
                with torch.no_grad():
                    for p, g in zip(network.parameters(), slopes, strict=True):
                        p -= 0.01 * g
            theta = {n: p.detach().clone() for n, p in network.named_parameters()}
    ours, _ = learned(schedule=TrainedOnSynthetic(network, K, T, epochs, SGD(0.01), seed=0))
    assert torch.allclose(ours, s.detach(), atol=1e-9)


@over(DISTANCES)
def test_the_loss_falls_for_every_distance(part):
    rate = {"mse": 100.0, "l1": 0.01}.get(part.__name__, 0.1)
    _, losses = learned(GradientMatching(part), outer=30, lr=rate)
    assert sum(losses[-5:]) < sum(losses[:5])


def test_another_grouping_of_classes_is_the_same_run_up_to_rounding():
    runs = [learned(classes_per_pass=n)[0] for n in (1, 2, 3)]
    assert torch.allclose(runs[0], runs[1], atol=1e-9)
    assert torch.allclose(runs[0], runs[2], atol=1e-9)


def test_another_chunking_of_rows_is_the_same_run_up_to_rounding():
    assert torch.allclose(learned(GradientMatching(chunk=2))[0], learned(GradientMatching(chunk=100))[0], atol=1e-9)


def test_the_same_seed_gives_the_same_bytes():
    (a, losses), (b, again) = learned(), learned()
    assert torch.equal(a, b)
    assert losses == again


def test_a_loss_that_is_not_finite_ends_the_run():
    with pytest.raises(RunError, match="step 2 of 5"):
        learned(lr=float("inf"))
