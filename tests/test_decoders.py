"""What each parameterization is; the laws that all share are in test_synthetic.py."""

import math

import pytest
import torch
from conftest import blobs
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lists import seeded
from torch.nn import functional as F

from condensery.data.pixels import PixelSpace
from condensery.decoders import Bound, Learnable, MultiScale, Uniform, bound, from_cell_major
from condensery.errors import InputError
from condensery.randomness import rng
from condensery.synthetic import SyntheticSet, random_real

SIZES = {"channels": st.sampled_from([1, 3]), "height": st.integers(4, 16), "width": st.integers(4, 16)}


def empty(side, factor):
    return (factor - 1) * math.ceil(side / factor) >= side


def bases(classes, n, *shape):
    return torch.rand(classes, n, *shape, dtype=torch.float64)


@given(down=st.integers(1, 4), across=st.integers(1, 4), **SIZES)
@settings(max_examples=60, deadline=None)
def test_uniform_formation_is_cells_enlarged(down, across, channels, height, width):
    uniform, x = Uniform((down, across)), bases(2, 3, channels, height, width)
    if empty(height, down) or empty(width, across):
        with pytest.raises(InputError, match="empty cells"):
            uniform.base_shape((channels, height, width))
        return
    s, t = math.ceil(height / down), math.ceil(width / across)
    rows = uniform(x)
    assert rows.shape == (2, 3 * down * across, channels, height, width)
    padded = torch.full((2, 3, channels, down * s, across * t), 0.5, dtype=torch.float64)
    padded[..., :height, :width] = x
    for c, n, i, j in ((0, 0, 0, 0), (1, 2, down - 1, across - 1), (0, 1, 0, across - 1)):
        cell = padded[c, n, :, i * s : (i + 1) * s, j * t : (j + 1) * t]
        expected = F.interpolate(cell[None], (height, width), mode="bilinear", align_corners=False)[0]
        assert torch.equal(rows[c, n * down * across + i * across + j], expected)


@given(factor=st.integers(1, 4), classes=st.integers(1, 3), ipc=st.integers(1, 3), **SIZES)
@settings(max_examples=40, deadline=None)
def test_storage_is_what_the_formula_says(factor, classes, ipc, channels, height, width):
    assume(not any(empty(side, f) for side in (height, width) for f in range(1, factor + 1)))
    a_class = ipc * channels * height * width
    narrow, wide = 2, 4
    network = (
        channels * 25 * wide + wide + 1  # features, and a gradient
        + wide * narrow + narrow + 1
        + narrow * narrow * 9 + narrow + 1
        + narrow * wide + wide + 1
        + wide * 81 * channels + channels
    )  # fmt: skip
    rows = {
        Uniform(factor): (factor**2, 0),
        Uniform((1, factor)): (factor, 0),
        MultiScale(factor): (sum(f * f for f in range(1, factor + 1)), 0),
        Learnable(factor, channels, width=wide): (factor**2, network),
        Bound([factor] * ipc): (factor**2, 0),
    }
    for decoder, (k, extra) in rows.items():
        images = torch.rand(classes, decoder.initial_rows(ipc), channels, height, width)
        synthetic = SyntheticSet.from_rows(images, PixelSpace((0.5,) * channels, (0.5,) * channels, "unit"), decoder)
        assert synthetic.floats == classes * a_class + extra
        assert synthetic.bytes == 4 * synthetic.floats
        assert synthetic().x.shape == (classes, ipc * k, channels, height, width)


def test_multi_scale_shares_the_pixels_of_all_scales():
    x = bases(2, 2, 1, 8, 8)
    rows = MultiScale(2)(x)
    assert torch.equal(rows[:, [0, 5]], x)
    assert torch.equal(rows[:, [1, 2, 3, 4, 6, 7, 8, 9]], Uniform(2)(x))


def test_a_learned_enlargement_starts_as_the_bilinear_one_and_can_leave_it():
    x = bases(2, 2, 3, 9, 9)
    learnable = seeded(Learnable, 2, 3).double()
    assert (learnable(x) - Uniform(2)(x)).abs().max() < 0.05
    with torch.no_grad():
        learnable.network[-1].weight.mul_(100)
    assert (learnable(x) - Uniform(2)(x)).abs().max() > 0.05


@given(images=st.integers(1, 60), factor=st.integers(1, 5), most=st.integers(1, 130))
@settings(max_examples=200, deadline=None)
def test_bound_fills_greedily_from_the_largest_factor(images, factor, most):
    factors = bound(images, factor, most)
    rows = sum(f * f for f in factors)
    assert len(factors) == images
    assert list(factors) == sorted(factors, reverse=True)
    assert rows <= max(most, images)
    for i, f in enumerate(factors):  # no base could have had a larger factor before the rows ran out
        if f < factor:
            earlier = sum(g * g for g in factors[:i])
            assert earlier + (f + 1) ** 2 + (images - i) + factors.count(f + 1) > most


