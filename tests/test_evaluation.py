import json
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import blobs
from lists import CHOSEN, LEARNED, PROTOCOLS, TINY, over
from torch import nn

from condensery.augment import (
    Augmentation,
    Color,
    Crop,
    CutMix,
    Cutout,
    Flip,
    Jitter,
    Lighting,
    ResizedCrop,
    Rotate,
    Scale,
)
from condensery.data import Data, RealSet, TestSet, from_arrays
from condensery.data.facts import FACTS, Facts
from condensery.data.pixels import PixelSpace
from condensery.decoders import Uniform
from condensery.errors import InputError
from condensery.evaluation import evaluate as measuring
from condensery.evaluation import kept, protocols
from condensery.evaluation.compare import compare
from condensery.evaluation.evaluate import evaluate, evaluate_whole
from condensery.evaluation.kept import Kept
from condensery.evaluation.protocols import (
    Protocol,
    dc2021,
    dsa2021,
    fixed_seconds,
    fixed_steps,
    idc2022,
    idc2022_equal_steps,
    imagenet2022,
    kfs2022,
)
from condensery.evaluation.training import DecodedRows, TensorRows, Training
from condensery.networks.convnet import ConvNet
from condensery.networks.densenet import DenseNet
from condensery.networks.names import NETWORKS
from condensery.networks.net import record
from condensery.networks.resnet import ResNet
from condensery.randomness import rng
from condensery.recipes import Random
from condensery.runs.condensed import Condensed
from condensery.runs.run import condense
from condensery.synthetic import SyntheticSet


def data(name="blobs"):
    """Classes in much noise, so that different sets and networks reach different accuracies."""
    real = blobs(sizes=(12, 10, 9)).with_facts(FACTS.get(name, Facts()))
    noise = torch.rand(2, *real.images.shape, generator=torch.Generator().manual_seed(0))
    train, test = (real._with(images=0.3 * real.images + 0.7 * each) for each in noise)
    return Data(name, train, TestSet(test.images, test.labels, test.space, test.dtype, test.device), ("a", "b", "c"))


def chosen(d, ipc=2, seed=0):
    """Random images, as what `condense` returns."""
    return replace(condense(Random(ipc=ipc, seed=seed), d.train), class_names=d.class_names)


def named(synthetic, names=("a", "b", "c")):
    about = {"name": "blobs", "fingerprint": "", "rows": 31}
    return Condensed(synthetic, names, {"name": "random"}, 0, about)


def short(data, condensed=None, net=None):
    return Protocol("short", Training(0.05, 0.9, batch_size=8), epochs=30)


def replace_steps(protocol, steps, **more):
    """The protocol with another number of steps."""
    return lambda *given: replace(protocol(*given), steps=steps, **more)


@over(PROTOCOLS)
def test_a_protocol_says_how_long_and_how(part):
    rules = part(data())
    assert rules.steps_for(10) >= 1
    assert rules.how.batch_size in (64, 256)
    assert 0 < rules.how.schedule(0.0) <= 1
    assert rules.how.schedule(0.999) <= 0.1


def test_dc2021_is_the_published_procedure():
    plain, digits = dc2021(data()), dc2021(data("MNIST"))
    assert (plain.steps_for(10), digits.steps_for(10)) == (301, 1001)
    assert plain.steps_for(500) == 602
    assert plain.augment is None
    moved = (Crop(pixels=4, fill="mean"), Scale(0.8, 1.2, of="image"), Rotate(45, fill="mean"))
    assert (digits.augment.one_of, digits.augment.choice) == (moved, "row")
    factors = [plain.how.schedule(e / 301) for e in range(301)]
    assert factors == [1.0] * 152 + [0.1] * 149  # the epoch numbered 151 is the last at the full rate
    assert plain.how.restart_at == (152 / 301,)
    assert (plain.how.lr, plain.how.momentum, plain.how.weight_decay) == (0.01, 0.9, 5e-4)


