"""MDC: the adaptive subset loss, what it chooses, what it freezes."""

from itertools import pairwise

import pytest
import torch
from conftest import blobs
from lists import DECODERS, NETS, OBJECTIVES, TINY, over

from condensery.algorithms.matching import Matching
from condensery.algorithms.samplers import Uniform
from condensery.algorithms.schedules import Fresh
from condensery.data import Batch
from condensery.errors import InputError
from condensery.evaluation.training import TensorRows, Training, accuracy, fit
from condensery.kernels.compiling import during
from condensery.networks.net import build
from condensery.networks.network import initial
from condensery.objectives import AdaptiveSubset, DistributionMatching, GradientMatching
from condensery.objectives.distances import squared_euclidean
from condensery.objectives.subset import FeatureDistance, GradientDistance, Metric, SubsetAccuracy
from condensery.randomness import rng
from condensery.recipes import DC, DM, DREAM, DSA, IDC, KFS, MDC, Random
from condensery.synthetic import SyntheticSet, noise


def made(decoder="pixels", ipc=4):
    real = blobs()
    decoder = DECODERS[decoder](real.shape, ipc)
    rows = noise(real, decoder.initial_rows(ipc) if decoder else ipc, 0)
    return real, SyntheticSet.from_rows(rows, real.space, decoder)


def place(net, real, key=0):
    return initial(build(net, real.shape, real.classes).double(), rng(key)).with_statistics_of(real.read(slice(0, 9)))


def rows(real, n):
    return real.sample(n, range(real.classes), lambda c: rng(0, "rows", c))


class Told(Metric):
    """Figures as a test has them, (C, N - 1) or (N - 1,) after every period."""

    def __init__(self, *figures):
        self.figures = [torch.tensor(f, dtype=torch.float64) for f in figures]

    def trained(self, synthetic):
        return self.figures.pop(0)


def choices(figures, **fields):
    """Subset and frozen of class 0 (or of all, class-wise) after every period."""
    _, synthetic = made()
    objective = AdaptiveSubset(GradientMatching(), synthetic, Told(*figures), 1, 1, 1, **fields)
    said = [objective.after() for _ in figures]
    assert synthetic.frozen.tolist() == said[-1]["frozen"]
    return [(s["subset"], s["frozen"]) for s in said]


def test_the_subset_is_what_moved_most_up_or_down_and_the_first_is_one_image():
    said = choices([[9, 5, 1], [8, 3, 1], [8, 3, 4], [3, 3, 4]])
    assert [s[0] for s, _ in said] == [1, 2, 3, 1]


def test_what_was_replaced_stays_while_something_larger_is_learned():
    said = choices([[9, 9, 9], [9, 9, 8], [9, 8, 8], [8, 8, 8], [8, 7, 7.5]])
    assert [(s[0], f[0]) for s, f in said] == [(1, 0), (3, 1), (2, 1), (1, 0), (2, 1)]
    said = choices([[9, 9, 9], [9, 8, 9], [9, 8, 8], [9, 8, 8]])
    assert [(s[0], f[0]) for s, f in said] == [(1, 0), (2, 1), (3, 2), (1, 0)]
    assert all(f[0] == 0 for _, f in choices([[9, 9, 9], [9, 9, 8], [9, 8, 8]], freeze=False))


def test_every_class_may_choose_for_itself():
    figures = [[[9, 9, 9]] * 3, [[8, 9, 9], [9, 8, 9], [9, 9, 8]]]
    assert choices(figures, class_wise=True)[-1] == ([1, 2, 3], [0, 1, 1])
    noisy = [[[9, 9, 9]] * 3, [[4, 8, 9], [14, 8, 9], [9, 8, 9]]]  # what cancels out between classes is no change
    assert choices(noisy)[-1][0] == [2, 2, 2]
    figures[1][0] = [9, 9, 6]
    assert choices(figures)[-1] == ([3, 3, 3], [1, 1, 1])


