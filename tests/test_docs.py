"""What the documents say is so."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("page", ["README.md", "docs/add-a-method.md"])
def test_the_python_of_a_page_runs(page, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.S)
    for block in blocks:
        script = block.replace("repeats=3", "repeats=1")
        done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_tables_are_what_the_results_say():
    done = subprocess.run([sys.executable, "docs/tables.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_links_between_pages_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_two_commands_are_the_makefiles():
    makefile = (ROOT / "Makefile").read_text()
    for target in ("demo", "test", "lint", "bench", "docs"):
        assert re.search(rf"^{target}:", makefile, re.M)
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
