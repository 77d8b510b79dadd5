"""The tutorials do what they say: their commands and programs run, page by page, in an empty folder."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parent.parent / "docs" / "tutorials").glob("*.md"))
NEEDED = {"tuning": "optuna", "your-folder": "jinja2"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_tutorial_runs(page, tmp_path):
    if page.stem in NEEDED:
        pytest.importorskip(NEEDED[page.stem])
    ran = 0
    for kind, block in re.findall(r"```(python|console)\n(.*?)```", page.read_text(), re.S):
        commands = [[sys.executable, "-c", block]]
        if kind == "console":
            commands = [
                [sys.executable, "-m", *shlex.split(line.removeprefix("$ "))] for line in block.strip().splitlines()
            ]
        for words in commands:
            env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
            done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True)
            assert done.returncode == 0, f"{words}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            ran += 1
    assert ran >= 1
