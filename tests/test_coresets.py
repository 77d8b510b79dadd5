import itertools
from dataclasses import replace

import pytest
import torch
from conftest import blobs
from lists import TINY

from condensery.algorithms import coresets
from condensery.errors import RunError
from condensery.evaluation.training import Training
from condensery.networks.net import build
from condensery.networks.network import initial
from condensery.randomness import rng

REAL = blobs(sizes=(12, 6, 8))
POINT = initial(build(TINY, (1, 8, 8), 3).double(), rng(0))


def embedded(c):
    with torch.no_grad():
        return POINT.placed().eval().embed(REAL.read(REAL.rows(c)))


def diverged():
    params = {name: torch.full_like(value, torch.nan) for name, value in POINT.params.items()}
    return replace(POINT, params=params)


@pytest.mark.parametrize("choose", [
    lambda: coresets.herding(REAL, 2, diverged()),
    lambda: coresets.k_center(REAL, 2, diverged()),
    lambda: coresets.forgetting(REAL, 2, diverged(), Training(0.01), 3, 0),
])  # fmt: skip
def test_a_network_that_diverged_chooses_nothing(choose):
    with pytest.raises(RunError, match="not finite; give another network"):
        choose()


def picks(synthetic, c):
    mine = REAL.read(REAL.rows(c)).flatten(1)
    return [(mine == row.flatten()).all(1).nonzero().item() for row in synthetic.bases[c]]


def test_herding_follows_the_mean_greedily():
    synthetic = coresets.herding(REAL, 4, POINT)
    for c in range(3):
        x, chosen = embedded(c), picks(synthetic, c)
        mean = x.mean(0)
        assert chosen[0] == int((x - mean).norm(dim=1).argmin())
        for i in range(1, 4):
            total = x[chosen[:i]].sum(0)
            best = min(
                (n for n in range(len(x)) if n not in chosen[:i]),
                key=lambda n: ((i + 1) * mean - total - x[n]).norm().item(),
            )
            assert chosen[i] == best


def test_k_center_starts_nearest_to_the_mean_and_goes_farthest_first():
    synthetic = coresets.k_center(REAL, 4, POINT)
    for c in range(3):
        x, chosen = embedded(c), picks(synthetic, c)
        assert chosen[0] == int((x - x.mean(0)).norm(dim=1).argmin())
        for i in range(1, 4):
            distance = torch.cdist(x, x[chosen[:i]]).min(1).values
            assert chosen[i] == int(distance.argmax())


def test_forgetting_counts_rights_that_turn_wrong():
    seen: dict[int, list[bool]] = {}

    def observe(index, logits, y):
        for i, right in zip(index.tolist(), (logits.argmax(1) == y).tolist(), strict=True):
            seen.setdefault(i, []).append(right)

    how = Training(0.5, batch_size=5)
    coresets.fit(POINT, REAL, how, 60, 0, ("forgetting",), observe=observe)

    def forgotten(history):
        return len(history) if not any(history) else sum(a and not b for a, b in itertools.pairwise(history))

    counts = [forgotten(seen[i]) for i in range(len(REAL))]
    assert len(set(counts)) > 1
    synthetic = coresets.forgetting(REAL, 3, POINT, how, 60, 0)
    for c in range(3):
        mine = counts[REAL.rows(c)]
        order = sorted(range(len(mine)), key=lambda i: -mine[i])  # stable: ties to the earlier row
        assert picks(synthetic, c) == order[:3]


def test_where_all_rows_are_chosen_each_is_chosen_once_even_those_that_coincide():
    twins = REAL.subset(torch.tensor([*range(12), *range(12, 18), *range(12, 18), *range(18, 26), *range(18, 22)]))
    for choose in (coresets.herding, coresets.k_center):
        synthetic = choose(twins, 12, POINT)
        for c in range(3):
            mine, chosen = (sorted(map(tuple, x.flatten(1).tolist())) for x in
                            (twins.read(twins.rows(c)), synthetic.bases[c]))  # fmt: skip
            assert chosen == mine
