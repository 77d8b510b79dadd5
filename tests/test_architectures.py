"""Architecture search on proxies, its engines, and what it keeps."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lists import TINY
from torch import nn

import condensery as cd
from condensery.applications import (
    Candidate,
    EarlyStopping,
    architecture_search,
    architectures,
    dc_grid,
    engines,
    settings,
    small_grid,
)
from condensery.cli import main
from condensery.cli.names import RECIPES
from condensery.data import TestSet, digits
from condensery.errors import InputError, RunError
from condensery.evaluation.evaluate import evaluate, evaluate_whole
from condensery.evaluation.protocols import Protocol
from condensery.evaluation.training import Training
from condensery.networks.convnet import ConvNet
from condensery.networks.mlp import MLP
from condensery.recipes import DM, Random
from condensery.runs import storage
from condensery.runs.run import condense

NETS = [TINY, replace(TINY, norm="none"), MLP(width=4), ConvNet(width=2, depth=1)]


def brief(data, condensed=None, net=None):
    return Protocol("brief", Training(0.1, 0.9), steps=6)


def here(function, shared, jobs, workers=None):
    """An engine without processes."""
    for job in jobs:
        yield job, function(shared, job)


def search(data, proxies=None, nets=NETS, **more):
    proxies = proxies or {"random": Random(ipc=2), "early": EarlyStopping()}
    given = {"protocol": brief, "reference": brief, "engine": here, "progress": False} | more
    return architecture_search(data, proxies, nets, **given)


def timeless(rankings):
    return [replace(ranking, seconds=0.0) for ranking in rankings]


def test_networks_are_ranked_by_training_on_the_proxy(monkeypatch):
    monkeypatch.setattr("condensery.applications.architectures.counted", None)  # which draws a bar
    data = digits()
    random, early, whole = search(data)
    fold = data.validation()
    made = condense(Random(ipc=2), fold.train, progress=False)
    by_proxy = {Candidate(net): evaluate(made, fold, net, brief, 1, progress=False).mean for net in NETS}
    assert random.accuracies == by_proxy
    assert by_proxy[random.best] == max(by_proxy.values())
    assert random.performance == evaluate_whole(data, random.best.net, brief, 1, progress=False).mean
    assert (random.floats, random.bytes) == (made.floats, made.bytes)
    assert (whole.proxy, whole.top, whole.kendall) == ("whole", 1, 1)
    assert whole.performance >= max(random.performance, early.performance)
    assert (whole.floats, early.floats) == (len(data.train) * 64, len(fold.train) * 64)


def test_the_correlation_is_that_of_ranks():
    from scipy.stats import kendalltau, spearmanr

    data = digits()
    found, _ = search(data, {"random": Random(ipc=2)}, top=3)
    fold = data.validation()
    made = condense(Random(ipc=2), fold.train, progress=False)
    ours = [evaluate(made, fold, net, brief, 1, progress=False).mean for net in NETS]
    theirs = [evaluate_whole(data, net, brief, 1, progress=False).mean for net in NETS]
    assert found.spearman == pytest.approx(spearmanr(ours, theirs).statistic)
    assert found.kendall == pytest.approx(kendalltau(ours, theirs).statistic)
    best = sorted(range(4), key=lambda i: -ours[i])[:3]
    assert found.top == pytest.approx(spearmanr([ours[i] for i in best], [theirs[i] for i in best]).statistic)


@pytest.mark.parametrize(("ipc", "rows", "steps"), [(2, 20, 3), (7, 35, 6)])
def test_early_stopping_takes_the_steps_and_rows_of_the_first_set(ipc, rows, steps):
    def epochs(data, condensed=None, net=None):
        return Protocol("epochs", Training(0.1, batch_size=64), epochs=3)

    data = digits()
    proxies = {"random": Random(ipc=ipc), "early": EarlyStopping()}
    _, early = search(data, proxies, NETS[:2], protocol=epochs, whole=False)
    same = Protocol("same", Training(0.1, batch_size=rows), steps=steps)
    for net in NETS[:2]:
        reached = evaluate_whole(data.validation(), net, lambda *_: same, 1, progress=False)
        assert early.accuracies[Candidate(net)] == reached.mean


def test_settings_change_how_networks_are_trained():
    data = digits()
    tried = [Candidate(TINY, lr=0.01), Candidate(TINY, lr=0.1, batch_size=8), Candidate("mlp", momentum=0.0)]
    random, early, whole = search(data, nets=tried)
    fold = data.validation()
    made = condense(Random(ipc=2), fold.train, progress=False)

    def fast(data, condensed=None, net=None):
        return replace(brief(data), how=Training(0.1, 0.9, batch_size=8))

    assert random.accuracies[tried[1]] == evaluate(made, fold, TINY, fast, 1, progress=False).mean
    assert early.accuracies[tried[1]] == evaluate_whole(fold, TINY, fast, 1, progress=False).mean
    assert whole.accuracies[tried[1]] == evaluate_whole(data, TINY, fast, 1, progress=False).mean
    assert str(tried[1]) == "convnet width 4 depth 2, lr 0.1, batch_size 8"


def test_settings_are_drawn_by_optuna(monkeypatch):
    drawn = settings(5, TINY, seed=3)
    assert drawn == settings(5, TINY, seed=3)
    assert len(set(drawn)) == 5
    assert all(0.0003 <= each.lr <= 0.3 and each.batch_size in (16, 32, 64, 128, 256) for each in drawn)
    assert settings(2, TINY, lambda trial: {"lr": trial.suggest_float("lr", 1, 2)})[0].how.keys() == {"lr"}
    with pytest.raises(InputError, match="at least 2"):
        settings(1)
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(InputError, match=r"condensery\[search\]"):
        settings(2)


def test_the_test_part_chooses_nothing():
    data, found = digits(), []
    for part in (slice(0, None, 2), slice(1, None, 3)):
        test = data.test
        other = TestSet(test.images[part], test.labels[part], test.space, test.dtype, test.device)
        found += search(replace(data, test=other), {"random": Random(ipc=2)}, whole=False)
    assert (found[0].best, found[0].accuracies) == (found[1].best, found[1].accuracies)
    assert found[0].performance != found[1].performance


def test_a_search_goes_on_from_its_trials(tmp_path):
    measured = []

    def killed(function, shared, jobs, workers=None):
        for job in jobs:
            if len(measured) == 5:
                raise KeyboardInterrupt
            measured.append(job)
            yield job, function(shared, job)

    data, whole = digits(), search(digits())
    with pytest.raises(KeyboardInterrupt):
        search(data, engine=killed, folder=tmp_path)
    with open(tmp_path / "trials.jsonl", "a") as file:
        file.write('{"key": {"net"')  # a kill while a line is written

    def rest(function, shared, jobs, workers=None):
        measured.extend(jobs)
        return here(function, shared, jobs)

    again = search(data, engine=rest, folder=tmp_path)
    assert timeless(again) == timeless(whole)
    assert len(measured) == len(set(measured)) == 3 * len(NETS)
    assert len((tmp_path / "trials.jsonl").read_text().splitlines()) == 3 * len(NETS)


def test_trials_of_networks_that_may_have_changed_are_not_kept(tmp_path):
    def own(shape, classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))

    for _ in range(2):
        search(digits(), nets=[TINY, own], folder=tmp_path)
        kept = [json.loads(line)["key"]["net"] for line in (tmp_path / "trials.jsonl").read_text().splitlines()]
        assert [net.get("family") for net in kept] == ["convnet"] * 3


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "[1]",
        "what",
        '{"key": {}, "result": {"accuracy": 0.5}}',
        '{"key": {}, "result": {"accuracy": "high", "seconds": 1}}',
        '{"key": {}, "result": {"seconds": 1, "accuracy": 1' + "0" * 400 + "}}",
    ],
)
def test_a_line_that_is_no_trial_is_refused(tmp_path, line):
    (tmp_path / "trials.jsonl").write_text(line + "\n")
    with pytest.raises(InputError, match="line 1"):
        search(digits(), folder=tmp_path)


def of_classes(count):
    return condense(Random(ipc=1), digits().of_classes(range(count)).train, progress=False)


def of_side(side):
    return condense(Random(ipc=1), digits().resized(side, 1).train, progress=False)


def of_width(width):
    def made(shape, classes):
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(width), nn.Linear(width, classes))

    return made


@pytest.mark.parametrize(("wrong", "said"), [
    ({"proxies": {"early": EarlyStopping()}}, "give a recipe or a set, too"),
    ({"proxies": {"a": "random"}}, "neither a recipe"),
    ({"proxies": {"../a": Random(ipc=1)}, "folder": "out"}, "plain name"),
    ({"nets": NETS[:1]}, "at least two"),
    ({"nets": [TINY, TINY]}, "twice"),
    ({"nets": [TINY, ConvNet(depth=9)]}, "too deep"),
    ({"nets": [of_width(2), of_width(3)]}, "apart; bind what differs"),
    ({"proxies": {"a": Random(ipc=1), "b": Random(ipc=2000)}}, "too large"),
    ({"proxies": {"a": Random(ipc=1), "b": Random(ipc=2)}, "folder": "used"}, "contains no run"),
    ({"proxies": {"a": of_classes(5)}}, "'a' has other classes than digits"),
    ({"proxies": {"a": of_side(9)}}, "the images of the proxy 'a' are"),
    ({"top": 1}, "`top`"),
    ({"repeats": 0}, "`repeats`"),
    ({"seed": -1}, "`seed`"),
    ({"engine": "slurm"}, "unknown engine"),
    ({"workers": 0}, "`workers`"),
])  # fmt: skip
def test_a_wrong_search_is_refused_before_anything_is_condensed(tmp_path, monkeypatch, wrong, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(architectures, "_condensed", None)
    (tmp_path / "used" / "b").mkdir(parents=True)
    (tmp_path / "used" / "b" / "file").touch()
    with pytest.raises(InputError, match=said):
        search(digits(), **wrong)


def test_two_searches_do_not_write_into_one_folder(tmp_path):
    with storage.locked(tmp_path), pytest.raises(InputError, match="in use by another process"):
        search(digits(), folder=tmp_path)


def test_the_grid_of_dc_has_720_networks():
    assert len(set(dc_grid())) == 720
    assert len(set(small_grid())) == 24


def test_ray_gives_the_table_of_local_processes(tmp_path):
    words = ["nas", "--data", "digits", "--proxies", "random", "early-stopping", "--ipc", "2", "--networks", "mlp",
             "convnet", "--net.width", "2", "--no-whole", "--protocol", "kfs2022", "--workers", "2"]  # fmt: skip
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")  # a user's own
    try:
        for engine in ("local", "ray"):
            assert main([*words, "--engine", engine, "--csv", str(tmp_path / engine)]) == 0
        assert ray.is_initialized()  # who begins it ends it
    finally:
        ray.shutdown()
    assert (tmp_path / "ray").read_bytes() == (tmp_path / "local").read_bytes()
    assert len((tmp_path / "ray").read_text().splitlines()) == 3


def mortal(marks):
    """A function whose process is killed at the first computation of job 1."""

    def squared(shared, job):
        marker = marks / "killed"
        if job == 1 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return shared + job**2

    return squared


def test_ray_survives_a_killed_process(tmp_path):
    import ray

    found = dict(engines.on_ray(mortal(tmp_path), 10, range(4), 2))
    assert (tmp_path / "killed").exists()
    assert found == {job: 10 + job**2 for job in range(4)}
    assert not ray.is_initialized()


def test_a_killed_local_process_is_one_line(tmp_path):
    with pytest.raises(RunError, match="killed"):
        dict(engines.local(mortal(tmp_path), 10, range(4), 2))


def test_a_job_that_is_a_function_comes_back_as_itself():
    jobs = [lambda: 1, lambda: 2]
    found = dict(engines.local(lambda shared, job: job(), 0, jobs, 2))
    assert [found[job] for job in jobs] == [1, 2]


def test_trials_of_other_pixels_sets_or_code_are_not_used(tmp_path, monkeypatch):
    counted = []

    def counting(function, shared, jobs, workers=None):
        counted.append(len(jobs))
        return here(function, shared, jobs)

    data = digits()
    a, b = (condense(Random(ipc=2, seed=seed), data.validation().train, progress=False) for seed in (0, 1))
    b = replace(b, recipe=a.recipe)

    def measured(data, made):
        counted.clear()
        nets = NETS[:2]
        architecture_search(data, {"set": made}, nets, brief, brief, True, 2, engine=counting, folder=tmp_path)
        return sum(counted)

    assert [measured(data, a), measured(data, a), measured(data, b)] == [4, 0, 2]
    assert measured(data, replace(a, class_names=a.class_names[::-1])) == 2
    assert measured(data.whitened(), a) == 4
    monkeypatch.setattr("condensery.applications.architectures.code", lambda: "other code")
    assert measured(data, a) == 4
    elsewhere = {"torch": "other", "threads": 1}
    monkeypatch.setattr("condensery.applications.architectures.environment", lambda device: elsewhere)
    assert measured(data, a) == 4
    elsewhere["threads"] = 2
    assert measured(data, a) == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_jobs_have_one_thread_and_leave_those_of_the_caller(workers):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert dict(engines.local(lambda shared, job: torch.get_num_threads(), 0, [0, 1], workers)) == {0: 1, 1: 1}
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_a_cluster_that_is_not_there_is_one_line_before_anything_is_condensed(monkeypatch):
    monkeypatch.setattr(architectures, "_condensed", None)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(InputError, match=r"RAY_ADDRESS=127\.0\.0\.1:1: no Ray cluster can be reached there"):
        search(digits(), engine="ray")


def test_ray_must_be_installed(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(InputError, match=r"condensery\[ray\]"):
        next(engines.on_ray(mortal, 0, [1], 1))


def test_the_command_tells_what_it_found(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "random").mkdir()  # which is no condensed set
    words = ["nas", "--data", "digits", "--proxies", "random", "--ipc", "1", "--networks", "mlp", "convnet",
             "--net.width", "2", "--protocol", "kfs2022", "--out", str(tmp_path / "out"), "--json",
             str(tmp_path / "found.json")]  # fmt: skip
    assert main([*words, "--no-whole"]) == 0
    assert "best network" in capsys.readouterr().out
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["results"][0]["best"] in ("mlp", "convnet width 2")
    assert (tmp_path / "out" / "random" / "condensed.safetensors").is_file()
    recipe = str(tmp_path / "out" / "random" / "recipe.toml")
    assert main([*words, "--no-whole", "--proxies", recipe]) == 0
    assert json.loads((tmp_path / "found.json").read_text())["results"][0]["proxy"] == recipe
    assert len(list((tmp_path / "out").glob("random-*/condensed.safetensors"))) == 1
    about = json.loads((tmp_path / "found.json").read_text())
    assert (about["protocol"], about["recipes"][0]["ipc"], about["seed"]) == ("kfs2022", 1, 0)
    capsys.readouterr()
    whole = str(tmp_path / "whole.safetensors")
    cd.save(cd.condense(Random(ipc=1), digits().train, progress=False), whole)
    assert main([*words, "--no-whole", "--proxies", whole, str(tmp_path / "out" / "random")]) == 0
    captured = capsys.readouterr()
    assert "from the rows on which networks are measured" in captured.err
    assert "per class" not in captured.out  # which --ipc does not say about sets
    rows = json.loads((tmp_path / "found.json").read_text())["results"]
    assert [row["proxy"] for row in rows] == [whole, str(tmp_path / "out" / "random")]
    assert main([*words, "--no-whole", "--proxies", whole, "random", "early-stopping"]) == 0
    rows = json.loads((tmp_path / "found.json").read_text())["results"]
    assert [row["proxy"] for row in rows] == [whole, "random", "early-stopping"]
    settings = ["nas", "--data", "digits", "--proxies", "random", "--ipc", "1", "--net.width", "2", "--settings", "2"]
    assert main([*settings, "--protocol", "kfs2022", "--no-whole"]) == 0
    assert "best settings" in capsys.readouterr().out


def test_a_set_may_be_called_as_the_folder_of_a_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(RECIPES, "dm:digits", DM(ipc=1, steps=1, real_rows=4))
    cd.save(cd.condense(Random(ipc=1), digits().validation().train, progress=False), "dm-digits")
    words = "nas --data digits --proxies dm-digits dm --ipc 1 --networks mlp convnet --net.width 2 --protocol kfs2022"
    assert main([*words.split(), "--no-whole", "--json", "found.json"]) == 0
    rows = json.loads(Path("found.json").read_text())["results"]
    assert [(row["proxy"], row["bytes"]) for row in rows] == [("dm-digits", 640), ("dm:digits", 2560)]


@pytest.mark.parametrize(("words", "said"), [
    ("--proxies a.safetensors", "a.safetensors: no such file"), ("--proxies runs/a", "runs/a: no such file or folder"),
    ("--proxies", "proxies"), ("--proxies nothing", "nothing"), ("--proxies early-stopping", "recipe or a set"),
    ("--proxies random --networks mlp", "at least two"), ("--proxies random --top 1", "--top"),
    ("--proxies random --settings 1", "--settings"), ("--proxies random --workers 0", "--workers"),
    ("--proxies random --settings 3 --networks mlp lenet", "--networks"),
    ("--proxies random --engine slurm", "--engine"),
])  # fmt: skip
def test_wrong_options_are_one_line(capsys, words, said):
    assert main(["nas", "--data", "digits", *words.split()]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1
