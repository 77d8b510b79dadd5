"""Intervals, differences, and what a set gains over random images."""

from dataclasses import replace
from math import e

import numpy as np
import pytest
import torch
from lists import TINY
from test_evaluation import chosen, data, short

from condensery.augment import Augmentation, Crop
from condensery.data import TestSet
from condensery.errors import InputError
from condensery.evaluation import protocols
from condensery.evaluation.evaluate import Accuracy, evaluate, evaluate_whole
from condensery.evaluation.scores import scores
from condensery.evaluation.statistics import difference, half_width
from condensery.networks.names import named
from condensery.networks.net import record
from condensery.randomness import rng
from condensery.synthetic import SyntheticSet


def draws(seed, n, mean=0.0):
    return (mean + torch.randn(n, generator=rng(seed, "draws"))).tolist()


def test_nineteen_of_twenty_intervals_hold_the_mean():
    held = [abs(np.mean(x)) <= half_width(x) for x in (draws(i, 5) for i in range(2000))]
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)
    assert half_width([0.3]) is None


@pytest.mark.parametrize("others", [5, 8])
def test_a_difference_that_is_not_there_is_rarely_significant(others):
    paired = others == 5
    seen = [difference(draws((i, 0), 5), draws((i, 1), others), paired).significant for i in range(1000)]
    assert np.mean(seen) == pytest.approx(0.05, abs=0.02)
    seen = [difference(draws((i, 0), 5, 5.0), draws((i, 1), others), paired).significant for i in range(100)]
    assert np.mean(seen) > 0.95


def test_pairs_find_a_difference_that_is_smaller_than_the_spread():
    spread = [0.1, 0.5, 0.3, 0.9, 0.7]
    better = [s + 0.02 + 0.001 * i for i, s in enumerate(spread)]
    assert difference(better, spread, paired=True).significant
    assert not difference(better, spread, paired=False).significant
    assert str(difference(better, spread, paired=True)) == "+2.2"
    assert str(difference([0.5], [0.6], paired=True)) == "?-10.0"


def test_what_is_independent_is_a_network_of_one_set_and_a_set_of_several():
    runs = (0.5, 0.6, 0.7, 0.8)
    assert Accuracy(runs, "", TINY, 0.0).independent == runs
    assert Accuracy(runs, "", TINY, 0.0, sets=2).independent == pytest.approx((0.55, 0.75))
    assert Accuracy(runs, "", TINY, 0.0, sets=2).std == pytest.approx(np.std(runs))
    assert Accuracy(runs, "", TINY, 0.0).minus(Accuracy(runs, "", TINY, 0.0)).mean == 0


def test_networks_of_one_set_are_not_paired_with_the_means_of_several():
    networks = Accuracy((0.1, 0.5, 0.9), "", TINY, 0.0)
    sets = Accuracy((0.0, 0.1, 0.4, 0.5, 0.8, 0.9), "", TINY, 0.0, sets=3)
    assert not networks.minus(sets).significant  # in pairs, the difference would be 0.05 each time
    less = (0.05, 0.05, 0.06, 0.06, 0.05, 0.05)
    assert sets.minus(replace(sets, runs=tuple(np.subtract(sets.runs, less)))).significant
    assert sets.minus(replace(sets, runs=tuple(run - 0.05 for run in sets.runs))).significant is None


def of_bytes(d):
    """The same data as 8-bit images."""
    train, test = (part._with(images=(part.images * 255).round().byte()) for part in (d.train, d.train))
    return replace(d, train=train, test=TestSet(test.images, test.labels, test.space, test.dtype, test.device))


def of_floats(d, ipc, seed=0):
    """Random images, stored in float64 as learned ones are."""
    found = chosen(d, ipc, seed)
    rows = found.synthetic().x.detach()
    return replace(found, synthetic=SyntheticSet.from_rows(rows, d.train.space))


