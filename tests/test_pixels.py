import pytest
import torch

from condensery.pixels import PixelSpace

MEAN, STD = (0.2, 0.5, 0.7), (0.1, 0.3, 0.25)


@pytest.mark.parametrize("stored", ["normalised", "unit"])
def test_decode_inverts_encode_and_clamp_bounds_the_unit_range(stored):
    space = PixelSpace(MEAN, STD, stored)
    x = torch.randn(2, 4, 3, 5, 6, dtype=torch.float64)
    assert torch.allclose(space.decode(space.encode(x)), x, atol=1e-12)
    unit = space.unit(space.decode(space.clamp(space.encode(x))))
    assert unit.min() > -1e-12
    assert unit.max() < 1 + 1e-12
    inside = space.normalise(torch.rand(2, 3, 5, 6, dtype=torch.float64))
    assert torch.allclose(space.clamp(space.encode(inside)), space.encode(inside), atol=1e-12)


def test_normalise_is_the_fields_formula_per_channel():
    x = torch.rand(2, 3, 4, 4, dtype=torch.float64)
    for c in range(3):
        assert torch.allclose(PixelSpace(MEAN, STD).normalise(x)[:, c], (x[:, c] - MEAN[c]) / STD[c])


def test_true_colours_survive_the_round_trip():
    colours = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    space = PixelSpace(MEAN, STD)
    assert torch.equal(space.uint8(space.normalise(colours / 255)), colours)
