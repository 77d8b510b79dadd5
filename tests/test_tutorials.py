"""The tutorials do what they say: their commands and programs run, page by page, in an empty folder."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from condensery.cli import main

PAGES = sorted((Path(__file__).parent.parent / "docs" / "tutorials").glob("*.md"))
NEEDED = {"tuning": "optuna", "your-folder": "jinja2"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_tutorial_runs(page, tmp_path, monkeypatch):
    if page.stem in NEEDED:
        pytest.importorskip(NEEDED[page.stem])
    monkeypatch.chdir(tmp_path)
    ran = 0
    for kind, block in re.findall(r"```(python|console)\n(.*?)```", page.read_text(), re.S):
        if kind == "console":
            for line in block.strip().splitlines():
                program, *words = shlex.split(line.removeprefix("$ "))
                assert program == "condensery"
                assert main(words) == 0, line
                ran += 1
        else:  # in a process of its own, as classes of a program are
            env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
            done = subprocess.run([sys.executable, "-c", block], env=env, capture_output=True, text=True)
            assert done.returncode == 0, f"{block}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            ran += 1
    assert ran >= 1
