"""Codes × decoders, full batches and what is said about them; the laws that all parts share are in the lists' tests."""

import itertools
import os
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import blobs
from lists import TINY, factorized, seeded

from condensery.algorithms import samplers
from condensery.algorithms.autoencoder import pretrained
from condensery.algorithms.matching import Matching
from condensery.algorithms.samplers import Whole
from condensery.algorithms.schedules import Fresh
from condensery.augment import Augmentation, Color, Crop
from condensery.cli import main
from condensery.data import Batch, Data, digits
from condensery.data.pixels import PixelSpace
from condensery.decoders import Bound, Factorized
from condensery.errors import InputError
from condensery.kernels.compiling import during
from condensery.networks.net import build
from condensery.networks.network import initial
from condensery.objectives import DistributionMatching, GradientMatching
from condensery.objectives.subsampling import bias, variance
from condensery.randomness import rng
from condensery.recipes import KFS
from condensery.runs.artifact import load, save
from condensery.runs.checkpoint import Interrupted
from condensery.runs.condensed import Condensed
from condensery.runs.picture import grid
from condensery.runs.run import run
from condensery.runs.storage import read_tensors, write_tensors
from condensery.synthetic import SyntheticSet, random_real

SMALL = KFS(channels=(3,), decoders=3, pretraining=20, steps=4, net=TINY)


def place(real, key="weights"):
    return initial(build(TINY, real.shape, real.classes).to(real.dtype), rng(0, key), key)


def crossed(real, decoders=3, ipc=2):
    space = replace(real.space, stored="unit")
    decoder = factorized(real.shape, (3,), decoders)
    return SyntheticSet.from_rows(random_real(real, ipc, 0), space, decoder)


def test_decoders_deeper_than_the_image_are_refused():
    assert Factorized((1, 8, 8), (3, 3, 3), 1).code_shape == (3, 1, 1)
    with pytest.raises(InputError, match="give fewer numbers"):
        Factorized((1, 8, 8), (3, 3, 3, 3), 1)


def test_the_papers_example_has_738_floats_and_16_codes_a_class():
    one = Factorized((3, 32, 32), (12, 9, 6), 1)
    assert (one.floats, one.code_shape) == (441 + 222 + 75, (12, 4, 4))
    decoder = Factorized((3, 32, 32), (12, 9, 6), 8)
    assert KFS().codes(decoder, 10) == 16
    assert KFS(strict=True).codes(decoder, 10) == 12
    assert KFS(strict=True).codes(decoder, 100) == 15
    assert KFS(ipc=10).codes(decoder, 10) == 160


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 30, 45), (1, 64, 64)], ids=str)
@pytest.mark.parametrize(("channels", "kernel"), [((5, 4, 3), 2), ((6, 2), 2), ((3, 3), 4)])
@pytest.mark.parametrize("styles", [False, True])
def test_storage_is_what_the_formula_says(shape, channels, kernel, styles):
    decoder = Factorized(shape, channels, 4, kernel, styles=styles)
    sizes = [i * o * kernel**2 + o for i, o in itertools.pairwise((*channels, shape[0]))]
    assert decoder.floats == 4 * (sum(sizes) + styles * channels[0])
    codes = torch.randn(2, 3, *decoder.code_shape)
    synthetic = SyntheticSet(codes, PixelSpace((0.5,) * shape[0], (0.5,) * shape[0], "unit"), decoder)
    assert synthetic.floats == codes.numel() + decoder.floats
    assert synthetic().x.shape == (2, 12, *shape)
    unit = decoder(codes)
    assert unit.min() > 0
    assert unit.max() < 1


def test_a_strict_budget_holds_everything():
    real = blobs()
    for ipc in (2, 3, 5):
        synthetic = replace(SMALL, strict=True, ipc=ipc, init="noise").algorithm(real).run()
        assert synthetic.floats <= ipc * 3 * 64 < synthetic.floats + 3 * synthetic.bases[0, 0].numel()
    with pytest.raises(InputError, match="give a larger `ipc`"):
        replace(SMALL, strict=True, decoders=50).algorithm(real).run()


