import json
import sys
from types import ModuleType

import pytest
import torch
from conftest import blobs
from lists import NETS, SHAPES, Attention, Residual, over
from torch import nn

import condensery as cd
from condensery.errors import InputError
from condensery.evaluation.evaluate import asked
from condensery.networks.convnet import ConvNet, default_depth
from condensery.networks.names import NETWORKS, named, recorded
from condensery.networks.net import Net, build, described, record
from condensery.networks.network import initial, rows_at_once
from condensery.networks.vgg import VGG
from condensery.randomness import rng


@over(NETS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_network_takes_every_shape_and_all_its_weights_matter(part, shape):
    network = build(part, shape, 3).double()
    x = torch.randn(5, *shape, dtype=torch.float64)
    logits = network(x)
    assert logits.shape == (5, 3)
    head = network.module.head if part in (Residual, Attention) else network.head
    assert torch.equal(logits, head(network.embed(x)))
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0, 1])).backward()
    dead = {n for n, p in network.named_parameters() if p.grad is None or (p.ndim > 1 and not p.grad.any())}
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


@pytest.mark.parametrize(("side", "rows"), [(8, 4096), (32, 4096), (64, 1024), (224, 83), (4096, 1)])
def test_a_gpu_takes_fewer_large_rows_at_once(side, rows):
    assert rows_at_once(torch.device("cuda"), (3, side, side)) == rows
    assert rows_at_once(torch.device("cpu"), (3, side, side)) == 32


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


def test_the_statistics_of_batch_norm_do_not_depend_on_dropout():
    layers = nn.Sequential(nn.Dropout(), nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 3))
    point, rows = initial(build(lambda shape, classes: layers, (1, 8, 8), 3), rng(0)), torch.ones(4, 1, 8, 8)
    buffers = point.with_statistics_of(rows).buffers
    assert next(v for k, v in buffers.items() if "running_mean" in k).unique() == 1


@pytest.mark.parametrize(("side", "depth"), [(8, 2), (16, 2), (28, 3), (32, 3), (64, 4), (128, 5)])
def test_default_depth_follows_the_field(side, depth):
    assert default_depth(side, side) == depth


@pytest.mark.parametrize("side", range(9, 140))
def test_four_pixels_are_left_by_the_default_depth(side):
    depth = max(default_depth(side, side + 3), 2)
    assert side >> depth <= 4 < (side >> (depth - 1) if depth > 2 else 5)


CIFAR, MNIST, IMAGENET = ((3, 32, 32), 10), ((1, 28, 28), 10), ((3, 224, 224), 1000)
PUBLISHED = [
    # the programs of DC and DSA, VICO-UoE/DatasetCondensation, networks.py: the sizes of its layers, added up
    ("convnet", CIFAR, 320_010),
    ("convnet", MNIST, 317_706),
    ("mlp", CIFAR, 411_146),
    ("mlp", MNIST, 118_282),
    ("lenet", CIFAR, 62_006),
    ("lenet", MNIST, 61_706),
    ("alexnet", CIFAR, 1_872_202),
    ("vgg11", CIFAR, 9_231_114),
    ("resnet18", CIFAR, 11_173_962),
    ("resnet18ap", CIFAR, 11_250_762),
    # the program of dataset distillation, ssnl/dataset-distillation, networks/networks.py, added up
    ("alexcifarnet", CIFAR, 1_756_426),
    # kuangliu/pytorch-cifar, with batch norm
    (VGG(depth=13, norm="batch"), CIFAR, 9_416_010),
    (VGG(depth=16, norm="batch"), CIFAR, 14_728_266),
    ("densenet121", CIFAR, 6_956_298),
    # torchvision's and timm's tables of weights for ImageNet
    ("resnet18", IMAGENET, 11_689_512),
    ("densenet121", IMAGENET, 7_978_856),
    ("efficientnet-b0", IMAGENET, 5_288_548),
    # the program of IDC, snu-mllab/Efficient-Dataset-Condensation, models/resnet_ap.py, added up, for ImageNet-10
    ("resnetap10", ((3, 224, 224), 10), 4_910_922),
]


@pytest.mark.parametrize(("net", "data", "parameters"), PUBLISHED, ids=lambda value: str(value).replace(" ", ""))
def test_the_papers_networks_have_their_known_sizes(net, data, parameters):
    with torch.device("meta"):
        network = build(net, *data)
        assert sum(p.numel() for p in network.parameters()) == parameters
        assert network.eval()(torch.empty(1, *data[0])).shape == (1, data[1])


@pytest.mark.parametrize(
    ("shape", "depth", "features"),
    [
        ((1, 28, 28), 3, 4 * 4),  # enlarged to 32 pixels
        ((1, 64, 64), 4, 4 * 4),  # spectrograms: enlarged to 68
        ((3, 28, 28), 3, 3 * 3),
        ((3, 64, 64), 4, 4 * 4),
        ((1, 8, 8), 2, 2 * 2),
        ((1, 16, 16), 2, 4 * 4),
    ],
)
def test_images_of_one_channel_are_enlarged_unless_they_are_small(shape, depth, features):
    assert build(ConvNet(depth=depth), shape, 8).head.in_features == 128 * features