def test_dsa2021_is_the_published_procedure():
    rules, digits = dsa2021(data()), dsa2021(data("SVHN"))
    assert rules.steps_for(10) == 1001
    assert rules.augment.one_of == (Color(), Crop(), Cutout(), Flip(), Scale(), Rotate())
    assert Flip() not in digits.augment.one_of
    assert rules.augment.choice == "minibatch"
    factors = [rules.how.schedule(e / 1001) for e in range(1001)]
    assert factors == [1.0] * 502 + [0.1] * 499
    assert rules.mix is None


def test_idc2022_is_the_published_procedure():
    rules, digits = idc2022(data()), idc2022(data("MNIST"))
    assert (rules.steps_for(40), rules.steps_for(400)) == (1000, 7000)
    assert (rules.how.lr, rules.how.momentum, rules.how.weight_decay, rules.how.batch_size) == (0.01, 0.9, 5e-4, 64)
    factors = [rules.how.schedule(e / 1000) for e in (0, 665, 666, 832, 833)]
    assert factors == pytest.approx([1.0, 1.0, 0.2, 0.2, 0.04])
    assert rules.augment.choice == "minibatch"
    assert (rules.augment.always, rules.augment.one_of) == ((Flip(), Color()), (Crop(), Scale(), Rotate()))
    assert digits.augment.always == (Color(),)
    assert rules.mix == CutMix(0.5)


@pytest.mark.parametrize(
    ("name", "ipc", "factor", "mixed"),
    [("blobs", 1, 1, True), ("MNIST", 1, 1, True), ("MNIST", 1, 2, False), ("MNIST", 3, 2, False),
     ("SVHN", 1, 1, False), ("SVHN", 2, 1, True), ("SVHN", 1, 2, True)],
)  # fmt: skip
def test_idc2022_mixes_rows_where_its_program_does(name, ipc, factor, mixed):
    condensed = replace(named(SyntheticSet(torch.zeros(3, ipc, 1, 8, 8), data().train.space, Uniform(factor))))
    rules = idc2022(data(name), condensed)
    assert rules.mix == (CutMix(0.5) if mixed else None)
    assert (Cutout() in rules.augment.always) == (name == "SVHN" and not mixed)


@pytest.mark.parametrize(
    ("net", "ipc", "factor", "epochs"),
    [(DenseNet(), 50, 1, 400), (DenseNet(), 49, 2, 1000), (ConvNet(), 50, 1, 1000), (None, 50, 1, 1000)],
)
def test_idc2022_trains_a_dense_net_on_many_images_for_fewer_epochs(net, ipc, factor, epochs):
    condensed = named(SyntheticSet(torch.zeros(3, ipc, 1, 8, 8), data().train.space, Uniform(factor)))
    rules = idc2022(data(), condensed, net)
    assert rules.epochs == epochs
    assert ("400" in rules.name) == (epochs == 400)


@pytest.mark.parametrize(("factor", "epochs"), [(1, 1000), (2, 250), (4, round(1000 / 16))])
def test_equal_steps_divide_the_epochs_by_the_rows_of_an_image(factor, epochs):
    condensed = named(SyntheticSet(torch.zeros(3, 2, 1, 8, 8), data().train.space, Uniform(factor)))
    rules = idc2022_equal_steps(data(), condensed)
    assert rules.epochs == epochs
    assert [rules.how.schedule(e / epochs) for e in (0, epochs - 1)] == pytest.approx([1, 0.04])
    assert (rules.augment, rules.mix) == (idc2022(data()).augment, CutMix(0.5))


def test_equal_steps_are_never_none():
    many = SimpleNamespace(rows_per_class=4000, bases_per_class=1, floats=3 * 64, synthetic=SimpleNamespace(classes=3))
    rules = idc2022_equal_steps(data(), many)
    assert (rules.epochs, rules.how.steps(rules.epochs, 64)) == (1, 1)
    assert rules.how.schedule(0.0) > 0


