"""What a run will take, said beforehand."""

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from conftest import blobs
from lists import RECIPES, TINY

import condensery as cd
from condensery.algorithms.matching import Matching, updates
from condensery.algorithms.samplers import Whole
from condensery.algorithms.schedules import TrainedOnReal
from condensery.cli import main
from condensery.data import digits
from condensery.evaluation.training import Training
from condensery.networks.net import build
from condensery.objectives import DistributionMatching
from condensery.recipes import KFS
from condensery.runs import planning
from condensery.runs.planning import plan
from condensery.runs.run import condense
from condensery.synthetic import SyntheticSet, noise


def test_the_updates_of_all_parts_of_a_run_are_counted():
    unrolled = RECIPES["unrolled of kfs"]
    kfs = unrolled.base
    assert (kfs.steps, unrolled.rounds) == (6, 5)
    assert updates(unrolled.algorithm(digits().train)) == condense(unrolled, digits().train).steps == 6 + 5
    assert updates(cd.Random(ipc=1).algorithm(digits().train)) == 0


@pytest.fixture
def counting(monkeypatch):
    """Plans go by a clock on which an update of anything takes a second, and nothing else takes any time."""
    counted = []

    def counting(step):
        return lambda *given, **more: (counted.append(1), step(*given, **more))

    for kind in (torch.optim.Adam, torch.optim.SGD):
        monkeypatch.setattr(kind, "step", counting(kind.step))
    monkeypatch.setattr(planning, "time", SimpleNamespace(perf_counter=lambda: float(len(counted))))
    return counted


@pytest.mark.parametrize(("pretraining", "steps"), [(300, 50), (300, 5000), (10**7, 2)])
def test_what_does_not_grow_with_the_steps_is_known_apart(pretraining, steps, counting):
    recipe = KFS.digits().having(pretraining=pretraining, steps=steps, net=TINY)
    planned = plan(recipe, digits().train, progress=False)
    assert planned.fixed == pretraining
    assert planned.seconds - planned.fixed == steps + 1  # with one update of the autoencoder before the first step


@pytest.mark.parametrize("name", ["herding", "k-center", "forgetting"])
def test_the_network_that_chooses_is_trained_to_its_end(name, counting):
    planned = plan(RECIPES[name], digits().train, progress=False)
    epochs = {"forgetting": 2}.get(name, 1)
    assert (planned.steps, planned.seconds) == (0, epochs * -(-len(digits().train) // 64))


@pytest.mark.parametrize("steps", [2, 50])
def test_compiling_is_left_out_whenever_it_happens(steps, counting, monkeypatch):
    monkeypatch.setattr(planning, "seconds_spent", lambda: len(counting) / 2)  # half of the time of every step
    planned = plan(KFS.digits().having(pretraining=10, steps=steps, net=TINY), digits().train, progress=False)
    assert planned.seconds - planned.fixed == (steps + 1) / 2


def test_a_long_run_is_planned_by_its_first_steps(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["--data", "digits", "--ipc", "1", "--net.width", "8", "--real-rows", "4"]
    assert main(["plan", "dc", *words, "--outer-steps", "50000"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["recipe"] == "dc, 50000 steps"
    assert lines["stored"] == "640 floats, 2,560 bytes"
    assert "to condense" in lines["time"]
    assert not list(tmp_path.iterdir())  # nothing is written
    assert main(["plan", "idc", *words, "--early-epochs", "1", "--inner-steps", "2"]) == 0
    early = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert early["recipe"] == "idc, 4000 steps"


def test_a_plan_neither_reads_nor_fills_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CONDENSERY_CACHE", str(tmp_path))
    made = []
    algorithm = KFS.algorithm
    monkeypatch.setattr(KFS, "algorithm", lambda self, real: made.append(algorithm(self, real)) or made[-1])
    plan(replace(KFS.digits(), real_rows=None, pretraining=1, net=TINY), digits().train, progress=False)
    assert made
    assert all(each.sampler.folder is None for each in made)
    assert not list(tmp_path.iterdir())


def test_means_are_known_again_at_the_first_point_of_a_restart_only(monkeypatch):
    """Of 4 restarts of 5 points from 2 networks, which go on with training, 2 begin where another one did."""
    monkeypatch.setattr(planning, "_probe", lambda algorithm: planning._Probe(0.0, 100.0 ** isinstance(
        algorithm.schedule, TrainedOnReal), 20, "plain"))  # fmt: skip
    real, how = blobs(), Training(0.1, batch_size=6)
    schedule = TrainedOnReal(build(TINY, real.shape, 3).double(), 4, 5, 12, how, 0, pool=2)
    synthetic = SyntheticSet.from_rows(noise(real, 2, 0), real.space)
    made = Matching(real, synthetic, schedule, Whole(), DistributionMatching(), torch.optim.SGD([synthetic.bases]), 0)
    assert planning._plan(lambda: made, real, lambda words: None).seconds == 100 * 17 + 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "plan needs a recipe"),
        (["dcc", "--data", "digits"], "did you mean dc"),
        (["dc"], "--data"),
        (
            ["mdc:quick", "--data", "digits", "--outer-steps", "1"],
            "first subset after 100 steps",
        ),
    ],
)
def test_a_plan_of_nothing(words, said, capsys):
    assert main(["plan", *words]) == 2
    assert said in capsys.readouterr().err


def test_freed_memory_can_be_kept():
    script = "import condensery; print(condensery.tune_allocator())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    import platform

    assert done.stdout.strip() == str(sys.platform.startswith("linux") and platform.libc_ver()[0] == "glibc")
