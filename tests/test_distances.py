import pytest
import torch
from lists import DISTANCES, over

SHAPES = [(4, 3, 3, 3), (4,), (5, 4)]


def statistic(seed, classes=3):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(classes, *shape, generator=generator, dtype=torch.float64) for shape in SHAPES]


@over(DISTANCES)
def test_equal_statistics_are_at_distance_zero_and_others_are_not(part):
    a, b = statistic(0), statistic(1)
    assert part(a, a).abs().max() < 1e-12
    assert part(a, b).shape == (3,)
    assert (part(a, b) > 0).all()


@over(DISTANCES)
def test_vanished_gradients_are_at_distance_zero_with_finite_gradient(part):
    a = [torch.zeros_like(x).requires_grad_() for x in statistic(0)]
    part(a, [torch.zeros_like(x) for x in a]).sum().backward()
    assert all(torch.isfinite(x.grad).all() for x in a if x.grad is not None)


@over(DISTANCES)
def test_classes_do_not_see_each_other(part):
    a, b = statistic(0), statistic(1)
    alone = torch.cat([part([x[c : c + 1] for x in a], [x[c : c + 1] for x in b]) for c in range(3)])
    assert torch.allclose(part(a, b), alone, atol=1e-12)


@over(DISTANCES)
def test_gradient_is_autograds(part):
    a, b = [x.requires_grad_() for x in statistic(0, 1)], statistic(1, 1)
    assert torch.autograd.gradcheck(lambda *x: part(x, b), a)


def test_layerwise_cosine_is_equation_10():
    a, b = statistic(0), statistic(1)
    for c in range(3):
        expected = 0.0
        for x, y in ((a[0], b[0]), (a[2], b[2])):  # the vector is a bias: eq. 10 knows none
            for node in range(x.shape[1]):
                expected += 1 - torch.cosine_similarity(x[c, node].flatten(), y[c, node].flatten(), dim=0).item()
        assert DISTANCES["layerwise_cosine"](a, b)[c].item() == pytest.approx(expected, abs=1e-5)


def test_joined_distances_are_their_formulas():
    a, b = statistic(0), statistic(1)
    for c in range(3):
        x, y = (torch.cat([t[c].flatten() for t in s]) for s in (a, b))
        expected = {
            "cosine": 1 - torch.cosine_similarity(x, y, dim=0),
            "squared_euclidean": (x - y).square().sum(),
            "mse": torch.nn.functional.mse_loss(x, y),
            "l1": (x - y).abs().sum(),
        }
        for name, value in expected.items():
            assert DISTANCES[name](a, b)[c].item() == pytest.approx(value.item(), rel=1e-9)