@pytest.mark.parametrize(("a_class", "epochs"), [(1, 3000), (2, 2000), (40, 1500), (180, 1000), (500, 500), (501, 300)])
def test_imagenet2022_trains_fewer_rows_longer(a_class, epochs):
    condensed = named(SyntheticSet(torch.zeros(3, a_class, 1, 8, 8), data().train.space))
    rules = imagenet2022(data(), condensed)
    assert rules.steps_for(3 * a_class) == epochs * -(-3 * a_class // 64)
    assert rules.augment.always == (ResizedCrop(0.5), Flip(), Jitter(0.4), Lighting(0.1))
    assert rules.mix == CutMix(1.0)


@pytest.mark.parametrize(("a_class", "epochs"), [(1, 2000), (10, 1300), (90, 600), (500, 300), (501, 200)])
def test_imagenet2022_of_100_classes_is_shorter_and_steeper(a_class, epochs):
    labels, images = torch.arange(100), torch.rand(100, 3, 4, 4)
    real = RealSet.measured(images, labels, 100)
    many = Data("many", real, TestSet(images, labels, real.space, real.dtype, real.device), tuple(map(str, labels)))
    condensed = Condensed(SyntheticSet(torch.zeros(100, a_class, 3, 4, 4), real.space), many.class_names, {}, 0, {})
    rules = imagenet2022(many, condensed)
    assert rules.epochs == epochs
    assert (rules.how.lr, rules.how.weight_decay, rules.how.batch_size) == (0.1, 1e-4, 128)


def test_kfs2022_is_the_published_procedure():
    rules = kfs2022(data())
    assert (rules.epochs, rules.steps_for(10), rules.steps_for(257)) == (200, 200, 400)
    assert (rules.how.lr, rules.how.momentum, rules.how.weight_decay) == (0.01, 0.9, 5e-4)
    factors = [rules.how.schedule(e / 200) for e in (0, 132, 133, 165, 166)]
    assert factors == pytest.approx([1.0, 1.0, 0.2, 0.2, 0.04])
    assert (rules.augment, rules.mix) == (None, None)


def test_the_protocols_of_this_library_are_what_its_pages_say():
    steps, all_rows = fixed_steps(data()), protocols.whole(data())
    assert [steps.how.schedule(i / 1000) for i in (0, 499, 500, 999)] == [1, 1, 0.1, 0.1]
    assert (all_rows.epochs, all_rows.steps_for(640)) == (10, 100)
    assert (all_rows.augment, all_rows.mix) == (None, None)


def test_a_set_of_a_network_with_batch_norm_is_measured_with_instance_norm():
    d, batch = data(), replace(TINY, norm="batch")
    own = replace(chosen(d), recipe={"name": "random", "net": record(batch)})
    few = [replace_steps(protocol, 2) for protocol in (dc2021, dsa2021, idc2022)]
    assert [evaluate(own, d, protocol=p, repeats=1).net for p in few] == [TINY, TINY, batch]
    assert [evaluate(own, d, batch, p, repeats=1).net for p in few] == [batch] * 3
    assert dc2021(d, own, batch).augment.one_of == (Crop(pixels=4, fill="mean"), Scale(1, 1))
    assert dc2021(d, own, batch).epochs == 1001


@pytest.mark.parametrize("seconds", [0.2, 1.0])
def test_a_protocol_in_seconds_takes_as_many_updates_as_fit_into_them(seconds, monkeypatch):
    """By a clock on which an update takes a hundredth of a second, and nothing else takes any time."""
    d, counted = data(), updates(monkeypatch)
    monkeypatch.setattr(measuring, "time", SimpleNamespace(perf_counter=lambda: len(counted) / 100))
    reached = evaluate(chosen(d), d, TINY, replace_steps(fixed_seconds, None, seconds=seconds), repeats=3)
    assert reached.seconds == pytest.approx(3 * seconds, rel=0.06)
    assert len(counted) < 100 * 3 * seconds + 50  # of which some only measure how long an update takes
    assert fixed_seconds(d).seconds == 60


@pytest.mark.parametrize(
    ("side", "net", "rows"), [(32, ConvNet(), 256), (128, ResNet(depth=10), 64), (128, NETWORKS["resnetap10"], 128)]
)
def test_kfs2022_has_small_batches_for_large_images(side, net, rows):
    images = torch.rand(4, 3, side, side)
    large = from_arrays(images, [0, 0, 1, 1], images, [0, 0, 1, 1])
    assert kfs2022(large, None, net).how.batch_size == rows


def test_fixed_steps_cost_the_same_at_every_size():
    assert {fixed_steps(data()).steps_for(n) for n in (1, 10, 1000)} == {1000}


def test_mean_and_std_are_over_sets_and_networks():
    d = data()
    sets = [chosen(d, seed=s) for s in (0, 1)]
    reached = evaluate(sets, d, TINY, short, repeats=3)
    assert len(reached.runs) == 6
    assert reached.mean == pytest.approx(np.mean(reached.runs))
    assert reached.std == pytest.approx(np.std(reached.runs))
    assert reached.runs[:3] == evaluate(sets[0], d, TINY, short, repeats=3).runs
    assert reached.mean > 0.4


def test_evaluation_is_a_function_of_the_seed_and_leaves_the_set_alone():
    d = data()
    synthetic = chosen(d)
    before = synthetic.synthetic.bases.clone()
    a, b, c = (evaluate(synthetic, d, TINY, short, repeats=1, seed=s) for s in (0, 0, 1))
    assert (a.runs, a.confusion) == (b.runs, b.confusion)
    assert a.confusion != c.confusion
    assert len(a.runs) == len(c.runs) == 1
    assert torch.equal(before, synthetic.synthetic.bases)


def test_what_another_program_measured_meanwhile_stays(same_code, tmp_path):
    d = data()
    first = evaluate_whole(d, TINY, short, 1)
    (file,) = (tmp_path / "cache" / "evaluations").iterdir()
    alone = file.read_bytes()
    evaluate_whole(d, TINY, short, 3)
    three = file.read_bytes()
    kept = Kept(json.loads(json.loads(alone)["about"]), 3, len(d.test))
    kept.write(kept.read()[:1])
    assert file.read_bytes() == three
    assert evaluate_whole(d, TINY, short, 3).runs[:1] == first.runs


def test_evaluation_never_trains_on_test_rows():
    d = data()
    poisoned = TestSet(d.test.images, (d.test.labels + 1) % 3, d.test.space, d.test.dtype, d.test.device)
    synthetic = chosen(d)
    honest = evaluate(synthetic, d, TINY, short, repeats=1).mean
    fooled = evaluate(synthetic, Data("p", d.train, poisoned, d.class_names), TINY, short, repeats=1).mean
    assert honest + fooled <= 1
    assert honest > fooled


def test_test_rows_are_normalized_as_the_sets_own_rows_are():
    d = data()
    synthetic = chosen(d)
    other = RealSet(d.train.images, d.train.labels, 3, PixelSpace((0.9,), (2.0,)), torch.float64)
    test = TestSet(d.test.images, d.test.labels, other.space, d.test.dtype, d.test.device)
    elsewhere = Data("other statistics", other, test, d.class_names)
    assert evaluate(synthetic, elsewhere, TINY, short, 1).runs == evaluate(synthetic, d, TINY, short, 1).runs


def test_the_protocol_says_in_which_format_networks_are_trained():
    d = data()
    exact, rough = (evaluate(chosen(d), d, TINY, short, 1, dtype=dtype) for dtype in (None, torch.bfloat16))
    assert (exact.protocol, rough.protocol) == ("short", "short, trained in bfloat16")


@over(PROTOCOLS)
@pytest.mark.parametrize("dtype", [None, torch.bfloat16], ids=str)
def test_networks_are_trained_as_the_protocol_says(part, dtype, monkeypatch):
    d, seen = data(), []

    def trained(point, rows, how, steps, seed, key, augment, mix, keeper, report):
        seen.append((len(rows), how, steps, augment, mix))
        return point

    monkeypatch.setattr("condensery.evaluation.evaluate.fit", trained)
    rules = part(d, chosen(d), TINY)
    evaluate(chosen(d), d, TINY, lambda *given: rules, 1, dtype=dtype)
    how = rules.how if dtype is None else replace(rules.how, dtype=dtype)
    assert seen == [(6, how, rules.steps_for(6), rules.augment, rules.mix)]


def test_progress_has_fractions_of_a_network_and_observers_have_none(monkeypatch):
    d, told, shown = data(), [], []
    monkeypatch.setattr("condensery.evaluation.evaluate.counted",
                        lambda label: nullcontext(lambda done, total: shown.append((done, total))))  # fmt: skip
    evaluate(chosen(d), d, TINY, short, 2, observe=lambda *given: told.append(given))
    assert told == [(1, 2), (2, 2)]
    steps = short(d).steps_for(6)
    evaluate(chosen(d), d, TINY, short, 2, seed=1)
    assert [done for done, _ in shown] == pytest.approx([i / steps for i in range(1, 2 * steps + 1)])


def test_a_loaded_set_is_measured_with_the_network_it_was_condensed_with():
    d = data()
    synthetic = chosen(d).synthetic
    loaded = Condensed(synthetic, d.class_names, {"name": "random", "net": record(TINY)}, 0, {})
    assert evaluate(loaded, d, protocol=short, repeats=1).net == TINY
    assert evaluate(loaded, d, protocol=short, repeats=1).runs == evaluate(loaded, d, TINY, short, 1).runs


def test_a_set_too_large_for_memory_is_decoded_minibatch_by_minibatch(monkeypatch):
    d, synthetic = data(), chosen(data())
    at_once = evaluate(synthetic, d, TINY, short, 1).runs
    monkeypatch.setattr("condensery.evaluation.evaluate.DECODED_BYTES", 1)
    monkeypatch.setattr("condensery.evaluation.evaluate.TensorRows", None)
    assert evaluate(synthetic, d, TINY, short, 1).runs == at_once


@pytest.mark.parametrize("rows", [1, 8, 20, 1000])
def test_rows_decoded_some_at_a_time_are_those_decoded_at_once(rows, monkeypatch):
    bases = torch.rand(3, 5, 1, 8, 8, generator=rng(0), dtype=torch.float64)
    labels = torch.randn(3, 5, 3, generator=rng(1), dtype=torch.float64)
    synthetic = SyntheticSet(bases, data().train.space, Uniform(2), labels)
    monkeypatch.setattr(DecodedRows, "AT_ONCE", rows)
    for some, all_ in zip(
        DecodedRows(synthetic).minibatches(7, rng(2)), TensorRows(synthetic()).minibatches(7, rng(2)), strict=True
    ):
        assert all(torch.equal(one, other) for one, other in zip(some, all_, strict=True))


def test_what_is_no_condensed_set_is_refused():
    d = data()
    for other in (chosen(d).synthetic, [], [d.train]):
        with pytest.raises(InputError, match="condense, run or load"):
            evaluate(other, d, TINY, short, repeats=1)


def test_a_protocol_may_be_named(brief):
    d = data()
    by_name = evaluate(chosen(d), d, TINY, "fixed-steps", repeats=2)
    assert by_name.runs == evaluate(chosen(d), d, TINY, protocols.PROTOCOLS["fixed-steps"], repeats=2).runs
    with pytest.raises(InputError, match="did you mean fixed-steps"):
        evaluate(chosen(d), d, TINY, "fixed-step", repeats=1)
    with pytest.raises(InputError, match=r"condensery\.dc2021"):
        evaluate(chosen(d), d, TINY, 5, repeats=1)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"repeats": 0}, "`repeats` must be a whole number of at least 1, got 0"),
        ({"repeats": -1}, "`repeats` must be a whole number of at least 1, got -1"),
        ({"seed": -1}, "`seed` must be a whole number of at least 0"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(wrong, words):
    d = data()
    with pytest.raises(InputError, match=words):
        evaluate(chosen(d), d, TINY, short, **wrong)


def test_data_without_test_rows_or_a_method_without_sets_are_refused():
    d = data()
    empty = replace(d, test=TestSet(d.test.images[:0], d.test.labels[:0], d.train.space, d.train.dtype, "cpu"))
    for measured in (lambda: evaluate(chosen(d), empty, TINY, short, 1), lambda: evaluate_whole(empty, TINY, short, 1)):
        with pytest.raises(InputError, match="blobs has no test rows"):
            measured()
    for wrong in ([], "runs/a", [d.train]):
        with pytest.raises(InputError, match="a: give a result of condense, run or load"):
            compare({"a": wrong}, d, TINY, short, 1)
    for wrong in (chosen(d), [chosen(d)]):
        with pytest.raises(InputError, match="compared by their names"):
            compare(wrong, d, TINY, short, 1)


def test_compare_has_a_row_a_method_and_the_whole_set():
    d = data()
    recipes = (CHOSEN["random"], LEARNED["dc 2"])
    sets = [(r.name, replace(condense(r, d.train), class_names=d.class_names), 1.5) for r in recipes]
    rows = compare(sets, d, TINY, short, repeats=2)
    assert [r.method for r in rows] == ["random", "dc", "whole (10 epochs)"]
    assert [r.seconds for r in rows] == [1.5, 1.5, 0.0]
    assert [r.floats for r in rows] == [2 * 3 * 64, 2 * 3 * 64, 31 * 64]
    assert rows[0].accuracy.runs == evaluate(sets[0][1], d, TINY, short, 2).runs
    assert rows[2].accuracy.runs == evaluate_whole(d, TINY, repeats=2).runs


@pytest.mark.parametrize("shape", [(4, 1, 1, 8, 8), (3, 1, 1, 9, 8), (3, 1, 3, 8, 8)])
def test_a_set_of_other_classes_or_shape_is_refused(shape):
    d = data()
    with pytest.raises(InputError, match=r"classes|rows are"):
        evaluate(named(SyntheticSet(torch.zeros(shape), d.train.space)), d, ConvNet(width=4))


@pytest.mark.parametrize("order", [(1, 2, 0), (2, 1, 0)])
def test_classes_are_those_of_the_same_names_whatever_their_order(order):
    ours = data()
    synthetic = Random(ipc=5).algorithm(ours.train).run()
    expected = evaluate(named(synthetic), ours, TINY, short, 2).runs
    names = tuple(ours.class_names[c] for c in order)
    moved = named(SyntheticSet(synthetic.bases.detach()[list(order)], synthetic.space), names)
    assert np.mean(evaluate(moved, ours, TINY, short, 2).runs) == pytest.approx(np.mean(expected), abs=0.15)
    assert np.mean(expected) > 0.5
    soft = torch.full((3, 5, 3), -20.0, dtype=torch.float64)
    soft[torch.arange(3), :, torch.arange(3)] = 20.0  # as good as the classes themselves
    labeled = named(SyntheticSet(moved.synthetic.bases.detach(), synthetic.space, None, soft), names)
    assert np.mean(evaluate(labeled, ours, TINY, short, 2).runs) == pytest.approx(np.mean(expected), abs=0.15)


def test_a_set_of_classes_with_other_names_is_refused():
    synthetic = Random(ipc=1).algorithm(data().train).run()
    with pytest.raises(InputError, match="class 'c' is in blobs but not in the condensed set"):
        evaluate(named(synthetic, ("a", "b", "d")), data(), TINY, short, 1)


def test_the_dropout_of_ones_own_network_follows_the_seed():
    d = data()

    def dropping(shape, classes):
        return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, classes))

    torch.manual_seed(1)
    first = evaluate(chosen(d), d, dropping, short, repeats=2)
    torch.manual_seed(2)
    assert evaluate(chosen(d), d, dropping, short, repeats=2).runs == first.runs