def test_a_row_is_one_code_through_one_decoder():
    real = blobs((1, 8, 8))
    synthetic = crossed(real)
    x = synthetic.decoder(synthetic.bases)
    for code, d in itertools.product(range(2), range(3)):
        one = Factorized(real.shape, (3,), 1).double()
        with torch.no_grad():
            for mine, all_of_them in zip(one.parameters(), synthetic.decoder.parameters(), strict=True):
                mine.copy_(all_of_them[d : d + 1])
        assert torch.allclose(one(synthetic.bases[:, code : code + 1])[:, 0], x[:, 3 * code + d], atol=1e-12)


def test_kernel_2_is_a_matrix_product_of_every_pixel():
    decoder = seeded(Factorized, (2, 8, 8), (3,), 1).double()
    codes, weight, bias = torch.randn(1, 1, 3, 4, 4).double(), *decoder.layers.parameters()
    blocks = torch.einsum("ihw,iojk->ohjwk", codes[0, 0], weight[0]).reshape(2, 8, 8) + bias[0][:, None, None]
    assert torch.allclose(decoder(codes)[0, 0], blocks.sigmoid())


def test_the_autoencoder_gives_rows_back():
    real = blobs()
    losses = {}
    for steps in (1, 300):
        decoder = pretrained(Factorized(real.shape, (8,), 1), real, steps, 0, "none", 0.0)
        rows = real.space.unit(real.read(slice(None)))[None]
        losses[steps] = (decoder(decoder.encode(rows)) - rows).square().mean()
    assert losses[300] < 0.3 * losses[1]
    assert losses[300] < 0.5 * (rows - rows.mean(1, keepdim=True)).square().mean()


@pytest.mark.parametrize("diversity", ["noise", "seeds", "styles"])
def test_equal_decoders_stay_equal_and_others_do_not(diversity):
    real = blobs()
    alike = replace(SMALL, diversity="none").algorithm(real).run()
    rows = alike.decoder(alike.bases).unflatten(1, (-1, 3))
    assert torch.allclose(rows[:, :, 0], rows[:, :, 2], atol=1e-9)
    differ = replace(SMALL, diversity=diversity).algorithm(real).run()
    rows = differ.decoder(differ.bases).unflatten(1, (-1, 3))
    assert (rows[:, :, 0] - rows[:, :, 2]).abs().max() > 1e-3


def test_the_gradient_through_a_part_is_that_through_all_in_expectation():
    real = blobs()
    synthetic = crossed(real)
    target = DistributionMatching().target(place(real), real.sample(5, range(3), lambda c: rng(0, c)))
    gradients = []
    for part, points in ((None, 1), (2, 400)):
        total, values = 0.0, set()
        for i in range(points):
            point = replace(place(real), outer=i)
            batch = synthetic()
            loss = DistributionMatching(part=part).loss(point, batch, target).sum()
            total = total + torch.autograd.grad(loss, synthetic.bases)[0] / points
            values.add(round(loss.item(), 9))
        assert len(values) == 1  # the mean is exact whatever the part
        gradients.append(total)
    assert (gradients[0] - gradients[1]).norm() < 0.1 * gradients[0].norm()


def subsets(n, size):
    return [list(chosen) for chosen in itertools.combinations(range(n), size)]


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("of", ["rows", "bases", "decoders"])
def test_eq_2_is_the_bias_of_the_gradient_where_synthetic_rows_are_drawn(of, size):
    real = blobs()
    synthetic, point = crossed(real, ipc=3), place(real)
    target = DistributionMatching().target(point, real.sample(5, range(3), lambda c: rng(0, c)))[0]
    grid_of_rows = torch.arange(9).view(3, 3)
    chosen = {
        "rows": [torch.tensor(s) for s in subsets(9, size)],
        "bases": [grid_of_rows[s].flatten() for s in subsets(3, size)],
        "decoders": [grid_of_rows[:, s].flatten() for s in subsets(3, size)],
    }[of]

    def gradient(rows):
        means = point.embeddings(synthetic().x[:, rows].flatten(0, 1)).unflatten(0, (3, -1)).mean(1)
        return torch.autograd.grad((means - target).square().sum(), list(synthetic.parameters()))

    whole = gradient(torch.arange(9))
    expected = [torch.stack(parts).mean(0) for parts in zip(*(gradient(rows) for rows in chosen), strict=True)]
    for ours, e, w in zip(bias(point, synthetic, size, of), expected, whole, strict=True):
        assert torch.allclose(ours, e - w, atol=1e-9)
    assert all(part.abs().max() < 1e-12 for part in bias(point, synthetic, 9 if of == "rows" else 3, of))


