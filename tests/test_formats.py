"""Sets that are stored in fewer bits."""

import math
from dataclasses import replace

import pytest
import torch
from conftest import blobs
from lists import CHOSEN, DECODERS, LEARNED, TINY, WRAPPED, over
from test_evaluation import short

import condensery as cd
from condensery.algorithms import coresets
from condensery.data import RealSet
from condensery.data.pixels import PixelSpace, Whitening
from condensery.evaluation.evaluate import evaluate
from condensery.formats import Grid, rounded
from condensery.recipes import DC, DM, IDC, KFS, Compact
from condensery.runs.condensed import Condensed
from condensery.synthetic import SyntheticSet, random_real

FORMATS = ("uint8", "float16")
DIGITS = cd.data.digits()


def made(decoder, format):
    """A set of random real rows that is to be stored in a format, with its decoder's weights."""
    real = blobs()
    space = PixelSpace(real.space.mean, real.space.std, "unit")
    decoder = decoder(real.shape, 2)
    synthetic = SyntheticSet.from_rows(random_real(real, 2, 0, decoder), space, decoder)
    synthetic.format = format
    return synthetic, real


def test_the_places_of_a_grid_are_equally_spaced():
    grid = Grid(-1.0, 2.55)
    numbers = grid.dequantize(torch.arange(256, dtype=torch.uint8), torch.float64)
    assert torch.allclose(numbers.diff(), torch.full((255,), 0.01, dtype=torch.float64), atol=1e-12)
    assert torch.equal(grid.quantize(numbers), torch.arange(256, dtype=torch.uint8))
    x = torch.linspace(-1, 1.55, 1001, dtype=torch.float64)
    assert (rounded(x, "uint8", grid) - x).abs().max() <= 0.005 + 1e-12
    assert torch.equal(rounded(torch.ones(3), "uint8"), torch.ones(3))  # a grid of one number


@pytest.mark.parametrize("format", FORMATS)
@over(DECODERS)
def test_what_is_decoded_while_learning_is_what_is_stored(part, format):
    synthetic, _ = made(part, format)
    synthetic.fake_quantize()
    seen = synthetic()
    synthetic.quantize()
    assert torch.equal(seen.x, synthetic().x)
    once = [p.detach().clone() for p in synthetic.parameters()]
    synthetic.quantize()
    assert all(torch.equal(a, b) for a, b in zip(once, synthetic.parameters(), strict=True))


def test_what_is_not_learned_is_rounded_once():
    for seed in range(600):  # a new grid would change a few of these
        numbers = torch.randn(1, 1, 1, 6, 6, generator=torch.Generator().manual_seed(seed))
        synthetic = SyntheticSet(numbers, PixelSpace((0.5,), (0.5,), "unit"), format="uint8")
        synthetic.requires_grad_(False).quantize()
        once = synthetic.bases.clone()
        synthetic.quantize()
        assert torch.equal(synthetic.bases, once)


@pytest.mark.parametrize("format", FORMATS)
def test_the_gradient_passes_through_the_rounding(format):
    synthetic, _ = made(DECODERS["codes x decoders"], format)
    synthetic.fake_quantize()
    synthetic().x.square().sum().backward()
    through = [p.grad.clone() for p in synthetic.parameters()]
    synthetic.quantize()
    synthetic.zero_grad()
    synthetic().x.square().sum().backward()
    assert all(torch.allclose(a, p.grad, atol=1e-12) for a, p in zip(through, synthetic.parameters(), strict=True))


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.5, 3), (1.0, 6)])
def test_the_last_steps_learn_from_rounded_numbers(share, count):
    rounded, rounds = [], []
    base = Compact(DM(ipc=2, steps=6, real_rows=6, net=cd.ConvNet(width=4, depth=2)), share=share)
    base.algorithm(blobs()).run(observe=lambda step: rounded.append(step.synthetic.fake_quantized))
    assert rounded == [False] * (6 - count) + [True] * count
    around = cd.Unrolled(base, rounds=2, unrolled_updates=2, network_pool=1, minibatch=4)
    around.algorithm(blobs()).run(observe=lambda step: rounds.append(step.synthetic.fake_quantized))
    assert rounds == [share > 0] * 2


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_holds_the_bytes_that_the_set_counts(format, tmp_path):
    recipe = Compact(KFS.digits().having(pretraining=20, steps=4), format=format)
    ours = cd.condense(recipe, DIGITS.train, progress=False)
    theirs = cd.load(cd.save(ours, tmp_path / "set.safetensors"))
    for a, b in zip(ours.synthetic.parameters(), theirs.synthetic.parameters(), strict=True):
        assert torch.equal(a, b)
    tensors = len(list(ours.synthetic.parameters()))
    each, grids = (1, 8 * tensors) if format == "uint8" else (2, 0)
    assert ours.bytes == theirs.bytes == each * ours.floats + grids
    assert (tmp_path / "set.safetensors").stat().st_size < ours.bytes + 4000
    part = cd.load(cd.save(theirs.subset(1), tmp_path / "part.safetensors"))
    assert torch.equal(part.synthetic.bases, ours.synthetic.bases[:, :1])
    assert theirs.subset(bytes=ours.bytes).bases_per_class == ours.bases_per_class
    assert theirs.subset(bytes=ours.bytes - 1).bases_per_class == ours.bases_per_class - 1


