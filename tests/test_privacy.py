"""Membership inference against networks trained on condensed sets."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from lists import TINY

from condensery.applications import Exposure, membership
from condensery.applications.privacy import _margins, _thirds
from condensery.cli import main
from condensery.data import digits, from_arrays
from condensery.errors import InputError
from condensery.evaluation.protocols import Protocol
from condensery.evaluation.statistics import area_half_width
from condensery.evaluation.training import Training
from condensery.networks.convnet import ConvNet
from condensery.networks.net import build
from condensery.networks.network import initial
from condensery.randomness import rng
from condensery.recipes import DC, DM, IDC, Compact, Random, Unrolled

NET = ConvNet(width=8, depth=2)
SMALL = DM(ipc=2, steps=3, real_rows=8, net=NET)


def long(data, condensed=None, net=None):
    return Protocol("long", Training(0.05, 0.9, batch_size=32), steps=60)


def probed(recipe, **more):
    given = {"protocol": long, "repeats": 2, "shadows": 3, "progress": False} | more
    return membership(digits(), recipe, **given)


def test_images_that_networks_learned_are_told_from_others():
    found = {(each.trained_on, each.members): each for each in probed(SMALL)}
    assert list(found) == [
        ("the condensed set", "all condensed images"),
        ("the condensed set", "its initial images"),
        ("its initial images", "its initial images"),
        ("random images", "random images"),
    ]
    for alone in ("its initial images", "random images"):
        assert min(found[alone, alone].loss) > 0.9
        assert min(found[alone, alone].ratio) > 0.75
    many = found["the condensed set", "all condensed images"]
    assert 0.4 < sum(many.loss) / 2 < 0.65  # 40 of 480 images are behind the set
    assert all(len(each.loss) == len(each.ratio) == 2 for each in found.values())
    assert all(0 < width < 0.3 for width in many.half_widths)
    outside = _thirds(digits().train, 0)[1]
    assert many.images[1] == len(outside)
    assert found["random images", "random images"].images[1] == 10 * min(outside.sizes)  # as many of every class


def test_the_same_seed_gives_the_same_areas(monkeypatch):
    monkeypatch.setattr("condensery.applications.privacy.counted", None)  # which draws a bar
    assert probed(SMALL, repeats=1) == probed(SMALL, repeats=1)
    assert min(probed(SMALL, repeats=1)[0].half_widths) > 0  # of the images, if not of networks


def test_the_interval_contains_the_deviation_of_the_images():
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(1000, 10 + 400))
    areas = [float((each[:10, None] > each[10:]).mean()) for each in scores]  # guessing
    assert area_half_width(0.5, 10, 400) == pytest.approx(1.96 * np.std(areas), rel=0.1)
    found = Exposure("a", "b", (0.5, 0.5), (0.9, 0.7), (10, 400))
    assert found.half_widths[0] == area_half_width(0.5, 10, 400)
    assert found.half_widths[1] > area_half_width(0.8, 10, 400)
    assert area_half_width(1.0, 1000, 1000) < area_half_width(1.0, 5, 5)
    assert area_half_width(1.0, 5, 5) > 0.05  # few images show little
    assert area_half_width(1.0, 5, 5) == pytest.approx(area_half_width(0.0, 5, 5))


@pytest.mark.parametrize(("recipe", "attacks"), [
    (Random(ipc=2, net=NET), 3), (DC(ipc=2, outer_steps=1, network_epochs=0, real_rows=4, init="noise", net=NET), 2),
    (Compact(SMALL), 4), (Unrolled(SMALL, rounds=1, unrolled_updates=1), 4),
    (DC(ipc=2, outer_steps=1, network_epochs=1, real_rows=4, net=NET, learn="both"), 2),
])  # fmt: skip
def test_initial_images_are_attacked_where_there_are_any(recipe, attacks):
    assert len(probed(recipe, repeats=1, shadows=2)) == attacks


def test_images_are_attacked_as_the_set_is_normalized():
    rows = [(digits().train.images * 255).byte().expand(-1, 3, -1, -1), digits().train.labels]
    data = from_arrays(*rows, *rows)
    idc = IDC(ipc=2, outer_steps=1, inner_steps=1, real_rows=4, network_rows=8, net=NET)
    found = membership(data, replace(idc, constants="CIFAR10"), None, long, 2, 3, progress=False)
    assert len(found) == 4
    alone = next(each for each in found if each.trained_on == each.members == "its initial images")
    assert min(alone.loss) > 0.8


def test_the_images_of_a_coreset_are_told_from_others():
    found = {each.members: each for each in probed(Random(ipc=1, net=NET), repeats=2)}
    assert min(found["its own images"].loss) > 0.9


def test_every_image_is_in_one_part():
    real = digits().train
    parts = _thirds(real, 0)
    assert sum(map(len, parts)) == len(real)
    rows = torch.cat([part.images.flatten(1) for part in parts])
    assert rows.double().sum() == real.images.double().sum()
    for c, size in enumerate(real.sizes):
        assert sorted(part.sizes[c] for part in parts) == sorted((size // 3, (size + 1) // 3, (size + 2) // 3))


def test_margins_are_log_odds():
    point = initial(build(TINY, (1, 8, 8), 5), rng(0, "weights"))
    x, y = torch.randn(6, 1, 8, 8), torch.tensor([0, 1, 2, 3, 4, 0])
    likelihood, margin = _margins(point, x, y)
    p = point.logits(x).detach().double().softmax(1)[torch.arange(6), y]
    torch.testing.assert_close(likelihood, p.log(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(margin, (p / (1 - p)).log(), rtol=1e-5, atol=1e-6)


def test_a_wrong_probe_is_refused():
    with pytest.raises(InputError, match="trains for a time"):
        probed(SMALL, protocol="fixed-seconds")
    with pytest.raises(InputError, match="`most`"):
        probed(SMALL, most=0)
    with pytest.raises(InputError, match="`seed`"):
        probed(SMALL, seed=-1)
    with pytest.raises(InputError, match="`shadows`"):
        probed(SMALL, shadows=1)
    with pytest.raises(InputError, match="smaller `ipc`"):
        probed(Random(ipc=60, net=NET))


def test_a_method_that_cannot_work_is_refused_before_another_one_has_worked(capsys, monkeypatch):
    monkeypatch.setattr("condensery.applications.privacy.condense", None)
    assert main(["privacy", "--data", "digits", "--methods", "random", "random+compact"]) == 2
    assert "compact cannot wrap random" in capsys.readouterr().err


def test_the_command_prints_all_attacks(capsys, tmp_path):
    words = ["privacy", "--data", "digits", "--methods", "random", "--net.width", "4", "--protocol", "kfs2022",
             "--repeats", "2", "--shadows", "2", "--json", str(tmp_path / "areas.json")]  # fmt: skip
    assert main(words) == 0
    assert "random images" in capsys.readouterr().out
    found = json.loads((tmp_path / "areas.json").read_text())["results"]
    assert [each["members"] for each in found] == ["all condensed images", "its own images", "random images"]
    assert found[2]["images"] == [10, 460]
    assert all(0 < each[f"{name} half width"] < 1 for each in found for name in ("loss", "likelihood ratio"))
    assert main(["privacy", "--data", "digits", "--methods"]) == 2
    assert main(["privacy", "--data", "digits", "--methods", "dm", "--shadows", "1"]) == 2
    assert "--shadows" in capsys.readouterr().err