def test_the_bias_is_that_of_bases_with_as_many_rows():
    real, decoder = blobs(), Bound([2, 1, 1])  # 6 rows of 3 bases, but not 2 of each
    uneven = SyntheticSet.from_rows(random_real(real, 3, 0, decoder), real.space, decoder)
    with pytest.raises(InputError, match="different numbers of rows"):
        bias(place(real), uneven, 1, "bases")


@pytest.mark.parametrize("size", [1, 2])
def test_eq_3_is_the_variance_of_the_gradient_where_real_rows_are_drawn(size):
    real = blobs(sizes=(4, 4))
    synthetic, point = crossed(real), place(real)
    batch = Batch(torch.stack([real.read(real.rows(c)) for c in range(2)]), torch.tensor([[0] * 4, [1] * 4]))
    gradients = []
    for a, b in itertools.product(subsets(4, size), repeat=2):
        x = torch.stack([batch.x[0, a], batch.x[1, b]])
        target = DistributionMatching().target(point, Batch(x, batch.y[:, :size]))
        loss = DistributionMatching().loss(point, synthetic(), target).sum()
        parts = torch.autograd.grad(loss, list(synthetic.parameters()))
        gradients.append(torch.cat([p.flatten() for p in parts]))
    spread = torch.stack(gradients)
    assert variance(point, synthetic, batch, size) == pytest.approx(
        (spread - spread.mean(0)).square().sum(1).mean().item(), rel=1e-9
    )


def matched(real, folder, augment=None, objective=None, net=TINY, per_pass=1):
    """The set after 4 steps in 2 networks, and how often real rows were embedded."""
    synthetic, asked = crossed(real), []
    objective = objective or DistributionMatching()

    class Counted(Whole):
        def _made(self, *arguments):
            asked.append(arguments)
            return super()._made(*arguments)

    network = build(net, real.shape, real.classes).to(real.dtype)
    Matching(
        real, synthetic, Fresh(network, 4, 0, networks=2), Counted(folder), objective,
        torch.optim.Adam(synthetic.parameters(), 0.1), 0, augment, classes_per_pass=per_pass,
    ).run()  # fmt: skip
    return synthetic.bases.detach(), len(asked)


def test_a_kept_mean_is_the_mean_to_the_bit(tmp_path):
    real = blobs()
    none, often = matched(real, None)
    miss, made = matched(real, tmp_path / "means")
    hit, again = matched(real, tmp_path / "means")
    assert (often, made, again) == (12, 6, 0)  # 4 steps, 2 networks, 3 classes
    assert torch.equal(none, miss)
    assert torch.equal(miss, hit)
    assert len(list((tmp_path / "means").iterdir())) == 2


def test_the_means_that_were_used_longest_ago_are_removed(tmp_path, monkeypatch):
    real, nets = blobs(), [replace(TINY, activation=name) for name in ("relu", "swish", "sigmoid")]
    for net in nets[:2]:
        matched(real, tmp_path, net=net)
    size = sum(file.stat().st_size for file in tmp_path.iterdir())
    for file in tmp_path.iterdir():
        os.utime(file, (1, 1))
    assert matched(real, tmp_path, net=nets[0])[1] == 0  # used again
    monkeypatch.setattr(Whole, "CACHED", size + 100)  # files contain the name of the activation
    monkeypatch.setattr(Whole, "TRIM_EVERY", 1)
    assert matched(real, tmp_path, net=nets[2])[1] == 6  # two more files, in place of the two of the second network
    assert len(list(tmp_path.iterdir())) == 4
    assert [matched(real, tmp_path, net=net)[1] for net in nets[::2]] == [0, 0]
    assert matched(real, tmp_path, net=nets[1])[1] == 6