def test_scores_are_differences_to_random_images_of_the_same_storage():
    d = of_bytes(data())
    ours = of_floats(d, ipc=1, seed=3)
    found = scores(ours, d, TINY, short, repeats=2)
    assert found.images == (1, 8)  # the set is stored in float64
    assert found.ours.runs == evaluate(ours, d, TINY, short, 2).runs
    assert found.floats.runs == evaluate(chosen(d, ipc=1), d, TINY, short, 2).runs
    assert found.bytes.runs == evaluate(chosen(d, ipc=8), d, TINY, short, 2).runs
    assert len({found.ours.mean, found.floats.mean, found.bytes.mean}) == 3
    assert found.ior.mean == pytest.approx(found.ours.mean - found.floats.mean)
    assert found.ior_bytes.mean == pytest.approx(found.ours.mean - found.bytes.mean)
    assert found.hlr == pytest.approx(found.whole.mean - found.ours.mean)
    assert found.lrs == pytest.approx((np.exp((found.ior.mean - found.hlr) / 2) - 1 / e) / (e - 1 / e))
    assert found.ours_plain == found.ours  # the protocol has no augmentation to leave out
    assert 0 <= found.ars <= 1


def test_scores_are_measured_without_augmentation_too(monkeypatch):
    d = data()

    def augmented(*given):
        return replace(short(*given), augment=Augmentation((Crop(0.3),)))

    monkeypatch.setitem(protocols.PROTOCOLS, "fixed-steps", short)
    given = (augmented, "fixed-steps")  # a protocol, and the name of one
    found, plain = (scores(chosen(d, ipc=1, seed=3), d, TINY, rules, 1, whole=False) for rules in given)
    assert found.ours_plain.protocol == "short, no augmentation"
    assert found.ours_plain.runs == plain.ours.runs != found.ours.runs
    assert found.bytes_plain.runs == plain.bytes.runs
    gain = found.ior.mean + found.ours_plain.minus(found.floats_plain).mean
    assert found.ars == pytest.approx((np.exp(gain / 2) - 1 / e) / (e - 1 / e))


def test_scores_measure_a_set_of_batch_norm_in_the_network_that_evaluate_takes():
    d, net = data(), replace(TINY, norm="batch")
    ours = replace(chosen(d, ipc=1), recipe={**chosen(d, ipc=1).recipe, "net": record(net)})

    def rules(data, condensed=None, net=None):
        return replace(short(data, condensed, net), batch_norm=False)

    found = scores(ours, d, None, rules, repeats=1, whole=False)
    assert {reached.net for reached in found.accuracies.values()} == {replace(TINY, norm="instance")}


def test_scores_without_the_whole_set_and_of_too_many_images():
    d = of_bytes(data())
    found = scores(chosen(d, ipc=1), d, TINY, short, repeats=1, whole=False)
    assert found.images == (1, 1)
    assert (found.whole, found.hlr, found.lrs) == (None, None, None)
    with pytest.raises(InputError, match="give a smaller subset"):
        scores(of_floats(d, ipc=2), d, TINY, short, repeats=1)


def test_the_whole_set_is_trained_once(monkeypatch):
    d = data()

    def own(shape, classes):
        return named("mlp").network(shape, classes)

    first = evaluate_whole(d, TINY, short, repeats=2)
    evaluate_whole(d, own, short, repeats=2)
    trained = []
    from condensery.evaluation import evaluate as module

    monkeypatch.setattr(module, "fit", lambda *given, **more: trained.append(given) or pytest.fail("trained again"))
    assert evaluate_whole(d, TINY, short, repeats=2).runs == first.runs
    assert evaluate_whole(d, TINY, short, repeats=1).runs == first.runs[:1]
    for changed in ({"seed": 1}, {"net": "mlp"}, {"data": data("SVHN").validation(0.3)}, {"repeats": 3}):
        with pytest.raises(pytest.fail.Exception):
            evaluate_whole(**{"data": d, "net": TINY, "protocol": short, "repeats": 2, **changed})

    with pytest.raises(pytest.fail.Exception):  # what the function does may have changed
        evaluate_whole(d, own, short, repeats=2)
    monkeypatch.setenv("CONDENSERY_CACHE", "")
    with pytest.raises(pytest.fail.Exception):
        evaluate_whole(d, TINY, short, repeats=2)