@over(OBJECTIVES)
@pytest.mark.parametrize("decoder", ["pixels", "uniform 2", "bound", "codes x decoders"])
@pytest.mark.parametrize("computing", ["plain", "passes"])
def test_the_loss_is_the_wholes_and_the_subsets_in_one_pass(part, decoder, computing):
    real, synthetic = made(decoder)
    point = place(TINY, real)
    base = part()
    objective = AdaptiveSubset(base, synthetic, None, 1, 1, 1)
    objective.state["subset"].copy_(torch.tensor([1, 2, 3]))
    with during(computing):
        target = objective.target(point, rows(real, 5))
        losses = objective.loss(point, synthetic(), target)
        losses.sum().backward()
        gradients = [p.grad.clone() for p in synthetic.parameters()]
        synthetic.zero_grad()
        expected = base.loss(point, synthetic(), target)
        for c, n in enumerate((1, 2, 3)):
            expected = expected + torch.eye(3)[c] * base.loss(point, synthetic(images=n), target)
        expected.sum().backward()
    assert torch.allclose(losses, expected, atol=1e-9)
    for ours, theirs in zip(gradients, synthetic.parameters(), strict=True):
        assert torch.allclose(ours, theirs.grad, atol=1e-9)


@over(OBJECTIVES)
def test_filled_chunks_say_the_same(part):
    real = blobs()
    point, x = place(NETS["convnet instance"], real), rows(real, 7)
    with during("passes"):
        for sizes in ([2], [8], [2, 3], [1, 4]):
            divided = part().divided([0, 3, 7])
            divided.sizes = sizes
            for ours, theirs in zip(divided.statistic(point, x), part().statistic(point, x), strict=True):
                assert torch.allclose(ours, theirs, atol=1e-9)


@pytest.mark.parametrize("computing", ["plain", "passes"])
@pytest.mark.parametrize("decoder", ["uniform 2", "bound"])
def test_the_metrics_are_distances_of_the_first_rows(decoder, computing):
    real, synthetic = made(decoder)
    point, x = place(TINY, real), rows(real, 5)
    gradients, features = GradientMatching(squared_euclidean), DistributionMatching()
    for metric, objective in ((FeatureDistance(), features), (GradientDistance(gradients), gradients)):
        ends = AdaptiveSubset(gradients, synthetic, metric, 1, 1, 1).ends
        with torch.no_grad():
            batch = synthetic()
        with during(computing):
            found = metric.at(point, batch, ends, metric.target(point, x))
        assert found.shape == (3, 3)
        for n in (1, 2, 3):
            expected = objective.loss(point, batch.rows(slice(ends[n])), objective.target(point, x))
            assert torch.allclose(found[:, n - 1], expected, atol=1e-9)


def test_accuracies_are_those_of_networks_trained_on_the_subsets():
    real, synthetic = made()
    learn, held = real.split(0.3, 0)
    network, how = build(TINY, real.shape, 3).double(), Training(0.1)
    found = SubsetAccuracy(network, held, how, 5, seed=0).trained(synthetic)
    with torch.no_grad():
        subset = TensorRows(synthetic(images=2))
    key = ("subset", 2)
    expected = accuracy(fit(initial(network, rng(0, *key)), subset, how, 5, 0, key), held)
    assert found.shape == (1, 3)
    assert found[0, 1] == expected
    assert len(learn) + len(held) == len(real)


def test_figures_are_means_over_the_end_of_a_period():
    real, synthetic = made()
    seen = []

    class Counted(Metric):
        def at(self, point, synthetic, ends, target):
            seen.append(point.outer)
            return torch.full((1, 3), float(point.outer), dtype=torch.float64)

    objective = AdaptiveSubset(DistributionMatching(), synthetic, Counted(), period=6, first=3, window=2)
    said = {}
    Matching(
        real, synthetic, Fresh(build(TINY, real.shape, 3).double(), 12, 0), Uniform(4), objective,
        torch.optim.SGD(synthetic.parameters(), 0.1), 0,
    ).run(
        observe=lambda step: said.update({step.done: step.said["scores"][0][0]} if "scores" in step.said else {}),
    )  # fmt: skip
    assert sorted(set(seen)) == [1, 2, 4, 5, 10, 11]
    assert said == {3: 1.5, 6: 4.5, 12: 10.5}


