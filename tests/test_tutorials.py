"""The tutorials do what they say: their commands and programs run, page by page, in an empty folder."""

import re
import shlex
import warnings
from pathlib import Path

import pytest

from condensery.cli import RECIPES, main

PAGES = sorted((Path(__file__).parent.parent / "docs" / "tutorials").glob("*.md"))
NEEDED = {"tuning": "optuna", "your-folder": "jinja2"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_tutorial_runs(page, tmp_path, monkeypatch):
    if page.stem in NEEDED:
        pytest.importorskip(NEEDED[page.stem])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")  # one process, this one
    monkeypatch.setitem(RECIPES, "dm:digits", RECIPES["dm:digits"].having(steps=30))  # enough to see that it works
    ran = 0
    for kind, block in re.findall(r"```(python|console)\n(.*?)```", page.read_text(), re.S):
        if kind == "console":
            for line in block.strip().splitlines():
                program, *words = shlex.split(line.removeprefix("$ "))
                assert program == "condensery"
                assert main(words) == 0, line
                ran += 1
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                exec(compile(block, page.name, "exec"), {"__name__": "__main__"})
            ran += 1
    assert ran >= 1