def test_batch_norm_on_a_last_minibatch_of_one_row_is_refused():
    d = data()

    def shrinking(shape, classes):
        return nn.Sequential(nn.Conv2d(1, 4, 8), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, classes))

    with pytest.raises(InputError, match="9 rows in minibatches of 8 leave one"):
        evaluate(chosen(d, ipc=3), d, shrinking, short, repeats=1)
    assert evaluate(chosen(d, ipc=4), d, shrinking, short, repeats=1).runs


class _Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


def updates(monkeypatch, most=None):
    """A list that grows with every update of a network; the evaluation is killed in update number `most`."""
    counted, step = [], torch.optim.SGD.step

    def counting(*given, **more):
        counted.append(1)
        if len(counted) == most:
            raise _Killed
        return step(*given, **more)

    monkeypatch.setattr(torch.optim.SGD, "step", counting)
    return counted


@pytest.fixture
def same_code(monkeypatch):
    monkeypatch.setattr(measuring, "code", lambda: "")


@pytest.mark.parametrize("killed_at", [1, 13, 30])
def test_an_evaluation_killed_at_any_update_goes_on_and_ends_with_the_same_accuracies(
    same_code, monkeypatch, tmp_path, killed_at
):
    d = data()
    sets = [chosen(d, seed=seed) for seed in (0, 1)]

    def twelve(*given):
        return replace(short(*given), steps=12, augment=Augmentation((Crop(0.2),)))

    monkeypatch.setattr(kept, "SECONDS", 0.0)
    with monkeypatch.context() as patched:
        patched.setenv("CONDENSERY_CACHE", "")
        every = updates(patched)
        expected = evaluate(sets, d, TINY, twelve, 2)
        assert len(every) == 4 * 12
    with monkeypatch.context() as patched:
        updates(patched, killed_at)
        with pytest.raises(_Killed):
            evaluate(sets, d, TINY, twelve, 2)
    for other in ({"seed": 1}, {"sets": sets[1]}, {"net": "mlp"}):  # do not go on with it, and leave it alone
        evaluate(**{"sets": sets, "data": d, "net": TINY, "protocol": twelve, "repeats": 1, **other})
    with monkeypatch.context() as patched:
        left = updates(patched)
        again = evaluate(sets, d, TINY, twelve, 2)
        assert len(left) == 4 * 12 - (killed_at - 1)
    assert (again.runs, again.confusion) == (expected.runs, expected.confusion)
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize("rows", [0, 450, 2000])
def test_no_network_is_trained_twice_by_the_same_code(rows, same_code, monkeypatch):
    """Whatever the number of `rows` from which it would pay to compile: a network is trained on 180."""

    def paying(network, shape, work):
        return "passes" if work >= rows else "plain"

    monkeypatch.setattr(measuring, "computing", paying)
    monkeypatch.setattr(measuring, "classifying", paying)
    d, counted = data(), updates(monkeypatch)
    first = evaluate(chosen(d), d, TINY, short, 2)
    three = evaluate(chosen(d), d, TINY, short, 3)
    assert len(counted) == 3 * 30
    assert three.runs[:2] == first.runs
    assert first.seconds < three.seconds
    one = evaluate(chosen(d), d, TINY, short, 1)
    assert one.runs == first.runs[:1]
    assert np.sum(one.confusion) == len(d.test)
    assert np.trace(one.confusion) == round(one.mean * len(d.test))
    sizes = np.bincount(d.test.labels.numpy())
    assert np.dot(one.of_classes, sizes) == pytest.approx(one.mean * len(d.test))
    assert evaluate([chosen(d), chosen(d, seed=1)], d, TINY, short, 1).runs[:1] == first.runs[:1]
    with pytest.raises(InputError, match="evaluate them one by one"):
        evaluate([chosen(d), chosen(d).subset(1)], d, TINY, short, 1)
    assert len(counted) == 4 * 30
    monkeypatch.setattr(measuring, "code", lambda: "other code")
    assert evaluate(chosen(d), d, TINY, short, 3).runs == three.runs
    assert len(counted) == 7 * 30