OPTIMIZERS = {
    "momentum": lambda p: torch.optim.SGD(p, 0.5, 0.9),
    "adam": lambda p: torch.optim.Adam(p, 0.1),
    "weight decay": lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.5),
}


@over(OPTIMIZERS)
@pytest.mark.parametrize("decoder", ["pixels", "multi-scale", "learnable", "codes x decoders"])
def test_frozen_rows_are_the_same_to_the_bit_after_100_steps(part, decoder):
    _, synthetic = made(decoder)
    optimizer = part(list(synthetic.parameters()))
    frozen = torch.tensor([0, 1, 3])

    def steps(count):
        for _ in range(count):
            optimizer.zero_grad()
            synthetic().x.square().mean().backward()
            with synthetic.held():
                optimizer.step()
                synthetic.clamp()

    steps(3)  # so that there is momentum
    synthetic.frozen.copy_(frozen)
    with torch.no_grad():
        before, bases = synthetic().x, synthetic.bases.clone()
        ends = [0, *(synthetic(images=n).y.shape[1] for n in range(1, 5))]
    steps(100)
    with torch.no_grad():
        after = synthetic().x
    for c, n in enumerate(frozen.tolist()):
        assert torch.equal(after[c, : ends[n]], before[c, : ends[n]])
        assert (synthetic.bases[c, n:] != bases[c, n:]).any()


FREEZING = {
    "dc": DC(ipc=3, outer_steps=6, network_epochs=1, real_rows=6, net=TINY, clamp=True),
    "dm": DM(ipc=3, steps=20, real_rows=6, net=TINY),
    "idc": IDC(ipc=3, outer_steps=10, inner_steps=2, real_rows=6, optimizer="adam", early_epochs=0, net=TINY),
    "kfs": KFS(channels=(3,), decoders=2, ipc=3, steps=20, pretraining=9, net=TINY),
}


@over(FREEZING)
def test_a_recipe_freezes_what_its_rule_says(part):
    real = blobs()
    images = []
    algorithm = MDC(part, fraction=0.1, window=3).algorithm(real)
    algorithm.run(observe=lambda s: images.append((s.said, s.synthetic.bases.detach().clone())))
    frozen = torch.zeros(3, dtype=torch.long)
    held = 0
    for (said, after), (_, before) in zip(images[1:], images, strict=False):
        for c, n in enumerate(frozen.tolist()):
            assert torch.equal(after[c, :n], before[c, :n])
            held += n
        if "frozen" in said:
            frozen = torch.tensor(said["frozen"])
    assert held


@pytest.mark.parametrize(
    ("fields", "freezes", "learned"),
    [({}, True, False), ({"shared_decoder": "learned"}, True, True), ({"freeze": False}, False, True)],
    ids=str,
)
def test_the_fields_say_what_is_frozen_and_whether_the_decoder_is(fields, freezes, learned):
    seen = []

    def observe(step):
        weights = [p.detach().flatten() for p in step.synthetic.decoder.parameters()]
        seen.append((bool(step.synthetic.frozen.any()), torch.cat(weights)))

    MDC(FREEZING["kfs"], fraction=0.1, window=3, **fields).algorithm(blobs()).run(observe=observe)
    assert any(frozen for frozen, _ in seen) == freezes
    moved = {not torch.equal(a, b) for (frozen, a), (_, b) in pairwise(seen) if frozen == freezes}
    assert moved == {learned}


