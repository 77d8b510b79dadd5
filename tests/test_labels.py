"""Learned labels: counted, carried, trained on."""

import pytest
import torch
from conftest import blobs
from lists import LEARNED, TINY
from torch.nn import functional as F

from condensery.augment import CutMix
from condensery.data import Batch
from condensery.decoders import Bound
from condensery.errors import InputError
from condensery.evaluation.training import TensorRows, Training, fit
from condensery.kernels.compiling import during
from condensery.networks.net import build
from condensery.networks.network import initial
from condensery.objectives import GradientMatching
from condensery.randomness import rng
from condensery.recipes import DC
from condensery.runs.artifact import load, save
from condensery.runs.condensed import Condensed
from condensery.synthetic import SyntheticSet, class_logits


def labeled(ipc=3):
    real = blobs()
    rows = real.sample(ipc, range(3), lambda c: rng(0, c)).x
    labels = class_logits(3, ipc, rows) + torch.randn(3, ipc, 3, generator=rng(1)).double()
    return real, SyntheticSet.from_rows(rows, real.space, labels=labels)


def hard(batch):
    """The same rows whose labels are probabilities of 0 and 1."""
    return Batch(batch.x, batch.y, F.one_hot(batch.y, 3).to(batch.x.dtype))


def test_labels_start_on_the_side_of_their_class():
    labels = class_logits(4, 2, torch.zeros(1)).softmax(2)
    assert torch.allclose(labels[1, 0], torch.tensor([1 / 30, 0.9, 1 / 30, 1 / 30]))


@pytest.mark.parametrize("mode", ["plain", "passes"])
def test_sure_labels_are_classes(mode):
    real = blobs()
    point, batch = initial(build(TINY, real.shape, 3).double(), rng(0)), real.sample(4, range(3), lambda c: rng(0, c))
    with during(mode):
        objective = GradientMatching()
        said = [objective.statistic(point, b) for b in (batch, hard(batch))]
        for a, b in zip(*said, strict=True):
            assert torch.allclose(a, b, atol=1e-12)
        how, mix = Training(0.1, batch_size=5), CutMix(1.0)
        trained = [fit(point, TensorRows(b), how, 4, 0, ("labels",), mix=mix).params for b in (batch, hard(batch))]
    for name in trained[0]:
        assert torch.allclose(trained[0][name], trained[1][name], atol=1e-12)


@pytest.mark.parametrize("mode", ["plain", "passes"])
def test_probabilities_are_what_networks_learn_and_gradients_are_of(mode):
    real = blobs()
    network = build(TINY, real.shape, 3).double()
    point, batch = initial(network, rng(0)), real.sample(4, range(3), lambda c: rng(0, c))
    batch = Batch(batch.x, batch.y, torch.randn(3, 4, 3, generator=rng(1)).double().softmax(2))
    network.load_state_dict(point.params)
    loss = F.cross_entropy(network(batch.x.flatten(0, 1)), batch.soft.flatten(0, 1))
    by_hand = dict(zip(point.params, torch.autograd.grad(loss, list(network.parameters())), strict=True))
    with during(mode):
        trained = fit(point, TensorRows(batch), Training(0.1, batch_size=12), 1, 0, ("labels",)).params
        said = torch.cat([g.mean(0).flatten() for g in GradientMatching().statistic(point, batch)])
    for name, value in point.params.items():
        assert torch.allclose(trained[name], value - 0.1 * by_hand[name], atol=1e-12)
    filters = [by_hand[name] for name, value in point.params.items() if value.ndim > 1]
    assert torch.allclose(said, torch.cat([gradient.flatten() for gradient in filters]), atol=1e-12)


@pytest.mark.parametrize("mode", ["plain", "passes"])
def test_the_gradient_reaches_images_and_labels(mode):
    real, synthetic = labeled()
    point = initial(build(TINY, real.shape, 3).double(), rng(0))
    objective = GradientMatching()
    target = objective.target(point, real.sample(4, range(3), lambda c: rng(1, c)))

    def loss(logits):
        soft = logits.softmax(2)
        return objective.loss(point, Batch(synthetic().x, synthetic().y, soft), target).sum()

    step = torch.randn(synthetic.labels.shape, generator=rng(2)).double()
    with during(mode):
        loss(synthetic.labels).backward()
        up, down = (loss(synthetic.labels + 1e-6 * side * step).detach() for side in (1, -1))
    change = (up - down) / 2e-6
    assert torch.allclose(change, (synthetic.labels.grad * step).sum(), rtol=1e-4)
    assert synthetic.bases.grad.abs().sum() > 0


def test_labels_are_counted_carried_and_cut(tmp_path):
    real, synthetic = labeled()
    assert synthetic.floats == 3 * 3 * (64 + 3)
    about = {"name": "blobs", "fingerprint": real.fingerprint, "rows": len(real)}
    kept = load(save(Condensed(synthetic, ("a", "b", "c"), {"name": "dc"}, 1, about), tmp_path / "s.safetensors"))
    assert kept.method == "dc+labels"
    with torch.no_grad():
        assert torch.equal(kept.synthetic().labels, synthetic().labels)
    x, y = kept.subset(2).tensors()
    assert x.shape[0] == y.shape[0] == 6
    assert torch.allclose(y.sum(1), torch.ones(6, dtype=y.dtype))
    assert torch.equal(y[2:4], synthetic().labels[1, :2].detach())
    assert kept.subset(bytes=2 * 3 * 67 * 8).bases_per_class == 2
    assert kept.subset(bytes=3 * 3 * 67 * 8 - 1).bases_per_class == 2
    with pytest.raises(InputError, match="hold no stored image"):
        kept.subset(bytes=100)
    with pytest.raises(InputError, match="give one of the two"):
        kept.subset()


def test_labels_need_as_many_rows_of_every_image():
    real = blobs()
    decoder = Bound([2, 2, 1])
    with pytest.raises(InputError, match="same number of rows"):
        SyntheticSet(torch.zeros(3, 3, 1, 8, 8), real.space, decoder, torch.zeros(3, 3, 3))
    SyntheticSet(torch.zeros(3, 2, 1, 8, 8), real.space, Bound([2, 2]), torch.zeros(3, 2, 3))


def test_fixed_images_are_not_clamped():
    with pytest.raises(InputError, match="`clamp=True` is for learned images"):
        DC(learn="labels", clamp=True)


def test_label_distillation_moves_labels_alone():
    real, recipe = blobs(), LEARNED["ld"]
    synthetic = recipe.algorithm(real).run()
    flat = real.read(slice(None)).flatten(1)
    with torch.no_grad():
        rows = synthetic().x.flatten(2)
    assert all((flat == row).all(1).any() for row in rows.flatten(0, 1))
    assert not torch.allclose(synthetic.labels, class_logits(3, 2, synthetic.bases))
