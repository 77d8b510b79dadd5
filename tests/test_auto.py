"""`auto` chooses among candidates by a trial, fits the bytes, and says so where real images do as well."""

import json
from dataclasses import replace

import pytest
import torch
from lists import TINY

from condensery import Accuracy, auto, digits
from condensery.cli import main
from condensery.data import TestSet
from condensery.errors import InputError
from condensery.recipes import DM, KFS, Compact, Unrolled
from condensery.runs import auto as module
from condensery.runs.planning import Plan


@pytest.fixture
def quick(monkeypatch):
    """One learned candidate, of a few steps, and networks that are hardly trained."""
    dm = DM(steps=4, real_rows=8, net=TINY)
    real = {name: replace(recipe, net=TINY) for name, recipe in module.candidates((1, 8, 8)).items() if ":" not in name}
    monkeypatch.setattr(module, "candidates", lambda shape, net=None: {"dm:digits+compact": Compact(dm), **real})
    brief = module._brief
    monkeypatch.setattr(module, "_brief", lambda *given: replace(brief(*given), steps=20))


def test_a_trial_chooses_what_fits_the_bytes(quick):
    data = digits()
    choice = auto(data, 1500, minutes=0.05, net=TINY)
    assert {trial.name for trial in choice.trials} == {"dm:digits+compact", "random", "herding"}
    accuracies = [trial.accuracy for trial in choice.trials]
    assert accuracies == sorted(accuracies, reverse=True)
    assert choice.name == choice.trials[0].name
    assert choice.recipe == choice.recipe.within(1500, data.train).having(
        **({"steps": choice.recipe.base.steps} if choice.name.startswith("dm") else {})
    )
    assert all(trial.name in choice.reason for trial in choice.trials)


@pytest.mark.parametrize(("first", "second", "tried"), [
    (0.6, 0.9, ["first", "random", "herding"]),
    (0.2, 0.9, ["second", "random", "herding", "first"]),
    (0.5, 0.2, ["random", "first", "herding", "second"]),
])  # fmt: skip
def test_a_second_recipe_is_tried_if_the_first_is_no_better_than_real_images(monkeypatch, quick, first, second, tried):
    real = {name: recipe for name, recipe in module.candidates((1, 8, 8)).items() if ":" not in name}
    learned = {f"{name}:digits": DM(steps=2, real_rows=8, net=TINY) for name in ("first", "second", "third")}
    monkeypatch.setattr(module, "candidates", lambda shape, net=None: {**learned, **real})
    monkeypatch.setattr(module, "_ranked", lambda data, bytes: list(learned))
    reached = iter([0.5, 0.4, first, second])
    monkeypatch.setattr(module, "evaluate", lambda *_, **__: Accuracy((next(reached),), "brief", TINY, 0.0))
    choice = auto(digits(), 3000, minutes=0.05, net=TINY)
    assert [trial.name.removesuffix(":digits") for trial in choice.trials] == tried
    assert choice.name == choice.trials[0].name


def test_more_bytes_than_there_are_images_take_all_of_them(quick):
    data = digits()
    choice = auto(data, "1 MB", minutes=0.05, net=TINY)
    assert {"random", "herding"} <= {trial.name for trial in choice.trials}
    assert choice.recipe.ipc <= min(data.train.sizes)


def test_the_test_part_is_not_read(quick):
    data = digits()
    blank = TestSet(
        torch.zeros_like(data.test.images), data.test.labels, data.test.space, data.test.dtype, data.test.device
    )
    found = [auto(d, 1500, minutes=5, net=TINY) for d in (data, replace(data, test=blank))]
    assert [t.accuracy for t in found[0].trials] == [t.accuracy for t in found[1].trials]


@pytest.mark.parametrize(("accuracies", "said"), [
    ((0.9, 0.5), ""), ((0.9, 0.89), "about as well"), ((0.5, 0.9), "as well as sets that are learned"),
])  # fmt: skip
def test_the_reason_says_whether_real_images_do_as_well(accuracies, said):
    named = zip(("dm:quick+compact", "random"), accuracies, strict=True)
    trials = sorted((module.Trial(name, a, 0.01, 0.5) for name, a in named), key=lambda trial: -trial.accuracy)
    reason = module._reason(trials)
    assert said in reason
    assert ("as well" in reason) == bool(said)


def test_real_images_are_not_compared_with_themselves():
    trials = [module.Trial(name, 0.9, 0.01, 1.0) for name in ("herding", "random")]
    assert module._reason(trials) == "on a tenth of the training part: herding 90.0 ± 1.0; random 90.0 ± 1.0."