class _OwnNet(ConvNet):
    """A user's network."""


class _OwnCrop(Crop):
    """A user's operation."""


@pytest.mark.parametrize("other", ["protocol", "test labels", "environment", "seed", "net"])
def test_a_network_that_anything_else_determines_is_trained(same_code, monkeypatch, other):
    d, counted = data(), updates(monkeypatch)
    evaluate_whole(d, TINY, short, 1)
    evaluate_whole(d, TINY, short, 1)
    assert len(counted) == (before := len(counted)) > 0
    given = {"data": d, "net": TINY, "protocol": short, "repeats": 1}
    if other == "protocol":
        given["protocol"] = lambda *of: replace(short(*of), how=replace(short(*of).how, lr=0.06))
    elif other == "test labels":
        test = TestSet(d.test.images, d.test.labels.flip(0), d.test.space, d.test.dtype, d.test.device)
        given["data"] = replace(d, test=test)
    elif other == "environment":
        monkeypatch.setattr(measuring, "environment", lambda device: {"processor": "another"})
    else:
        given |= {"seed": 1} if other == "seed" else {"net": replace(TINY, width=5)}
    evaluate_whole(**given)
    assert len(counted) == 2 * before


@pytest.mark.parametrize("own", ["network", "schedule", "always", "one of"])
def test_nothing_is_kept_of_code_that_may_have_changed(same_code, monkeypatch, own):
    d, counted = data(), updates(monkeypatch)
    net = _OwnNet(width=4, depth=1) if own == "network" else TINY

    def rules(*given):
        usual = short(*given)
        if own == "schedule":
            return replace(usual, how=replace(usual.how, schedule=lambda progress: 1.0))
        each = {"always": {"always": (_OwnCrop(0.2),)}, "one of": {"one_of": (Crop(0.1), _OwnCrop(0.2))}}
        return replace(usual, augment=Augmentation(**each[own])) if own in each else usual

    for times in (1, 2):
        evaluate(chosen(d), d, net, rules, 1)
        assert len(counted) == 30 * times


