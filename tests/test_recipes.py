from dataclasses import asdict, replace

import pytest
import torch
from conftest import blobs
from lists import LEARNED, RECIPES, over

from condensery.cli import RECIPES as NAMED
from condensery.data import digits
from condensery.errors import InputError
from condensery.evaluation import evaluate
from condensery.net import Net
from condensery.protocols import dc2021
from condensery.recipes import DC, Random
from condensery.running import provenance


@over(RECIPES)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(part):
    real = blobs()
    a, b, c = (replace(part, seed=seed).condense(real) for seed in (0, 0, 1))
    assert torch.equal(a.bases, b.bases)
    assert a.bases.shape == (3, part.ipc, 1, 8, 8)
    if part.name in ("dc", "random"):
        assert not torch.equal(a.bases, c.bases)


@over(LEARNED)
def test_what_is_learned_matches_better_than_what_it_started_from(part):
    losses = []
    replace(part, outer_steps=20).condense(blobs(), observe=lambda step: losses.append(step.loss))
    assert len(losses) == replace(part, outer_steps=20).steps
    assert sum(losses[-5:]) < sum(losses[:5])


@over(RECIPES)
def test_everything_that_determines_a_set_is_recorded(part):
    record = provenance(part, blobs(), "blobs")
    assert record["recipe"] == {"name": part.name, **asdict(part)}


@over(NAMED)
def test_every_recipe_of_the_command_line_says_what_it_is(part):
    assert type(part).__doc__
    assert part.ipc >= 1


@pytest.mark.parametrize(
    ("ipc", "inner", "epochs"), [(1, 1, 50), (10, 10, 50), (20, 20, 25), (50, 50, 10), (100, 100, 5)]
)
def test_dcs_loops_follow_the_papers_rule_at_any_ipc(ipc, inner, epochs):
    recipe = DC(ipc=ipc)
    assert recipe.steps == 1000 * inner
    assert (recipe._inner_steps, recipe._network_epochs) == (inner, epochs)


def test_dcs_defaults_are_the_papers():
    recipe = DC()
    assert (recipe.outer_steps, recipe.lr, recipe.network_lr, recipe.real_rows) == (1000, 0.1, 0.01, 256)
    assert (recipe.init, recipe.distance, recipe.net.width) == ("noise", "layerwise_cosine", 128)


def test_a_chosen_set_holds_real_rows_of_its_class_each_once():
    real = blobs()
    for name in ("random", "herding", "k-center", "forgetting"):
        synthetic = RECIPES[name].condense(real)
        for c in range(3):
            mine = real.read(real.rows(c)).flatten(1)
            where = [(mine == row.flatten()).all(1).nonzero().flatten().tolist() for row in synthetic.bases[c]]
            assert all(len(w) == 1 for w in where)
            assert where[0] != where[1]


def test_dc_teaches_more_than_the_real_images_it_started_from():
    data = digits()
    recipe = DC(ipc=1, init="real", outer_steps=30, lr=0.5, real_rows=32, net=Net(width=16))
    started, learned = Random(ipc=1).condense(data.train), recipe.condense(data.train)
    before, after = (evaluate(s, data, recipe.net, dc2021, repeats=2).mean for s in (started, learned))
    assert after > before + 0.05


def test_clamped_pixels_stay_in_the_unit_range():
    synthetic = RECIPES["dc clamped"].condense(blobs())
    unit = synthetic.space.unit(synthetic.bases)
    assert unit.min() > -1e-9
    assert unit.max() < 1 + 1e-9
    free = replace(RECIPES["dc clamped"], clamp=False).condense(blobs())
    assert free.space.unit(free.bases).min() < 0


WRONG = [
    *((DC, field) for field in ({"init": "Real"}, {"distance": "x"}, {"match": "x"}, {"lr": float("nan")}, {"ipc": 0})),
    *((Net, field) for field in ({"norm": "x"}, {"pooling": "mean"}, {"activation": "x"}, {"family": "x"})),
]


@pytest.mark.parametrize(("kind", "field"), WRONG, ids=str)
def test_a_misspelt_choice_is_refused(kind, field):
    with pytest.raises(InputError, match=next(iter(field))):
        kind(**field)