@pytest.mark.parametrize("name", ["resnet18", "resnetap10"])
@pytest.mark.parametrize(("side", "left"), [(8, 2), (32, 4), (64, 8), (96, 6), (128, 8), (224, 7)])
def test_residual_networks_leave_few_pixels_of_large_images(name, side, left):
    with torch.device("meta"):
        network = build(name, (3, side, side), 10)
        x = torch.empty(1, 3, side, side)
        for stage in network.stages[:-1]:
            x = stage(x)
    assert x.shape == (1, 512, left, left)


def test_resnetap_draws_its_filters_as_idcs_program_does():
    params = initial(build("resnetap10", (3, 32, 32), 10), rng(0)).params
    filters = {name: value for name, value in params.items() if value.ndim == 4}
    assert len(filters) == 12
    for value in filters.values():
        assert value.std().item() == pytest.approx((2 / value[:, 0].numel()) ** 0.5, rel=0.05)


def test_a_network_is_read_from_its_record():
    for name, net in NETWORKS.items():
        assert recorded(json.loads(json.dumps(record(net)))) == net == named(name)
        assert described(net) == name
    assert described(cd.ResNet(depth=10, width=2)) == "resnet depth 10 width 2"
    families = [net for net in NETS.values() if isinstance(net, Net)]
    assert len(families) > 10
    for net in families:
        assert named(described(net)) == net


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "unknown network family None"),
        ({"family": ["convnet"]}, "unknown network family"),
        ({"family": "mlp", "depth": 3}, "a mlp has other fields"),
        ({"family": "densenet", "blocks": [10**9]}, "`net.blocks` must be"),
    ],
)
def test_a_record_that_describes_no_network_is_refused(given, words):
    with pytest.raises(InputError, match=words):
        recorded(given)


@pytest.fixture
def packages(monkeypatch):
    """Stand-ins for torchvision and timm, so that the tests need neither."""

    def made(name, weights=None, num_classes=2, in_chans=3):
        return nn.Sequential(nn.Conv2d(in_chans, 4, 3, 2, bias=False), nn.Flatten(), nn.Linear(36, num_classes))

    torchvision, timm = ModuleType("torchvision.models"), ModuleType("timm")
    torchvision.get_model, torchvision.list_models = made, lambda module: ["small"]
    timm.create_model, timm.is_model = made, lambda name: name == "small"
    monkeypatch.setitem(sys.modules, "torchvision.models", torchvision)
    monkeypatch.setitem(sys.modules, "timm", timm)


@pytest.mark.parametrize("package", ["torchvision", "timm"])
def test_networks_of_other_packages_have_names(package, packages):
    name = f"{package}:small"
    for shape in ((1, 8, 8), (3, 8, 8)):
        network = build(name, shape, 3)
        assert network(torch.zeros(2, *shape)).shape == (2, 3)
        assert network.module[0].weight.shape == (4, shape[0], 3, 3)
    assert described(named(name)) == name
    assert record(named(name))["factory"] == name
    recipe = cd.DM(ipc=1, steps=1, net=name)
    assert cd.Recipe.of_record(json.loads(json.dumps(recipe.record()))).record() == recipe.record()
    made = cd.condense(recipe, cd.digits().train, progress=False)
    assert described(asked(None, made, cd.digits(), "dc2021")) == name
    with pytest.raises(InputError, match=f"{package} has no classifier 'large'"):
        named(f"{package}:large")


@pytest.mark.parametrize("package", ["torchvision", "timm"])
def test_a_package_that_is_not_installed_is_named(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, f"{package}.models", None)
    with pytest.raises(InputError, match=f"{package} cannot be imported"):
        named(f"{package}:resnet18")


def test_an_image_too_small_for_the_depth_is_refused():
    with pytest.raises(InputError, match="at most 3 blocks"):
        build(ConvNet(width=4, depth=4), (1, 8, 8), 3)


@pytest.mark.parametrize("name", ["lenet", "alexnet", "vgg11"])
def test_an_image_too_small_for_all_poolings_is_refused(name):
    with pytest.raises(InputError, match=f"images of 1x3 are too small for the network {name}"):
        build(name, (1, 1, 3), 3)


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
        ("vvg width 3", "unknown network 'vvg': did you mean vgg"),
        ("vgg width", "no network; after vgg, give pairs of a field and its value, such as depth 11"),
        ("vgg breadth 3", "no network; after vgg, .*; fields: depth, width"),
        ("vgg width 0", "`net.width` must be"),
        ("vgg width wide", "`net.width` must be a whole number .* got 'wide'"),
        (7, "must be a Net"),
    ],
)
def test_what_is_no_network_is_refused(factory, words):
    with pytest.raises(InputError, match=words):
        build(factory, (1, 8, 8), 3)


def test_the_class_of_a_network_is_refused_in_the_place_of_an_instance():
    for refused in (lambda: cd.DC(net=cd.ConvNet), lambda: build(cd.ConvNet, (1, 8, 8), 3)):
        with pytest.raises(InputError, match=r"give an instance, such as ConvNet\(\)"):
            refused()