def test_what_the_means_depend_on_misses_the_cache(tmp_path, monkeypatch):
    real = blobs()
    matched(real, tmp_path)
    images = real.images.clone()
    images[0, 0, 0, 0] = 1 - images[0, 0, 0, 0]
    changed = type(real)(images, real.labels, 3, real.space, real.dtype)
    brighter = real.normalized_by(PixelSpace((0.3,), (0.3,)))
    whitened = [Data("blobs", real, real, ("a", "b", "c")).whitened(strength).train for strength in (0.1, 0.2)]
    for other in (changed, brighter, real.to(torch.float32), *whitened):
        assert matched(other, tmp_path)[1] == 6
    for objective in (
        GradientMatching(),
        DistributionMatching(chunk=2),
        DistributionMatching(real_dtype=torch.float32),
    ):
        assert matched(real, tmp_path, objective=objective)[1] == 6
    assert matched(real, tmp_path, net=replace(TINY, activation="swish"))[1] == 6
    with during("passes"):
        assert matched(real, tmp_path)[1] == 6
    for module, name in ((samplers.storage, "code"), (samplers, "environment")):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, lambda *given: {"another": "one"})
            assert matched(real, tmp_path)[1] == 6
    assert matched(real, tmp_path)[1] == 0


@pytest.mark.parametrize("damage", ["flip", "cut", "shape"])
def test_a_damaged_kept_mean_is_made_again_and_that_is_said(damage, tmp_path, monkeypatch):
    real, heard = blobs(), []
    monkeypatch.setattr("condensery.algorithms.samplers.log.warning", heard.append)
    expected, _ = matched(real, tmp_path)
    path = min(tmp_path.iterdir())
    content = bytearray(path.read_bytes())
    if damage == "shape":
        head, parts = read_tensors(path)
        write_tensors(path, {name: part[:1] for name, part in parts.items()}, head)
    elif damage == "flip":
        content[-5] ^= 1
        path.write_bytes(content)
    else:
        path.write_bytes(content[:-5])
    found, made = matched(real, tmp_path)
    assert torch.equal(found, expected)
    assert made == 3  # one network of the two
    assert len(heard) == 1
    assert str(path) in heard[0]
    assert matched(real, tmp_path)[1] == 0


def test_augmented_rows_say_something_else_every_step(tmp_path):
    real, augment = blobs(), Augmentation((Crop(), Color()))
    alone, made = matched(real, tmp_path / "means", augment)
    assert made == 12
    assert not (tmp_path / "means").exists()
    together, _ = matched(real, tmp_path / "means", augment, per_pass=3)  # a class's draw is its own
    assert torch.allclose(alone, together, atol=1e-9)


def test_batch_norms_statistics_are_part_of_the_network(tmp_path):
    real, net = blobs(), replace(TINY, norm="batch")
    none, _ = matched(real, None, net=net)
    miss, made = matched(real, tmp_path, net=net)
    hit, again = matched(real, tmp_path, net=net)
    assert (made, again) == (6, 0)  # a network that comes back has the same statistics
    assert torch.equal(none, miss)
    assert torch.equal(miss, hit)


def test_a_damaged_mean_is_made_again(tmp_path):
    real = blobs()
    first, _ = matched(real, tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:100])
    again, made = matched(real, tmp_path)
    assert made == 6
    assert torch.equal(first, again)
    assert matched(real, tmp_path)[1] == 0


def test_means_that_cannot_be_kept_are_made_anew(tmp_path, caplog):
    (tmp_path / "file").write_text("not a folder")
    assert matched(blobs(), tmp_path / "file" / "means")[1] == 12
    assert "are not kept" in caplog.text


def test_means_of_networks_that_come_back_are_computed_once_without_files(monkeypatch):
    monkeypatch.setenv("CONDENSERY_CACHE", "")
    made, computed = Whole._made, []
    monkeypatch.setattr(Whole, "_made", lambda *given: computed.append(1) or made(*given))
    replace(SMALL, networks=2, steps=6, real_rows=None).algorithm(blobs()).run()
    assert len(computed) == 2 * 3  # networks and classes


