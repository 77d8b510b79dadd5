import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lists import OPERATIONS, over

from condensery.augment import (
    Augmentation,
    Color,
    Crop,
    CutMix,
    Cutout,
    Flip,
    Jitter,
    Omega,
    ResizedCrop,
    Rotate,
    Scale,
)
from condensery.randomness import rng

SIDE = 12
SHAPE = (3, SIDE, SIDE)
ALL = Augmentation((Flip(), Color(), Crop()), (Scale(), Rotate(), Cutout()))
NEUTRAL = {
    "color": Color(0, 0, 0),
    "crop": Crop(0),
    "cutout": Cutout(0),
    "flip": Flip(0),
    "scale": Scale(1, 1),
    "rotate": Rotate(0),
    "resized crop": ResizedCrop(1),
    "jitter": Jitter(0),
    "lighting": replace(OPERATIONS["lighting"], strength=0),
}

VARIED = OPERATIONS | {  # not for laws about a row in any company: the mean is that of all rows
    "crop, filled with the mean": Crop(fill="mean"),
    "rotate, filled with the mean": Rotate(fill="mean"),
    "scale of the image": Scale(of="image"),
}


def pictures(*count, shape=SHAPE):
    return torch.rand(*count, *shape, generator=rng(0, "pictures"), dtype=torch.float64)


def drawn(operation, n=300, shape=SHAPE):
    return Augmentation((operation,)).draw(n, shape, rng(1))


def same(a: Omega, b: Omega) -> bool:
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in vars(a))


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_neutral_draw_changes_nothing(name):
    operation, x = NEUTRAL[name], pictures(9)
    assert type(operation) is type(OPERATIONS[name])
    augment = Augmentation((operation,))
    changed = augment(x, augment.draw(9, SHAPE, rng(1)))
    # a square part of the area 1 is the image only where its sides are equal
    if name == "resized crop":
        omega = augment.draw(9, SHAPE, rng(1))
        assert (omega.maps.diagonal(dim1=1, dim2=2)[:, :2].max(1).values == 1).all()
    else:
        assert torch.allclose(changed, x, atol=1e-6)


@over(VARIED)
def test_every_operation_changes_something(part):
    augment, x = Augmentation((part,)), pictures(20)
    assert ((augment(x, augment.draw(20, SHAPE, rng(1))) - x).abs().flatten(1).max(1).values > 1e-3).any()


@over(OPERATIONS)
@pytest.mark.parametrize("shape", [(1, 7, 5), (3, 8, 8)], ids=str)
def test_one_omega_broadcast_is_n_equal_ones(part, shape):
    augment, x = Augmentation((part,)), pictures(2, 5, shape=shape)
    omega = augment.siamese([3, 1], shape, lambda c: rng(2, c))
    each = [Omega(*(getattr(omega, f)[c : c + 1].repeat_interleave(5, 0) for f in vars(omega))) for c in (0, 1)]
    apart = torch.stack([augment(x[c], each[c]) for c in (0, 1)])
    assert torch.allclose(augment(x, omega), apart, atol=1e-12)


@over(OPERATIONS)
def test_a_draw_changes_a_row_alike_in_any_company(part):
    augment = Augmentation((part,))
    x, omega = pictures(9), augment.draw(9, SHAPE, rng(1))
    one = [Omega(*(getattr(omega, f)[i : i + 1] for f in vars(omega))) for i in range(9)]
    apart = torch.cat([augment(x[i : i + 1], one[i]) for i in range(9)])
    assert torch.allclose(augment(x, omega), apart, atol=1e-12)


def test_siamese_draws_depend_on_the_class_alone():
    alone, together = (ALL.siamese(classes, SHAPE, lambda c: rng(0, c)) for classes in ([2], [0, 1, 2]))
    assert same(alone, Omega(*(getattr(together, f)[2:] for f in vars(together))))
    assert not torch.equal(together.shift[:1], together.shift[1:2])


@over(VARIED)
@pytest.mark.parametrize("check", [torch.autograd.gradcheck, torch.autograd.gradgradcheck])
def test_gradients_flow_to_second_order(part, check):
    augment = Augmentation((part,))
    shape = (3, 5, 4)
    x = pictures(2, shape=shape).requires_grad_()
    omega = augment.draw(2, shape, rng(3))
    assert check(lambda x: augment(x, omega).sin(), x)


@pytest.mark.parametrize("check", [torch.autograd.gradcheck, torch.autograd.gradgradcheck])
def test_gradients_flow_through_shared_draws_and_cutmix(check):
    x = pictures(2, 2, shape=(1, 4, 4)).requires_grad_()
    omega = ALL.siamese([0, 1], (1, 4, 4), lambda c: rng(5, c))
    cut = CutMix(1).draw(4, 4, 4, rng(2))
    assert check(lambda x: cut(ALL(x, omega).flatten(0, 1)).sin(), x)