def test_known_figures_rank_the_learned_candidates(monkeypatch):
    data = digits()
    rows = [
        {"data": data.train.fingerprint, "values": 64, "bytes_per_class": 70, "accuracies": {"dm+compact": 1.0}},
        {
            "data": "other digits",
            "values": 64,
            "bytes_per_class": 64,
            "accuracies": {"idc+compact": 0.9, "dm+compact": 0.8, "kfs+compact": 0.7},
        },
        {"data": "photographs", "values": 3072, "bytes_per_class": 3072, "accuracies": {"kfs+compact": 0.9}},
    ]
    monkeypatch.setattr(module.json, "loads", lambda text: rows)
    ranked = [name.replace(":digits", "") for name in module._ranked(data, 700)]
    assert ranked == ["idc+compact", "dm+compact", "kfs+compact", "kfs+compact+unrolled"]


@pytest.mark.parametrize(("seconds", "least", "steps", "pretraining"), [
    (50, 0.0, 100, 1000), (130, 0.0, 300, 1000), (1e6, 0.0, 400, 1000), (10, 0.0, 12, 500), (0, 0.02, 2, 20),
])  # fmt: skip
def test_steps_fill_the_time_of_which_pretraining_takes_half_at_most(seconds, least, steps, pretraining):
    planned = Plan(100, 0, 0, seconds=50.0, fixed=10.0, memory=None, computing="plain")
    found = module.fitted(Compact(KFS(steps=100, pretraining=1000)), planned, seconds, least)
    assert (found.base.steps, found.base.pretraining) == (steps, pretraining)


def test_few_held_out_rows_are_warned_of(quick, caplog):
    data = digits()
    few = torch.cat([(data.train.labels == c).nonzero()[:30, 0] for c in range(10)])
    auto(replace(data, train=data.train.subset(few)), 1500, minutes=0.05, net=TINY)
    assert "as few as 3 held-out rows in a class" in caplog.text


def test_a_longer_recipe_has_more_steps_and_more_rounds():
    longer = module.lengthened(Unrolled(Compact(DM(steps=4)), rounds=10), 2.5)
    assert (longer.rounds, longer.base.base.steps) == (25, 10)


@pytest.mark.parametrize(("bytes", "minutes", "word"), [
    (0, 1, "less than one byte"), ("0.4B", 1, "less than one byte"),
    (10, 1, "too few"), ("2KB", 0, "minutes"), ("2KB", -1, "minutes"), ("2KB", "10", "minutes"),
    ("2KB", float("inf"), "minutes"), (float("inf"), 1, "bytes"), (None, 1, "bytes"), ([1], 1, "bytes"),
])  # fmt: skip
def test_what_cannot_be_is_refused(bytes, minutes, word):
    with pytest.raises(InputError, match=word):
        auto(digits(), bytes, minutes)


def test_run_auto_condenses_and_goes_on(quick, tmp_path, capsys):
    out = tmp_path / "run"
    words = ["run", "auto", "--data", "digits", "--bytes", "1500", "--minutes", "0.05", "--out", str(out)]
    assert main(words) == 0
    assert "chosen:" in capsys.readouterr().out
    made = (out / "condensed.safetensors").read_bytes()
    assert json.loads((out / "run.json").read_text())
    assert main(words) == 0  # the run is there, and nothing is chosen again
    assert "chosen:" not in capsys.readouterr().out
    for other in (["--budget", "2000"], ["--minutes", "0.06"], ["--zca"]):
        assert main([*words, *other]) == 2
        assert "contains another run" in capsys.readouterr().err
    for wrong, said in ((["--budget", "4XB"], "no number of bytes"), (["--minutes", "0"], "above 0")):
        assert main([*words, *wrong]) == 2
        assert said in capsys.readouterr().err
    assert (out / "condensed.safetensors").read_bytes() == made


def test_too_few_bytes_are_refused_with_the_reason_of_every_candidate(quick):
    with pytest.raises(InputError, match=r"and 100 bytes: random is left out: .*; herding is left out: .* takes 640"):
        auto(digits(), 100, minutes=0.05, net=TINY)


def test_a_folder_with_other_files_is_refused_before_the_trial(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(module, "auto", lambda *given: pytest.fail("a trial was made"))
    (tmp_path / "mine").write_text("mine")
    for out, word in ((tmp_path, "contains no run (but mine)"), (tmp_path / "mine" / "run", "cannot be written")):
        assert main(["run", "auto", "--data", "digits", "--out", str(out)]) == 2
        assert word in capsys.readouterr().err