def test_bound_is_the_programs():
    assert bound(20, 3) == (3,) * 12 + (2,) * 3 + (1,) * 5


def test_bound_gives_each_base_its_own_factor():
    x = bases(2, 3, 1, 12, 12)
    rows = Bound((3, 2, 1))(x)
    assert torch.equal(rows[:, :9], Uniform(3)(x[:, :1]))
    assert torch.equal(rows[:, 9:13], Uniform(2)(x[:, 1:2]))
    assert torch.equal(rows[:, 13:], x[:, 2:])


def test_tiled_initial_values_show_their_rows():
    real = blobs(shape=(1, 12, 12))
    decoder = Uniform(2)
    rows = random_real(real, 1, 0, decoder)
    assert rows.shape == (3, 4, 1, 12, 12)
    synthetic = SyntheticSet.from_rows(rows, real.space, decoder)
    tile = synthetic.bases[1, 0, :, :6, 6:]
    assert torch.allclose(tile, F.avg_pool2d(rows[1, 1], 2))
    smooth = torch.linspace(0, 1, 12, dtype=torch.float64).expand(1, 4, 1, 12, 12)
    again = SyntheticSet.from_rows(smooth, PixelSpace((0.0,), (1.0,)), decoder)()
    assert (again.x - smooth).abs().max() < 0.05


def test_tiles_repeat_where_a_class_is_small():
    real = blobs(sizes=(9, 3, 7))
    rows = random_real(real, 2, 0, Uniform(2))
    assert rows.shape[1] == 8
    distinct = {tuple(row.flatten().tolist()) for row in rows[1]}
    assert len(distinct) == 3
    assert len({tuple(row.flatten().tolist()) for row in rows[0]}) == 8
    with pytest.raises(InputError, match="class '1'"):
        random_real(real, 4, 0, Uniform(2))


def test_last_tiles_are_shrunk_to_what_is_left_of_the_side():
    rows = torch.rand(1, 9, 1, 8, 8)
    tiled = Uniform(3).encode(rows)
    assert tiled.shape == (1, 1, 1, 8, 8)
    assert torch.allclose(tiled[0, 0, :, 6:, :3], F.adaptive_avg_pool2d(rows[0, 6], (2, 3)))
    assert torch.allclose(tiled[0, 0, :, 6:, 6:], F.adaptive_avg_pool2d(rows[0, 8], (2, 2)))


@pytest.mark.parametrize("decoder", [Uniform(2), MultiScale(2), Learnable(2, 1), Bound([2, 1])], ids=str)
@pytest.mark.parametrize("count", [0, 1, 3, 10, 15])
def test_rows_that_do_not_fill_the_cells_are_refused(decoder, count):
    with pytest.raises(InputError, match="initial_rows"):
        SyntheticSet.from_rows(torch.rand(3, count, 1, 8, 8), PixelSpace((0.5,), (0.5,)), decoder)


def test_a_decoder_says_what_it_is():
    assert repr(Uniform((1, 2))) == "Uniform(factor=[1, 2], pad=0.5)"


def test_post_downsampling_stores_a_finished_set_in_fewer_pixels():
    rows = torch.rand(3, 8, 1, 8, 8)
    full = SyntheticSet.from_rows(rows, PixelSpace((0.0,), (1.0,)))
    smaller = SyntheticSet.from_rows(full().x.detach(), full.space, Uniform(2))
    assert smaller.floats * 4 == full.floats
    assert smaller().x.shape == full().x.shape
    blurred = F.interpolate(F.avg_pool2d(rows[1], 2), (8, 8), mode="bilinear", align_corners=False)
    assert torch.allclose(smaller().x[1], blurred, atol=1e-6)


@pytest.mark.parametrize("make", [Uniform, MultiScale, lambda f: Learnable(f, 1), lambda f: Bound([f])])
@pytest.mark.parametrize("factor", [0, 33])
def test_a_factor_out_of_reason_is_refused(make, factor):
    with pytest.raises(InputError, match="1 to 32"):
        make(factor)


def test_a_scale_that_leaves_empty_cells_is_refused():
    with pytest.raises(InputError, match=r"`factor=8` leaves empty cells.*every factor up to 10"):
        MultiScale(10).base_shape((1, 28, 28))


def test_a_set_counted_cell_by_cell_can_be_laid_out_image_by_image():
    bases = torch.randn(2, 3, 1, 6, 8, generator=rng(0)).double()
    rows = Uniform(2)(bases)
    by_cell = rows.unflatten(1, (3, 4)).transpose(1, 2).flatten(1, 2)
    assert torch.equal(Uniform(2)(from_cell_major(bases, 2)), by_cell)
    with pytest.raises(InputError, match="does not divide"):
        from_cell_major(bases, 4)