def test_an_evaluation_carries_on_where_nothing_can_be_kept(same_code, monkeypatch, tmp_path):
    d, expected = data(), None
    (tmp_path / "file").touch()
    monkeypatch.setattr(kept, "SECONDS", 0.0)
    for cache in ("", str(tmp_path / "file"), str(tmp_path / ("x" * 300)), str(tmp_path / "folder")):
        monkeypatch.setenv("CONDENSERY_CACHE", cache)
        reached = evaluate(chosen(d), d, TINY, short, 2)
        assert expected is None or reached.runs == expected
        expected = reached.runs


@pytest.mark.parametrize("wrong", ["", "[]", "{}", "[" * 10**5, "other", "fewer rows", "other classes", "no pairs"])
def test_kept_accuracies_that_cannot_be_used_are_measured_again(tmp_path, wrong):
    d = data()
    expected = evaluate_whole(d, TINY, short, 1)
    (file,) = (tmp_path / "cache" / "evaluations").iterdir()
    content = json.loads(file.read_text())
    (network,) = content["networks"]
    changed = {
        "other": {"about": "another evaluation"},
        "fewer rows": {"networks": [{**network, "counts": [1] * len(network["counts"])}]},
        "other classes": {"networks": [{**network, "places": [9] * len(network["counts"])}]},
        "no pairs": {"networks": [{**network, "places": [0], "counts": [30, 1]}]},
    }
    file.write_text(json.dumps({**content, **changed[wrong]}) if wrong in changed else wrong)
    again = evaluate_whole(d, TINY, short, 1)
    assert (again.runs, again.confusion) == (expected.runs, expected.confusion)
    assert json.loads(file.read_text())["networks"][0]["counts"] == network["counts"]
