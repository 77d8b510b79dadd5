"""Every program of experiments/ and benchmarks/ runs to its end, at a tiny scale."""

import importlib
import os
import re
import subprocess
import sys
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest
import torch

from condensery import DC, IDC

ROOT = Path(__file__).parent.parent
WITHIN = {"record.py", "grid.py", "gpu.py", "baseline.py", "beside.py", "ours.py", "planned.py", "worker.py"}
"""What the programs import or start, and so run too; and the list of what a GPU should run, which has its own test."""


EXPERIMENTS = sorted(path.name for path in ROOT.glob("experiments/*.py") if path.name not in WITHIN)
ONE_BY_ONE = """
import runpy, sys
folder, device, *names = sys.argv[1:]
if device == "elsewhere":
    from elsewhere import Pretending
    Pretending().__enter__()
for name in names:
    print(f"== {name}", flush=True)
    sys.argv = [name, "--scale", "smoke", "--device", device]
    try:
        runpy.run_path(f"{folder}/{name}", run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise
"""
"""Runs programs in one process, since starting Python and importing torch takes longer than most of them."""


PARTS = ("steps", "embeddings", "scaling", "multisize", "plan", "beside")
"""The parts of `bench.py`."""


def benchmarks():
    return [path.name for path in sorted(ROOT.glob("benchmarks/*.py")) if path.name not in WITHIN]


def said(folder, *words, **env):
    """What Python prints, run in a folder that it leaves empty; it ends well and changes nothing in the repository."""
    before, env = files(), os.environ | {"OMP_NUM_THREADS": "1"} | env
    ended = subprocess.run([sys.executable, *words], cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    assert files() == before
    assert not any(folder.iterdir())
    return ended.stdout


def files():
    """All files of the repository but for caches, and when those of its results were written."""
    seen = [path for top in ROOT.glob("[!.]*") for path in [top, *top.rglob("*")] if "__pycache__" not in path.parts]
    return {path: path.stat().st_mtime_ns if "results" in path.parts else 0 for path in seen}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


OWN_STEPS = ["idc_figure2.py", "idc_figure4.py", "idc_table5.py", "kfs_figure7.py"]
"""Programs that compute more than recipes and protocols do, and could do it on the wrong device."""


@pytest.mark.parametrize(
    ("device", "names"),
    [("cpu", EXPERIMENTS[::2]), ("cpu", EXPERIMENTS[1::2]), ("elsewhere", OWN_STEPS)],
    ids=["half", "the other half", "on a pretended GPU"],
)
def test_experiments_run_at_smoke_scale(device, names, folder):
    experiments = str(ROOT / "experiments")
    path = os.pathsep.join([experiments, str(ROOT / "tests")])
    printed = said(folder, "-c", ONE_BY_ONE, experiments, device, *names, PYTHONPATH=path)
    figures = dict(zip(names, re.split(r"^== .*\n", printed, flags=re.M)[1:], strict=True))
    row = re.compile(r"^(\{.*\}|MNIST-1-\S+): [a-z ]*\d", re.M)
    assert [name for name, text in figures.items() if not row.search(text)] == []


@pytest.mark.parametrize("name", benchmarks())
def test_a_benchmark_runs_at_smoke_scale(name, folder):
    printed = said(folder, str(ROOT / "benchmarks" / name), "--smoke")
    assert re.search(r"ratio|in_use_mb", printed)
    if name == "bench.py":
        assert [part for part in PARTS if f"== {part}" not in printed] == []


def test_at_gpu_scale_sets_are_condensed_by_the_papers_settings(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "experiments"))
    import record
    import sets

    monkeypatch.setattr(record, "_scale", "gpu")
    assert sets.recipe_of("ImageNet10", 20, "idc") == IDC.published("imagenet10").having(ipc=20)
    assert sets.recipe_of("cifar10-jpeg", 1, "idc-i") == IDC.published("cifar10").having(ipc=1, factor=1)
    assert sets.recipe_of("MNIST", 1, "dc") == DC(ipc=1)


def test_every_method_of_the_digits_has_its_own_recipe(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "experiments"))
    import sets

    recipes = [sets.recipe_of("digits", 1, method) for method in sets.LEARNED if ":" not in method]
    assert len({repr(recipe) for recipe in recipes}) == len(recipes)


def test_no_cell_of_a_table_takes_the_row_of_another(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "experiments"))
    from grid import Cell

    found = 0
    for path in ROOT.glob("experiments/*.py"):
        if "CELLS = " not in path.read_text():
            continue
        cells = [cell for cell in importlib.import_module(path.stem).CELLS if isinstance(cell, Cell)]
        found += len(cells)
        for cell, other in permutations(cells, 2):
            fits = all(other.keys.get(key) == value for key, value in cell.keys.items())
            same = replace(cell, label="", paper=None) == replace(other, label="", paper=None, recipe=cell.recipe)
            assert same or not fits, (path.name, cell.keys)
    assert found > 100


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_gpu_scale_needs_a_gpu():
    command = [sys.executable, str(ROOT / "experiments" / "color.py"), "--scale", "gpu"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("color.py: --scale gpu needs a GPU")


def test_what_a_gpu_should_run_is_there(folder):
    listed = said(folder, str(ROOT / "experiments" / "gpu.py"))
    programs = re.findall(r"^python (experiments/\w+\.py) .*--scale gpu", listed, re.M)
    assert len(programs) == len(listed.splitlines()) > 0
    assert {program for program in programs if not (ROOT / program).exists()} == set()


def test_the_network_of_ones_own_is_condensed_in_and_measured(folder):
    script = "import own_network; own_network.main(steps=2, repeats=1)"
    figures = said(folder, "-c", script, PYTHONPATH=str(ROOT / "docs"))
    assert [line.split()[0] for line in figures.splitlines() if line] == ["random", "dm"]
