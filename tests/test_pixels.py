from dataclasses import replace

import pytest
import torch
from conftest import blobs
from lists import CHOSEN, TINY
from test_artifact import condensed

from condensery.data import digits
from condensery.data.pixels import PixelSpace, Whitening
from condensery.errors import InputError
from condensery.evaluation.evaluate import evaluate
from condensery.randomness import rng
from condensery.runs.artifact import load, save

MEAN, STD = (0.2, 0.5, 0.7), (0.1, 0.3, 0.25)


@pytest.mark.parametrize("stored", ["normalized", "unit"])
def test_decode_inverts_encode_and_clamp_bounds_the_unit_range(stored):
    space = PixelSpace(MEAN, STD, stored)
    x = torch.randn(2, 4, 3, 5, 6, dtype=torch.float64)
    assert torch.allclose(space.decode(space.encode(x)), x, atol=1e-12)
    unit = space.unit(space.decode(space.clamp(space.encode(x))))
    assert unit.min() > -1e-12
    assert unit.max() < 1 + 1e-12
    inside = space.normalize(torch.rand(2, 3, 5, 6, dtype=torch.float64))
    assert torch.allclose(space.clamp(space.encode(inside)), space.encode(inside), atol=1e-12)


def test_normalize_is_the_fields_formula_per_channel():
    x = torch.rand(2, 3, 4, 4, dtype=torch.float64)
    for c in range(3):
        assert torch.allclose(PixelSpace(MEAN, STD).normalize(x)[:, c], (x[:, c] - MEAN[c]) / STD[c])


def test_true_colors_survive_the_round_trip():
    colors = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    space = PixelSpace(MEAN, STD)
    assert torch.equal(space.uint8(space.normalize(colors / 255)), colors)


def whitened(stored="normalized", count=400):
    generator = rng(0, "whitened")
    noise = torch.randn(count, 3, 4, 5, generator=generator, dtype=torch.float64)
    rows = noise * (0.5 + torch.rand(3, 4, 5, generator=generator)) + torch.rand(3, 4, 5, generator=generator)
    rows = rows + rows.roll(1, 3)
    return rows, PixelSpace(MEAN, STD, stored, Whitening.measured(rows.split(64)))


def test_whitened_rows_are_uncorrelated_and_look_like_themselves():
    rows, space = whitened()
    weak = Whitening.measured([rows], strength=1e-6)
    assert torch.allclose(weak(rows).flatten(1).T.cov(correction=0), torch.eye(60, dtype=torch.float64), atol=1e-3)
    assert torch.allclose(weak.matrix, weak.matrix.T, atol=1e-4)
    assert weak(rows).mean(0).abs().max() < 1e-4
    similar = torch.nn.functional.cosine_similarity(space.whitening(rows).flatten(1), (rows - rows.mean(0)).flatten(1))
    assert similar.mean() > 0.5


@pytest.mark.parametrize("stored", ["normalized", "unit"])
def test_whitening_is_inverted_for_display(stored):
    _, space = whitened(stored)
    unit = torch.rand(7, 3, 4, 5, dtype=torch.float64)
    assert torch.allclose(space.unit(space.normalize(unit)), unit, atol=1e-9)
    assert torch.allclose(space.decode(space.encode(space.normalize(unit))), space.normalize(unit), atol=1e-9)
    colors = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    assert torch.equal(space.uint8(space.normalize(colors / 255)), colors)
    clamped = space.unit(space.decode(space.clamp(space.encode(space.normalize(3 * unit - 1)))))
    assert clamped.min() > -1e-9
    assert clamped.max() < 1 + 1e-9


def test_a_whitened_set_carries_its_whitening(tmp_path):
    data = digits().whitened()
    recipe = CHOSEN["random"]
    ours = replace(condensed(recipe, data.train), class_names=data.class_names)
    theirs = load(save(ours, tmp_path / "s"))
    assert theirs.space == ours.space == replace(data.train.space, stored="unit")  # in 8 bits
    assert theirs.data["zca"]
    plain = condensed(recipe, digits().train)
    assert torch.allclose(theirs.tensors(space="unit")[0], plain.tensors(space="unit")[0], atol=1e-4)
    assert not torch.allclose(theirs.tensors()[0], plain.tensors()[0], atol=0.1)
    # on data read without it, test rows are whitened as the set's own rows are
    here, there = (evaluate(theirs, d, TINY, repeats=1).runs for d in (data, digits()))
    assert here == there


def test_whitening_twice_is_whitening_once():
    once = digits().whitened()
    assert once.whitened().train.space == once.train.space
    assert repr(once.train.space.whitening) == "Whitening(64 values)"


def test_zca_of_large_images_is_refused():
    data = digits()
    large = replace(data, train=blobs(shape=(3, 65, 64), sizes=(1, 1)))
    with pytest.raises(InputError, match="ZCA"):
        large.whitened()
