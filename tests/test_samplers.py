"""Rows without repetition (IDC), and rows that stand for clusters (DREAM)."""

from dataclasses import replace

import pytest
import torch
from conftest import blobs
from lists import TINY

from condensery.algorithms.clustering import representatives
from condensery.algorithms.samplers import Epochwise, Representative, Whole, clustered
from condensery.errors import InputError, RunError
from condensery.networks.net import build
from condensery.networks.network import initial
from condensery.objectives import DistributionMatching
from condensery.randomness import rng


def test_every_cluster_has_its_row():
    centers = torch.tensor([[0.0, 0.0], [50.0, 0.0], [0.0, 50.0], [50.0, 50.0]])
    x = (centers[:, None] + torch.randn(4, 30, 2, generator=rng(0))).flatten(0, 1)
    chosen = representatives(x, 4, rng(1))
    assert sorted((chosen // 30).tolist()) == [0, 1, 2, 3]
    for pick in chosen.tolist():  # not any row of the cluster: one near its middle
        own = x[pick // 30 * 30 :][:30]
        assert (x[pick] - own.mean(0)).norm() < (own - own.mean(0)).norm(dim=1).median()


def test_rows_differ_and_the_same_draw_gives_the_same():
    x = torch.randn(40, 3, generator=rng(0)).round()  # many rows coincide
    chosen = representatives(x, 20, rng(1))
    assert len(set(chosen.tolist())) == 20
    assert torch.equal(chosen, representatives(x, 20, rng(1)))
    assert not torch.equal(chosen, representatives(x, 20, rng(2)))


def test_where_there_are_too_few_rows_all_are_taken_again_and_again():
    chosen = representatives(torch.randn(3, 2, generator=rng(0)), 7, rng(1)).tolist()
    assert sorted(chosen[:3]) == sorted(chosen[3:6]) == [0, 1, 2]


def test_what_is_not_finite_is_refused():
    with pytest.raises(RunError, match="not finite"):
        representatives(torch.full((5, 2), torch.nan), 2, rng(0))


def place(real, inner=0, outer=0):
    point = initial(build(TINY, real.shape, real.classes).double(), rng(0))
    return type(point)(point.network, point.params, point.buffers, outer=outer, inner=inner)


def draw(c):
    return rng(0, "draw", c)


def test_representatives_are_of_their_class_and_found_in_the_embedding():
    real = blobs()
    index = clustered(place(real), real, [2, 0], 3, None, draw)
    assert torch.equal(real.labels[index], torch.tensor([[2] * 3, [0] * 3]))
    for row, c in zip(index, (2, 0), strict=True):
        part = real.rows(c)
        x = place(real).embeddings(real.space.unit(real.read(part))).detach()
        assert torch.equal(row, part.start + representatives(x, 3, draw(c)))
    assert len(set(clustered(place(real), real, [0], 5, 4, draw)[0].tolist())) == 5  # no image twice
    some = clustered(place(real), real, [0], 3, 4, draw)
    assert set((some - real.rows(0).start).flatten().tolist()) <= set(
        torch.randperm(real.sizes[0], generator=draw(0))[:4].tolist()
    )


def test_clusters_are_found_anew_every_few_points():
    real, sampler = blobs(), Representative(3, 2, None, 3)
    seen = []
    for inner in range(4):
        point = place(real, inner)
        for name, p in point.params.items():  # the network moves
            point.params[name] = p + inner * torch.randn(p.shape, generator=rng(inner, name)).double()
        sampler.target(DistributionMatching(), point, real, range(3), lambda c, i=inner: rng(i, c))
        seen.append(sampler.state["chosen"].clone())
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[2], seen[3])
    assert not torch.equal(seen[1], seen[2])


def test_an_epoch_of_picks_has_no_row_twice_and_the_next_another_order():
    real = blobs(sizes=(13, 4, 6))
    sampler, picks = Epochwise(rows=3, inner=2, seed=0), {0: [], 1: [], 2: []}
    for outer in range(4):
        for inner in range(2):
            together = sampler.pick(place(real, inner, outer), real, range(3), draw)
            for c in range(3):  # a class has the same rows in any company
                alone = sampler.pick(place(real, inner, outer), real, [c], draw)
                assert torch.equal(alone.x[0], together.x[c])
                picks[c].append({tuple(row.flatten().tolist()) for row in alone.x[0]})
    assert all(len(pick) == 3 for c in picks for pick in picks[c])
    for c, an_epoch in ((0, 4), (1, 1), (2, 2)):
        epochs = [picks[c][i : i + an_epoch] for i in range(0, 8, an_epoch)]
        assert all(len(set().union(*epoch)) == 3 * an_epoch for epoch in epochs)
        assert epochs[0] != epochs[1]


def test_a_class_with_too_few_rows_repeats_them():
    real = blobs(sizes=(13, 4, 6))
    rows = Epochwise(rows=7, inner=2, seed=0).pick(place(real), real, [1], draw).x[0]
    assert len(rows) == 7
    assert len({tuple(row.flatten().tolist()) for row in rows}) == 4


def test_clusters_are_of_pixels_that_are_not_normalized():
    real = blobs(sizes=(13, 14, 16))
    elsewhere = real.normalized_by(replace(real.space, mean=(0.9,), std=(0.01,)))
    a, b = (clustered(place(real), data, range(3), 4, None, draw) for data in (real, elsewhere))
    assert torch.equal(a, b)


def test_means_at_points_that_come_back_are_computed_once():
    real, calls = blobs(), []

    class Counting(DistributionMatching):
        def target(self, point, rows):
            calls.append(1)
            return super().target(point, rows)

    network = build(TINY, real.shape, 3).double()
    points = [initial(network, rng(0, i)) for i in range(3)]
    sampler, objective = Whole(points=3), Counting()
    first = [sampler.target(objective, point, real, range(3), rng)[0] for point in points]
    computed = len(calls)
    again = [sampler.target(objective, point, real, range(3), rng)[0] for point in points]
    assert len(calls) == computed > 0
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_means_of_another_statistic_do_not_push_out_those_that_come_back():
    real, calls = blobs(), []

    class Counting(DistributionMatching):
        of_real = "means"

        def target(self, point, rows):
            calls.append(1)
            return super().target(point, rows)

    class Other(Counting):
        of_real = "means, and more"

    network = build(TINY, real.shape, 3).double()
    points = [initial(network, rng(0, i)) for i in range(3)]
    sampler = Whole(points=3)
    for objective in (Counting(), Other()):
        for point in points:
            sampler.target(objective, point, real, range(3), rng)
    computed = len(calls)
    for point in points:
        sampler.target(Counting(), point, real, range(3), rng)
    assert len(calls) == computed > 0


def test_whole_keeps_no_more_points_than_there_is_memory_for(monkeypatch):
    real = blobs()
    point = initial(build(TINY, real.shape, 3).double(), rng(0))
    monkeypatch.setenv("CONDENSERY_LIMIT_GB", "1e-5")
    assert len(Whole(points=2).target(DistributionMatching(), point, real, range(3), rng)[0]) == 3
    with pytest.raises(InputError, match="the means of real images at 1000 points would take"):
        Whole(points=1000).target(DistributionMatching(), point, real, range(3), rng)


def test_whole_may_take_a_few_rows_which_stay_the_same(tmp_path):
    real = blobs(sizes=(9, 5, 7))
    point = initial(build(TINY, real.shape, real.classes).double(), rng(0))
    objective, few = DistributionMatching(), Whole(tmp_path, rows=6)
    assert few.count(real) == 6 + 5 + 6
    first, again = (few.target(objective, point, real, range(3), rng)[0] for _ in range(2))
    whole = Whole(tmp_path).target(objective, point, real, range(3), rng)[0]
    assert torch.equal(first, again)
    assert torch.equal(Whole(tmp_path, rows=6).target(objective, point, real, range(3), rng)[0], first)
    assert torch.equal(first[1], whole[1])  # the class has five rows
    assert not torch.allclose(first[0], whole[0])
    other = Whole(tmp_path, rows=6, seed=1).target(objective, point, real, range(3), rng)[0]
    assert not torch.allclose(first[0], other[0])
