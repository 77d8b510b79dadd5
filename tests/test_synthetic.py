import pytest
import torch
from conftest import blobs
from hypothesis import given, settings
from hypothesis import strategies as st
from lists import DECODERS, INITIAL_VALUES, over

from condensery.data.pixels import PixelSpace
from condensery.decoders import Factorized
from condensery.errors import InputError
from condensery.randomness import rng
from condensery.synthetic import SyntheticSet


def alike(a, b):
    """Up to rounding: a sigmoid's last bit depends on where in its array a number lies."""
    return torch.allclose(a, b, rtol=0, atol=1e-12)


def same(decoder):
    return alike if isinstance(decoder, Factorized) else torch.equal


@over(DECODERS)
@given(
    classes=st.integers(1, 3),
    ipc=st.integers(1, 4),
    shape=st.tuples(st.sampled_from([1, 3]), st.integers(5, 9), st.integers(5, 9)),
    stored=st.sampled_from(["normalized", "unit"]),
)
@settings(max_examples=25, deadline=None)
def test_decoding_laws(part, classes, ipc, shape, stored):
    space, decoder = PixelSpace((0.4,) * shape[0], (0.3,) * shape[0], stored), part(shape, ipc)
    count = decoder.initial_rows(ipc)
    rows = torch.randn(classes, count, *shape, generator=rng(0, classes, ipc), dtype=torch.float64)
    synthetic = SyntheticSet.from_rows(rows, space, decoder)
    assert synthetic.bases.shape == (classes, ipc, *decoder.base_shape(shape))
    batch = synthetic()
    n = batch.y.shape[1]
    assert batch.x.shape == (classes, n, *shape)
    assert batch.y.tolist() == [[c] * n for c in range(classes)]
    before = 0
    for images in range(1, ipc + 1):  # prefix law: the first bases decode alike whatever follows, and each gives rows
        first = synthetic(images=images).x
        assert first.shape[1] > before
        assert same(decoder)(first, batch.rows(slice(before := first.shape[1])).x)
    for c in range(classes):  # a class decodes alike alone
        assert same(decoder)(synthetic([c]).x[0], batch.x[c])
    batch.x.square().sum().backward()
    assert all(p.grad is not None and (p.grad != 0).any() for p in synthetic.parameters())


@given(classes=st.integers(1, 3), ipc=st.integers(1, 4), channels=st.sampled_from([1, 3]), side=st.integers(4, 9))
@settings(max_examples=20, deadline=None)
def test_pixels_store_what_they_show(classes, ipc, channels, side):
    rows = torch.randn(classes, ipc, channels, side, side)
    synthetic = SyntheticSet.from_rows(rows, PixelSpace((0.4,) * channels, (0.3,) * channels))
    assert torch.equal(synthetic().x, rows)
    assert synthetic.floats == rows.numel()
    assert synthetic.bytes == 4 * rows.numel()


@over(INITIAL_VALUES)
def test_initial_values_are_a_function_of_the_seed(part):
    real = blobs()
    a, b, c = part(real, 2, 0), part(real, 2, 0), part(real, 2, 1)
    assert a.shape == (3, 2, 1, 8, 8)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_random_real_rows_are_different_rows_of_their_class():
    real = blobs()
    rows = INITIAL_VALUES["random_real"](real, 5, 0)
    for c in range(3):
        mine = real.read(real.rows(c)).flatten(1)
        where = [(mine == row.flatten()).all(1).nonzero().item() for row in rows[c]]
        assert len(set(where)) == 5
    with pytest.raises(InputError, match="class '1'"):
        INITIAL_VALUES["random_real"](real, 6, 0)