def test_the_mean_is_that_of_all_rows_of_a_class(monkeypatch):
    real = blobs(sizes=(9, 5, 40))
    point, objective = place(real), DistributionMatching()
    monkeypatch.setattr(Whole, "CHUNK", 7)
    (means,) = Whole().target(objective, point, real, range(3), lambda c: rng(0))
    for c in range(3):
        assert torch.allclose(means[c], point.embeddings(real.read(real.rows(c))).mean(0))


def test_rates_drop_when_they_should():
    real, drops = blobs(), (2, 3)
    moved = {}
    for name, chosen in (("never", ()), ("twice", drops)):
        seen = []
        algorithm = replace(SMALL, drops=chosen, steps=4).algorithm(real)
        algorithm.run(observe=lambda step, seen=seen: seen.append(step.synthetic.bases.detach().clone()))
        moved[name] = seen
    same = [torch.equal(a, b) for a, b in zip(moved["never"], moved["twice"], strict=True)]
    assert same == [True, True, False, False]
    steps = [(moved[name][2] - moved[name][1]).abs().mean() for name in ("never", "twice")]
    assert steps[1] == pytest.approx(0.2 * steps[0].item(), rel=1e-6)


def test_decoders_leave_room_for_a_code_per_class():
    real = blobs(sizes=(4,) * 60)
    with pytest.raises(InputError, match=r"decoders take ([\d,]+) bytes") as refused:
        KFS(net=TINY).within(1, real)
    least = int(re.search(r"take ([\d,]+) bytes", str(refused.value))[1].replace(",", ""))
    for more in (0, 1000, 3000, 9000):
        made = KFS(net=TINY).within(least + more, real).algorithm(real).synthetic
        assert made.bases_per_class >= 1
        assert made.bytes <= least + more
    with pytest.raises(InputError, match="too few"):
        KFS(net=TINY).within(least - 1, real)


def test_a_class_with_fewer_rows_than_codes_has_different_codes_all_the_same():
    real = blobs(sizes=(9, 3, 7))
    for init in ("real", "noise"):
        codes = replace(SMALL, ipc=6, init=init).algorithm(real).run().bases.detach()[1].flatten(1)
        assert len(codes) == 8
        assert torch.cdist(codes, codes).add(torch.eye(8) * 9).min() > 0.01
    assert KFS(net=TINY).within("1 MB", real).ipc > 9


BAD = [
    {"channels": ()}, {"channels": (3, 0)}, {"decoders": 0}, {"kernel": 3}, {"steps": 0}, {"strict": 3},
    {"diversity": "chance"}, {"noise": -1.0},
]  # fmt: skip


@pytest.mark.parametrize("fields", BAD, ids=str)
def test_bad_fields_are_refused(fields):
    with pytest.raises(InputError):
        replace(SMALL, **fields)


def test_the_picture_has_codes_down_and_decoders_across():
    real = blobs((1, 8, 8), sizes=(4, 4))
    synthetic = crossed(real, decoders=3, ipc=2)
    sheet = torch.from_numpy(np.array(grid(synthetic, least=8)))
    rows = synthetic.space.uint8(synthetic().x)
    assert sheet.shape == (12 + 3 * 10, 2 * (12 + 2 * 10))
    for c, code, d in itertools.product(range(2), range(2), range(3)):
        top, left = 6 + 10 * d + 1, 32 * c + 6 + 10 * code + 1
        assert torch.equal(sheet[top : top + 8, left : left + 8], rows[c, 3 * code + d, 0])


@pytest.mark.parametrize(("shape", "ipc"), [((1, 8, 8), 1), ((1, 8, 8), 3), ((1, 28, 28), 1), ((3, 32, 32), 10)])
def test_decoders_left_to_the_images_fit_a_strict_budget(shape, ipc):
    recipe = replace(KFS.quick(), ipc=ipc)
    decoder = recipe.decoder(shape, 10)
    assert 1 <= decoder.decoders <= 8
    assert recipe.codes(decoder, 10) * decoder.decoders > ipc  # more rows than images
    assert KFS.quick().decoder((1, 28, 28), 10).decoders == 8