@over({kind.name: kind for kind in (DC, DSA, DM, IDC)})
def test_one_image_has_no_smaller_sizes(part):
    with pytest.raises(InputError, match="at least two stored images or codes"):
        MDC(part(ipc=1, net=TINY)).algorithm(blobs())


def test_one_code_has_no_smaller_sizes():
    with pytest.raises(InputError, match="at least two stored images or codes"):
        MDC(KFS(channels=(4,), decoders=1, ipc=1, net=TINY)).algorithm(blobs())


def test_a_run_too_short_for_a_choice_is_refused():
    with pytest.raises(InputError, match="choose its first subset after 200 steps, but the run has only 10"):
        MDC(DC(ipc=2, outer_steps=5, net=TINY)).algorithm(blobs())
    MDC(DC(ipc=2, outer_steps=1, real_rows=4, net=TINY), compare=False).algorithm(blobs()).run()


@pytest.mark.parametrize(
    ("inner", "period", "window", "first"), [(1, 30, 10, 10), (1, 15, 10, 15), (4, 2, 3, 4), (4, 2, 8, 8)]
)
def test_no_step_counts_in_two_scores(inner, period, window, first):
    assert MDC(DC(ipc=2), period=period, window=window).moments(100, inner) == (inner * period, first, window)


@pytest.mark.parametrize(
    ("inner", "window", "ages"),
    [
        (4, 3, {0: {1, 2, 3}, 1: {1, 2, 3}, 3: {1, 2, 3}}),
        (3, 5, {0: {1, 2}, 1: {0, 1, 2}, 2: {1, 2}, 3: {0, 1, 2}, 4: {1, 2}}),
    ],
)
def test_figures_come_from_networks_of_one_age(inner, window, ages, monkeypatch):
    seen = {}
    at = FeatureDistance.at

    def noted(self, point, *arguments):
        seen.setdefault(point.outer, set()).add(point.inner)
        return at(self, point, *arguments)

    monkeypatch.setattr(FeatureDistance, "at", noted)
    base = DC(ipc=3, outer_steps=5, inner_steps=inner, network_epochs=0, real_rows=4, net=TINY)
    MDC(base, period=2, window=window).algorithm(blobs()).run()
    assert seen == ages


def test_nothing_is_held_out_where_nothing_is_chosen():
    base = DC(ipc=2, outer_steps=1, real_rows=4, net=TINY)
    learned = [
        MDC(base, metric=metric, compare=False).algorithm(blobs()).run().bases.detach()
        for metric in ("features", "accuracy")
    ]
    assert torch.equal(*learned)


def test_a_frozen_row_is_not_projected_either():
    real, synthetic = made()
    synthetic.frozen.copy_(torch.tensor([0, 1, 3]))
    before = synthetic.bases.detach().clone()

    @torch.no_grad()
    def shift(some):
        some.bases.add_(1)

    Matching(
        real, synthetic, Fresh(build(TINY, real.shape, 3).double(), 2, 0), Uniform(4), DistributionMatching(),
        torch.optim.SGD(synthetic.parameters(), 0.1), 0, project=shift,
    ).run()  # fmt: skip
    for c, n in enumerate((0, 1, 3)):
        assert torch.equal(synthetic.bases[c, :n], before[c, :n])
        assert (synthetic.bases[c, n:] - before[c, n:]).mean() > 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: MDC(DC(), fraction=0.6), "fraction` must be a number above 0"),
        (lambda: MDC(DC(), period=0), "period` must be a whole number of at least 1"),
        (lambda: MDC(DC(), period=2, fraction=0.1), "None for the other"),
        (lambda: MDC(DC(), metric="loss"), "got 'loss'"),
        (lambda: MDC(DC(), metric="accuracy", class_wise=True), "one score for all classes"),
        (lambda: MDC(DC(ipc=2, init="real", learn="labels", net=TINY)).algorithm(blobs()), "only labels are learned"),
        (lambda: MDC("dc"), "base` must be a Recipe"),
        (lambda: MDC(DREAM(MDC(DC()))), "applied twice"),
        (lambda: MDC(Random(ipc=2)).algorithm(blobs()), "cannot wrap random"),
        (
            lambda: DREAM(IDC(ipc=1, net=TINY), candidates=10).algorithm(blobs()),
            "candidates=10` is below `real_rows=64`",
        ),
        (lambda: DREAM(KFS(channels=(3,), net=TINY)).algorithm(blobs()), "kfs matches the same ones"),
        (
            lambda: DREAM(KFS(ipc=40, channels=(3,), real_rows=4, net=TINY)).algorithm(blobs()),
            "of a class from as many clusters",
        ),
    ],
)
def test_bad_fields_are_refused(wrong, words):
    with pytest.raises(InputError, match=words):
        wrong()


