import pytest
import torch

from condensery.augment import OneOfCropScaleRotate
from condensery.randomness import rng

SIDE = 12


def pictures(n):
    return torch.rand(n, 3, SIDE, SIDE, generator=rng(0, "pictures"), dtype=torch.float64)


def test_the_neutral_draw_changes_nothing():
    neutral = OneOfCropScaleRotate(crop=0, scale=0, rotate=0)
    x = pictures(9)
    assert torch.allclose(neutral(x, neutral.draw(9, SIDE, SIDE, rng(1))), x, atol=1e-6)


def test_a_draw_moves_a_row_alike_in_any_company():
    augment = OneOfCropScaleRotate()
    x, maps = pictures(9), augment.draw(9, SIDE, SIDE, rng(1))
    apart = torch.cat([augment(x[i : i + 1], maps[i : i + 1]) for i in range(9)])
    assert torch.allclose(augment(x, maps), apart, atol=1e-12)


def test_each_row_gets_one_operation_of_three():
    augment = OneOfCropScaleRotate(crop=2, scale=0.2, rotate=45)
    kinds = set()
    for m in augment.draw(300, SIDE, SIDE, rng(1)):
        shift, diagonal, off = m[:, 2].abs().max(), m[:, :2].diagonal(), m[0, 1]
        if off != 0:
            kinds.add("rotate")
            assert shift == 0
            assert diagonal[0] >= 2**-0.5 - 1e-6
        elif not torch.equal(diagonal, torch.ones(2)):
            kinds.add("scale")
            assert shift == 0
            assert ((diagonal >= 1 / 1.2 - 1e-6) & (diagonal <= 1 / 0.8 + 1e-6)).all()
        else:
            kinds.add("crop")
            assert shift <= 2 * 2 / SIDE + 1e-6
    assert kinds == {"crop", "scale", "rotate"}


def test_every_shift_of_a_crop_is_as_likely():
    maps = OneOfCropScaleRotate(crop=1).draw(3000, 8, 16, rng(1))
    crops = maps[(maps[:, :, :2] == torch.eye(2)).flatten(1).all(1)]
    for axis, side in ((0, 16), (1, 8)):
        shifts = (crops[:, axis, 2] * side / 2).round().tolist()
        assert {s: pytest.approx(len(shifts) / 3, rel=0.15) for s in (-1, 0, 1)} == {
            s: shifts.count(s) for s in (-1, 0, 1)
        }


def test_a_crop_shifts_whole_pixels_and_fills_with_the_rows_mean():
    augment = OneOfCropScaleRotate()
    x = pictures(1)
    maps = torch.tensor([[[1.0, 0, 2 * 3 / SIDE], [0, 1, 0]]])  # three pixels to the left
    moved = augment(x, maps)
    assert torch.allclose(moved[..., :-3], x[..., 3:], atol=1e-6)
    assert torch.allclose(moved[..., -3:], x.mean((2, 3), keepdim=True).expand(1, 3, SIDE, 3), atol=1e-6)


@pytest.mark.parametrize("check", [torch.autograd.gradcheck, torch.autograd.gradgradcheck])
def test_slopes_flow_to_second_order(check):
    augment = OneOfCropScaleRotate()
    x = pictures(2)[:, :1, :5, :5].clone().requires_grad_()
    maps = augment.draw(2, 5, 5, rng(3))
    assert check(lambda x: augment(x, maps).sin(), x)
