import pytest
import torch
from conftest import blobs
from lists import NETS, SHAPES, Residual, over
from torch import nn

from condensery.errors import InputError
from condensery.networks.convnet import ConvNet, default_depth
from condensery.networks.net import build
from condensery.networks.network import initial
from condensery.randomness import rng


@over(NETS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_network_takes_every_shape_and_all_its_weights_matter(part, shape):
    network = build(part, shape, 3).double()
    x = torch.randn(5, *shape, dtype=torch.float64)
    logits = network(x)
    assert logits.shape == (5, 3)
    head = network.module.head if part is Residual else network.head
    assert torch.equal(logits, head(network.embed(x)))
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0, 1])).backward()
    dead = {n for n, p in network.named_parameters() if p.grad is None}
    assert not dead


@over(NETS)
def test_weights_are_a_function_of_the_seed(part):
    network = build(part, (1, 8, 8), 3)
    a, b, c = (initial(network, rng(0, "weights", k)).params for k in (1, 1, 2))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert any(not torch.equal(a[k], c[k]) for k in a)


@over(NETS)
def test_a_row_is_classified_alike_in_any_company(part):
    real = blobs()
    point = initial(build(part, real.shape, 3).double(), rng(0)).with_statistics_of(real.read(slice(0, 21)))
    together = point.logits(real.read(slice(0, 21)))
    apart = torch.cat([point.logits(real.read(slice(i, i + 1))) for i in range(21)])
    assert torch.allclose(together, apart, atol=1e-12)


def test_batch_norm_reads_the_statistics_of_the_rows_it_was_given():
    real = blobs()
    rows = real.read(slice(0, 21))
    point = initial(build(ConvNet(width=4, depth=2, norm="batch"), real.shape, 3).double(), rng(0))
    frozen = point.with_statistics_of(rows)
    first = torch.nn.functional.conv2d(
        rows, point.params["stages.0.0.weight"], point.params["stages.0.0.bias"], padding=1
    )
    assert torch.allclose(frozen.buffers["stages.0.1.running_mean"], first.mean((0, 2, 3)), atol=1e-12)
    assert torch.allclose(frozen.buffers["stages.0.1.running_var"], first.var((0, 2, 3)), atol=1e-12)
    assert torch.equal(point.buffers["stages.0.1.running_mean"], torch.zeros(4, dtype=torch.float64))


@pytest.mark.parametrize(("side", "depth"), [(8, 2), (16, 2), (28, 3), (32, 3), (64, 4), (128, 5)])
def test_default_depth_follows_the_field(side, depth):
    assert default_depth(side, side) == depth


@pytest.mark.parametrize(("shape", "parameters"), [((1, 28, 28), 317706), ((3, 32, 32), 320010)])
def test_the_papers_convnet_has_its_known_size(shape, parameters):
    # 28 px are padded to 32, so that the classifier sees 4 x 4 pixels as at 32 px
    assert sum(p.numel() for p in build(ConvNet(), shape, 10).parameters()) == parameters


def test_an_image_too_small_for_the_depth_is_refused():
    with pytest.raises(InputError, match="at most 3 blocks"):
        build(ConvNet(width=4, depth=4), (1, 8, 8), 3)


def test_what_embeds_is_the_users_own_method_or_the_input_of_the_last_linear_layer():
    class Own(Residual):
        def embed(self, x):
            return self.stem(x)

    x = torch.randn(2, 1, 8, 8)
    assert build(Residual, (1, 8, 8), 3).embed(x).shape == (2, 4)
    assert build(Own, (1, 8, 8), 3).embed(x).shape == (2, 4 * 64)
    convolutional = build(lambda shape, classes: nn.Sequential(nn.Conv2d(1, 3, 8), nn.Flatten()), (1, 8, 8), 3)
    with pytest.raises(InputError, match="method embed"):
        convolutional.embed(x)


def across(shape, classes):
    """Batch norm that keeps no running statistics: rows see each other."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes), nn.BatchNorm1d(classes, track_running_stats=False))


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        (lambda shape, classes: None, "must return a torch.nn.Module"),
        (lambda shape, classes: nn.Flatten(), "no parameters"),
        (lambda shape, classes: nn.Sequential(nn.Flatten(), nn.Linear(64, 4)), r"\(2, 3\), not \(2, 4\)"),
        (across, "fails on rows|depend on the other rows"),
        (nn.Linear(64, 3), "this is a network; give a function"),
        ("vgg", "unknown network 'vgg': did you mean vgg11"),
        (7, "must be a Net"),
    ],
)
def test_what_is_no_network_is_refused(factory, words):
    with pytest.raises(InputError, match=words):
        build(factory, (1, 8, 8), 3)
