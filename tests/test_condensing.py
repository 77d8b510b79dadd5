import pytest
import torch
from conftest import blobs
from lists import DISTANCES, TINY, over

from condensery.algorithms.matching import Matching
from condensery.algorithms.samplers import Uniform
from condensery.algorithms.schedules import Fresh, TrainedOnSynthetic
from condensery.augment import Augmentation, Color, Crop, Cutout, Rotate, Scale
from condensery.errors import RunError
from condensery.evaluation.training import Training
from condensery.networks.net import build
from condensery.networks.network import initial
from condensery.objectives import GradientMatching, Unrolling
from condensery.objectives.distances import layerwise_cosine, squared_euclidean
from condensery.randomness import rng
from condensery.recipes import DC
from condensery.synthetic import SyntheticSet, noise


def learned(objective=None, classes_per_pass=None, outer=5, lr=0.1, schedule=None, augment=None):
    real = blobs()
    synthetic = SyntheticSet.from_rows(noise(real, 2, 0), real.space)
    schedule = schedule or Fresh(build(TINY, real.shape, 3).double(), outer, seed=0)
    optimizer = torch.optim.SGD(synthetic.parameters(), lr, 0.5)
    losses = []
    Matching(
        real, synthetic, schedule, Uniform(6), objective or GradientMatching(), optimizer, 0, augment,
        classes_per_pass=classes_per_pass,
    ).run(observe=lambda step: losses.append(step.loss))  # fmt: skip
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
                gradients = torch.autograd.grad(
                    ce(network(s.detach().flatten(0, 1)), y.flatten()), network.parameters()
                )
                with torch.no_grad():
                    for p, g in zip(network.parameters(), gradients, strict=True):
                        p -= 0.01 * g
            theta = {n: p.detach().clone() for n, p in network.named_parameters()}
    ours, _ = learned(schedule=TrainedOnSynthetic(network, K, T, epochs, Training(0.01), seed=0))
    assert torch.allclose(ours, s.detach(), atol=1e-9)
    recipe = DC(ipc=2, outer_steps=K, inner_steps=T, network_epochs=epochs, real_rows=6, net=TINY)
    assert torch.allclose(recipe.algorithm(real).run().bases, s.detach(), atol=1e-9)


@over(DISTANCES)
def test_the_loss_falls_for_every_distance(part):
    rate = {"mse": 100.0, "l1": 0.01}.get(part.__name__, 0.1)
    _, losses = learned(GradientMatching(part), outer=30, lr=rate)
    assert sum(losses[-5:]) < sum(losses[:5])


SIAMESE = Augmentation((Color(), Crop()), (Scale(), Rotate(), Cutout()))


@pytest.mark.parametrize("augment", [None, SIAMESE], ids=["plain", "siamese"])
def test_another_grouping_of_classes_is_the_same_run_up_to_rounding(augment):
    runs = [learned(classes_per_pass=n, augment=augment)[0] for n in (1, 2, 3)]
    assert torch.allclose(runs[0], runs[1], atol=1e-9)
    assert torch.allclose(runs[0], runs[2], atol=1e-9)


def test_an_objective_that_needs_all_classes_gets_them():
    """However many are asked for, a network is trained on the whole set, so that the loss is one number."""
    network, how = build(TINY, (1, 8, 8), 3).double(), Training(0.05, 0.9, batch_size=6)
    runs = [learned(Unrolling(network, 2, how, seed=0), classes_per_pass=n, outer=2) for n in (None, 1, 3)]
    for bases, losses in runs[:2]:
        assert losses == runs[2][1]
        assert torch.equal(bases, runs[2][0])


def test_another_chunking_of_rows_is_the_same_run_up_to_rounding():
    assert torch.allclose(learned(GradientMatching(chunk=2))[0], learned(GradientMatching(chunk=100))[0], atol=1e-9)


def test_real_and_synthetic_rows_of_a_class_are_changed_alike():
    """A synthetic set that holds the very rows that are sampled is at distance 0, whatever is drawn."""
    real = blobs(sizes=(4, 4, 4))
    batch = real.sample(4, range(3), lambda c: rng(0, "real", 0, 0, c))
    synthetic = SyntheticSet.from_rows(batch.x, real.space)
    optimizer = torch.optim.SGD(synthetic.parameters(), 0.0)
    losses = []
    schedule = Fresh(build(TINY, real.shape, 3).double(), 8, seed=0)
    for objective in (GradientMatching(), GradientMatching(squared_euclidean)):
        matching = Matching(real, synthetic, schedule, Uniform(4), objective, optimizer, 0, SIAMESE)
        matching.run(observe=lambda step: losses.append(step.loss))
    assert max(map(abs, losses)) < 1e-9
    assert learned(augment=SIAMESE)[1] != learned()[1]


def test_a_step_draws_new_changes_and_every_class_its_own():
    seen = []

    class Watched(Augmentation):
        def __call__(self, x, omega):
            seen.append((len(x), x.shape[1], omega))
            return super().__call__(x, omega)

    learned(augment=Watched(SIAMESE.always, SIAMESE.one_of), outer=2)
    real, synthetic = seen[0::2], seen[1::2]
    assert [(m, n) for m, n, _ in real] == [(1, 6)] * 6
    assert [(m, n) for m, n, _ in synthetic] == [(1, 2)] * 6
    assert all(torch.equal(a[2].shift, b[2].shift) for a, b in zip(real, synthetic, strict=True))
    assert len({omega.shift[0, 0].item() for _, _, omega in real}) == 6


@pytest.mark.parametrize("every", [1, 3, 5, 7])
def test_projection_happens_at_its_moments(every):
    real, moments = blobs(), []
    synthetic = SyntheticSet.from_rows(noise(real, 1, 0), real.space)
    done = [0]
    Matching(
        real, synthetic, Fresh(build(TINY, real.shape, 3).double(), 11, seed=0), Uniform(6), GradientMatching(),
        torch.optim.SGD(synthetic.parameters(), 0.1), 0, project_every=every,
        project=lambda s: moments.append(done[0] + 1),
    ).run(observe=lambda step: done.__setitem__(0, step.done))  # fmt: skip
    assert moments == list(range(every, 12, every))


def test_the_same_seed_gives_the_same_bytes():
    (a, losses), (b, again) = learned(), learned()
    assert torch.equal(a, b)
    assert losses == again


def test_a_loss_that_is_not_finite_ends_the_run():
    with pytest.raises(RunError, match="step 2 of 5"):
        learned(lr=float("inf"))