@given(channels=st.sampled_from([1, 3]), height=st.integers(4, 9), width=st.integers(4, 9), n=st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_any_size_keeps_its_shape(channels, height, width, n):
    x = torch.rand(n, channels, height, width)
    assert ALL(x, ALL.draw(n, (channels, height, width), rng(0))).shape == x.shape


SEVERAL = Augmentation(one_of=(Crop(), Scale(0.8, 1.2), Rotate(45), Cutout(), Color()))


def operations(omega):
    """Which of the operations of `SEVERAL` (first axis) each row gets."""
    return torch.stack([
        omega.maps[:, :2, 2].abs().amax(1) > 0,
        (omega.maps.diagonal(dim1=1, dim2=2)[:, :2] != 1).all(1) & (omega.maps[:, 0, 1] == 0),
        omega.maps[:, 0, 1] != 0,
        (omega.box != 0).any(1),
        (omega.factors != 1).any(1),
    ])  # fmt: skip


def test_each_row_gets_one_operation_of_several():
    kinds = operations(SEVERAL.draw(300, SHAPE, rng(1)))
    assert kinds.sum(0).max() == 1  # a crop by no pixel at all is none
    assert all(45 < k < 75 for k in kinds.sum(1)[1:])


def test_a_minibatch_draws_one_operation_with_parameters_for_each_row():
    chosen = []
    for i in range(60):
        omega = replace(SEVERAL, choice="minibatch").draw(9, SHAPE, rng(i))
        kinds = operations(omega)
        chosen += [k for k in range(5) if kinds[k].any()]
        assert kinds.any(1).sum() == 1
        assert (
            len({tuple(part) for part in torch.cat([p.reshape(9, -1) for p in vars(omega).values()], 1).tolist()}) > 4
        )
    assert all(4 < chosen.count(k) < 24 for k in range(5))


def test_geometry_is_multiplied_in_the_order_given():
    x = pictures(1)
    both = Augmentation((Flip(1), Crop()))
    omega = both.draw(1, SHAPE, rng(4))
    right, down = (omega.maps[0, :2, 2] * SIDE / 2).round().int().tolist()
    assert right or down
    flipped = torch.nn.functional.pad(x.flip(3), (SIDE,) * 4)
    # the flipped map mirrors the shift: what the result shows lies at minus it in the unflipped image
    window = flipped[..., SIDE + down : 2 * SIDE + down, SIDE - right : 2 * SIDE - right]
    assert torch.allclose(both(x, omega), window, atol=1e-6)


def test_a_flip_is_exact_and_happens_half_of_the_time():
    x, omega = pictures(300), drawn(Flip())
    flipped = omega.maps[:, 0, 0] == -1
    assert 120 < flipped.sum() < 180
    changed = Augmentation()(x, omega)
    assert torch.allclose(changed[flipped], x[flipped].flip(3), atol=1e-6)
    assert torch.allclose(changed[~flipped], x[~flipped], atol=1e-6)


def test_every_shift_of_a_crop_is_as_likely():
    maps = drawn(Crop(1 / 8), 3000, (1, 8, 16)).maps
    for axis, side, most in ((0, 16, 2), (1, 8, 1)):
        shifts = (maps[:, axis, 2] * side / 2).round().tolist()
        expected = {s: pytest.approx(3000 / (2 * most + 1), rel=0.15) for s in range(-most, most + 1)}
        assert {s: shifts.count(s) for s in set(shifts)} == expected


@pytest.mark.parametrize("fill", ["zero", "mean"])
def test_a_crop_shifts_whole_pixels_and_fills(fill):
    x = pictures(2)
    crop = Crop(fill=fill).drawn(torch.zeros(2, 4), SHAPE)
    maps = torch.tensor([[[1.0, 0, 2 * 3 / SIDE], [0, 1, 0], [0, 0, 1]]])  # three pixels to the left
    moved = Augmentation()(x, replace(crop, maps=maps.expand(2, 3, 3)))
    assert torch.allclose(moved[..., :-3], x[..., 3:], atol=1e-6)
    outside = x.mean((0, 2, 3), keepdim=True) if fill == "mean" else torch.zeros(1, 3, 1, 1)
    assert torch.allclose(moved[..., -3:], outside.double().expand(2, 3, SIDE, 3), atol=1e-5)


def test_the_crop_of_dc_shifts_by_four_pixels_one_way_and_three_the_other():
    maps = drawn(Crop(pixels=4), 2000).maps
    for axis in (0, 1):
        shifts = (maps[:, axis, 2] * SIDE / 2).round().tolist()
        assert {s: shifts.count(s) for s in set(shifts)} == dict.fromkeys(range(-4, 4), pytest.approx(250, rel=0.2))


def test_what_is_scaled_is_the_window_or_the_image():
    window, image = (drawn(Scale(0.5, 2, of)).maps.diagonal(dim1=1, dim2=2)[:, :2] for of in ("window", "image"))
    assert torch.allclose(window, 1 / image)
    assert window.mean() == pytest.approx(1.25, abs=0.05)


def test_a_jitter_changes_brightness_contrast_and_saturation_in_any_order():
    luma, mean, std = (
        torch.tensor(c, dtype=torch.float64).view(3, 1, 1)
        for c in ((0.299, 0.587, 0.114), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    x, omega = pictures(60), drawn(Jitter(0.4), 60)
    changed, seen = Augmentation()((x - mean) / std, omega) * std + mean, set()
    for row, factors, result in zip(x, omega.jitter.double(), changed, strict=True):
        for order in itertools.permutations(range(3)):
            y = row
            for change in order:
                gray = (y * luma).sum(0, keepdim=True)
                toward = (torch.zeros(()), gray.mean(), gray)[change]
                y = toward + (y - toward) * factors[change]
            if torch.allclose(y, result, atol=1e-6):
                seen.add(order)
    assert len(seen) == 6
    assert (omega.jitter.min(), omega.jitter.max()) == (pytest.approx(0.6, abs=0.02), pytest.approx(1.4, abs=0.02))


def test_a_rotation_by_a_right_angle_turns_the_image():
    x = pictures(1)
    angle = Rotate(90).drawn(torch.tensor([[1.0, 0, 0, 0]]), SHAPE)
    assert torch.allclose(Augmentation()(x, angle), x.rot90(1, (2, 3)), atol=1e-5)


def test_color_is_brightness_saturation_and_contrast_in_turn():
    x, omega = pictures(4), drawn(Color(), 4)
    expected = x + omega.shift[:, :, None, None].double()
    gray = expected.mean(1, keepdim=True)
    expected = gray + (expected - gray) * omega.factors[:, 0, None, None, None].double()
    mean = expected.mean((1, 2, 3), keepdim=True)
    expected = mean + (expected - mean) * omega.factors[:, 1, None, None, None].double()
    assert torch.allclose(Augmentation()(x, omega), expected, atol=1e-12)
    many = drawn(Color())
    assert many.shift.abs().max() <= 0.5
    assert (many.factors[:, 0].min(), many.factors[:, 0].max()) == (
        pytest.approx(0, abs=0.05),
        pytest.approx(2, abs=0.05),
    )
    assert (many.factors[:, 1].min(), many.factors[:, 1].max()) == (
        pytest.approx(0.5, abs=0.05),
        pytest.approx(1.5, abs=0.05),
    )


def test_a_cutout_is_a_box_of_zeros():
    x, omega = pictures(50) + 1, drawn(Cutout(0.5), 50)
    for row, box in zip(Augmentation()(x, omega), omega.box.int().tolist(), strict=True):
        top, bottom, left, right = box
        assert 0 <= top < bottom <= SIDE
        assert bottom - top <= 6
        expected = torch.ones(SIDE, SIDE, dtype=torch.bool)
        expected[top:bottom, left:right] = False
        assert torch.equal(row[0] != 0, expected)
    assert (omega.box[:, 1] - omega.box[:, 0]).max() == 6


def test_a_resized_crop_shows_a_part_within_the_image():
    maps = drawn(ResizedCrop(0.5)).maps
    shares = maps.diagonal(dim1=1, dim2=2)[:, :2]
    assert shares.prod(1).min() > 0.49
    assert ((maps[:, :2, 2].abs() + shares) <= 1 + 1e-6).all()


def test_a_resized_crop_is_nearly_square_in_pixels():
    operation = ResizedCrop(0.5)
    omega = operation.drawn(torch.rand(500, 4, generator=rng(0)), (3, 12, 16))
    across, down = (omega.maps.diagonal(dim1=1, dim2=2)[:, :2] * torch.tensor([16, 12])).T
    inside = (across < 16) & (down < 12)
    assert inside.sum() > 50
    ratio = (across / down)[inside]
    assert 3 / 4 - 1e-6 <= ratio.min() < ratio.max() <= 4 / 3 + 1e-6


def test_cutmix_puts_another_rows_box_and_weighs_labels_by_area():
    x, y = pictures(6, shape=(1, 8, 8)), torch.arange(6)
    shares = []
    for i in range(200):
        cut = CutMix(0.5).draw(6, 8, 8, rng(i))
        if cut is None:
            continue
        mixed = cut(x)
        own = (mixed == x).flatten(1).float().mean(1)
        strangers = cut.order != torch.arange(6)
        assert torch.allclose(own[strangers], torch.full_like(own[strangers], cut.share))
        shares.append(cut.share)
        logits = torch.randn(6, 6, generator=rng(i, "logits"))
        soft = torch.zeros(6, 6)
        soft[range(6), y] += cut.share
        soft[range(6), y[cut.order]] += 1 - cut.share
        assert torch.allclose(cut.loss(logits, y), torch.nn.functional.cross_entropy(logits, soft), atol=1e-6)
    assert 70 < len(shares) < 130
    assert min(shares) < 0.5
    assert max(shares) > 0.9
    assert CutMix(0).draw(6, 8, 8, rng(0)) is None