def test_a_budget_in_bytes_holds_four_times_as_many_images():
    real = DIGITS.train
    assert DM.digits().within("1 GB", real).ipc == min(real.sizes)  # images start from as many real ones
    assert DC.digits().having(init="noise").within("1 GB", real).ipc > min(real.sizes)
    plain = IDC.digits().within("8 KB", real)
    compact = Compact(IDC.digits()).within("8 KB", real)
    assert (plain.ipc, compact.ipc) == (3, 12)
    assert compact.algorithm(real).synthetic.bytes <= 8000


@over(LEARNED | WRAPPED)
def test_a_set_stores_at_most_the_bytes_of_its_budget(part):
    real = DIGITS.train
    assert part.within(9000, real).algorithm(real).synthetic.bytes <= 9000


@pytest.mark.parametrize("budget", [1200, 1500, 4000, 4700, 9000])
@pytest.mark.parametrize("part", [KFS.digits(), Compact(KFS.digits()), KFS.quick()], ids=["one", "two", "three"])
def test_codes_leave_no_room_for_another_one(part, budget):
    real = DIGITS.train
    made = part.within(budget, real).algorithm(real).synthetic
    another = made.bytes // made.floats * real.classes * math.prod(made.decoder.code_shape)
    grids = 128 if isinstance(part, Compact) else 0  # room for as many as a set can have
    assert budget - another - grids < made.bytes <= budget


def test_images_per_class_take_the_place_of_a_budget_in_floats():
    given = KFS.digits().within("2KB", DIGITS.train)
    assert given.having(steps=1).floats == given.floats
    assert given.having(ipc=10) == replace(KFS.digits(), ipc=10)


def test_a_small_class_limits_real_images_which_is_said_but_not_codes(caplog):
    x = torch.randint(0, 256, (24, 1, 8, 8), dtype=torch.uint8)
    real = RealSet.measured(x, torch.arange(24) % 2, 2)
    assert Compact(KFS.quick()).within(9000, real).algorithm(real).synthetic.bases_per_class > 12
    assert not caplog.text
    assert DM.quick().within(9000, real).ipc == 12
    assert "class '0' has only 12 images, so dm stores no more of any class; this takes 6,144 of 9,000" in caplog.text


@pytest.mark.parametrize("whitened", [False, True])
@over(CHOSEN)
def test_real_images_of_8_bits_are_stored_as_they_are(part, whitened):
    x = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8)
    real = RealSet.measured(x, torch.arange(40) % 2, 2)
    if whitened:
        real = real.normalized_by(replace(real.space, whitening=Whitening.measured([real.read(slice(None))])))
    chosen = cd.condense(part.having(net=TINY), real, progress=False)
    assert chosen.bytes == chosen.floats
    rows, known = chosen.synthetic().x.flatten(0, 1), real.read(slice(None))
    assert all((known == row).flatten(1).all(1).any() for row in rows)


def test_real_images_of_floats_are_stored_as_floats():
    chosen = coresets.random(blobs(), 2, 0)
    assert (chosen.format, chosen.bytes) == (None, 8 * chosen.floats)


def test_what_no_grid_can_hold_is_refused(tmp_path):
    synthetic, real = made(DECODERS["pixels"], "uint8")
    about = {"name": "blobs", "fingerprint": real.fingerprint, "rows": len(real)}
    unrounded = Condensed(synthetic, real.class_names, {"name": "random", "ipc": 2}, 0, about)
    with pytest.raises(cd.InputError, match="quantize"):
        cd.save(unrounded, tmp_path / "set.safetensors")


def test_a_compact_set_is_measured_with_its_classes_in_another_order():
    ours = cd.condense(Compact(KFS.digits().having(pretraining=20, steps=4)), DIGITS.train, progress=False)
    whole, order = ours.synthetic, [3, 1, 2, 0, *range(4, 10)]
    bases = whole.bases.detach()[order]
    other = SyntheticSet(bases, whole.space, whole.decoder, format=whole.format, grids=whole.grids)
    theirs = replace(ours, synthetic=other, class_names=tuple(ours.class_names[c] for c in order))
    assert evaluate(theirs, DIGITS, TINY, short, 1).runs == evaluate(ours, DIGITS, TINY, short, 1).runs


def test_a_file_that_needs_too_much_memory_is_refused(tmp_path, monkeypatch):
    path = cd.save(cd.condense(cd.Random(ipc=100), DIGITS.train, progress=False), tmp_path / "set.safetensors")
    monkeypatch.setenv("CONDENSERY_LIMIT_GB", "0.0004")
    with pytest.raises(cd.InputError, match="numbers"):
        cd.load(path)


def test_a_budget_that_is_too_small_is_named_as_it_was_given():
    with pytest.raises(cd.InputError, match=r"600 bytes are too few: .* takes 768 bytes"):
        Compact(IDC.digits()).within(600, DIGITS.train)