def test_the_gradient_is_the_one_written_out():
    """DM's loss of one class and its gradient, a row at a time."""
    real = blobs()
    point, batch = place(real), real.sample(4, [1], lambda c: rng(0, c))
    x = real.sample(3, [1], lambda c: rng(1, c)).x.requires_grad_()
    objective = DistributionMatching()
    loss = objective.loss(point, Batch(x, torch.ones(1, 3, dtype=torch.long)), objective.target(point, batch))
    network = point.placed()
    means = [sum(network.embed(row[None])[0] for row in rows[0]) / len(rows[0]) for rows in (batch.x, x)]
    literal = ((means[0] - means[1]) ** 2).sum()
    assert loss.item() == pytest.approx(literal.item(), rel=1e-12)
    ours, theirs = (torch.autograd.grad(of, x)[0] for of in (loss.sum(), literal))
    assert torch.allclose(ours, theirs, atol=1e-12)


def test_styles_that_nobody_has_or_uses_are_refused():
    real = blobs()
    for styles, diversity in ((False, "styles"), (True, "noise")):
        with pytest.raises(InputError, match="styles"):
            pretrained(Factorized(real.shape, (3,), 2, styles=styles), real, 1, 0, diversity, 0.1)


def test_a_phase_is_not_mixed_with_another_runs(tmp_path):
    data, recipe = digits(), SMALL
    asked = itertools.chain([False] * 5, itertools.repeat(True))
    with pytest.raises(Interrupted):
        run(recipe, data, tmp_path, stop=lambda: next(asked))
    before = {p.name: p.read_bytes() for p in tmp_path.glob("checkpoint*")}
    assert before
    with pytest.raises(InputError, match=r"recipe\.seed is 0 there, 1 here"):
        run(replace(recipe, seed=1), data, tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.glob("checkpoint*")} == before


@pytest.mark.parametrize(
    "damage",
    [{"shape": [1, 8]}, {"shape": [1, 8, 9]}, {"channels": [30000, 30000]}, {"channels": []}, {"decoders": 10**9},
     {"decoders": 2}, {"kernel": 4}, {"activation": "exec"}, {"styles": True}],
    ids=str,
)  # fmt: skip
def test_a_file_of_codes_that_does_not_fit_is_refused(damage, tmp_path):
    synthetic = crossed(blobs())
    about = {"name": "blobs", "rows": 21, "fingerprint": "0"}
    path = save(Condensed(synthetic, ("a", "b", "c"), {"name": "kfs"}, 1, about), tmp_path / "s")
    head, tensors = read_tensors(path)
    assert load(path).floats == synthetic.floats
    write_tensors(path, tensors, head | {"decoder": head["decoder"] | damage})
    with pytest.raises(InputError, match="do not fit"):
        load(path)


def test_the_command_line_makes_measures_and_shows_codes(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    quick = [
        "--data",
        "digits",
        "--ipc",
        "2",
        "--pretraining",
        "20",
        "--steps",
        "3",
        "--net.width",
        "4",
        "--real-rows",
        "9",
    ]
    assert main(["plan", "kfs:quick", *quick]) == 0
    planned = capsys.readouterr().out
    assert main(["run", "kfs:quick", *quick, "--out", "k"]) == 0
    assert (
        main(["evaluate", "k", "--data", "digits", "--protocol", "kfs2022", "--repeats", "1", "--sizes", "1", "2"]) == 0
    )
    assert "codes per class" in capsys.readouterr().out
    assert main(["show", "k", "--png", "k.png"]) == 0
    shown = capsys.readouterr().out
    assert (tmp_path / "k.png").stat().st_size > 100
    stored = next(line.split()[1] for line in shown.splitlines() if line.startswith("stored"))
    assert f"stored       {stored} floats" in planned
    assert int(stored.replace(",", "")) <= 2 * 640
    assert main(["run", "kfs", "--data", "digits", "--decoder-classes", "10", "--out", "x"]) == 2