def test_outside_its_windows_it_asks_of_real_rows_what_its_base_asks():
    _, synthetic = made()
    base = DistributionMatching()
    objective = AdaptiveSubset(base, synthetic, FeatureDistance(), period=5, first=1, window=1)
    assert objective.of_real != base.of_real
    again = AdaptiveSubset(DistributionMatching(), synthetic, FeatureDistance(), period=5, first=1, window=1)
    assert objective.of_real == again.of_real  # a name that another run knows
    objective.after()
    assert objective.of_real == base.of_real


def test_kept_means_are_known_by_what_is_asked_of_real_rows_alone():
    of_real = DistributionMatching().of_real
    assert DistributionMatching(part=4, synthetic_dtype=torch.bfloat16).of_real == of_real
    assert DistributionMatching(real_dtype=torch.bfloat16).of_real != of_real
    assert DistributionMatching(chunk=7).of_real != of_real


def test_kept_means_are_known_by_what_a_function_is_and_not_by_its_name_alone():
    def above(axes):
        return lambda name, parameter: parameter.ndim > axes

    matches = [
        lambda name, parameter: True,
        lambda name, parameter: parameter.ndim > 1,
        above(1),
        above(2),
    ]
    assert len({GradientMatching(match=match).of_real for match in matches}) == len(matches)
    assert GradientMatching(match=above(1)).of_real == GradientMatching(match=above(1)).of_real
    mine = type("GradientMatching", (GradientMatching,), {})
    assert mine().of_real != GradientMatching().of_real


def test_only_is_some_classes_of_a_batch():
    batch = Batch(torch.arange(6.0).reshape(3, 2, 1, 1, 1), torch.arange(3)[:, None].expand(3, 2))
    assert batch.only(slice(1, 2)).x.flatten().tolist() == [2, 3]
    assert batch.only(slice(1, 2)).y.tolist() == [[1, 1]]


def test_learned_labels_freeze_with_their_images():
    real = blobs()
    rows_, labels = noise(real, 3, 0), torch.zeros(3, 3, 3, dtype=torch.float64)
    synthetic = SyntheticSet.from_rows(rows_, real.space, labels=labels)
    synthetic.frozen.fill_(2)
    with synthetic.held(), torch.no_grad():
        synthetic.labels += 1
        synthetic.bases += 1
    assert (synthetic.labels[:, :2] == 0).all()
    assert (synthetic.labels[:, 2:] == 1).all()
    assert torch.equal(synthetic.bases[:, :2], rows_[:, :2])


def test_a_shared_decoder_stands_still_unless_told_to_go_on():
    for decoder_freezes in (True, False):
        _, synthetic = made("codes x decoders")
        synthetic.frozen.fill_(1)
        synthetic.decoder_freezes = decoder_freezes
        before = [p.detach().clone() for p in synthetic.decoder.parameters()]
        with synthetic.held(), torch.no_grad():
            for p in synthetic.parameters():
                p += 1
        moved = [not torch.equal(p, q) for p, q in zip(synthetic.decoder.parameters(), before, strict=True)]
        assert not any(moved) if decoder_freezes else all(moved)
