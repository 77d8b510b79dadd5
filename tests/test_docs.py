"""What the documents say is so."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import blobs
from lists import TINY
from PIL import Image

from condensery.networks.net import build
from condensery.networks.network import initial
from condensery.randomness import rng

ROOT = Path(__file__).parent.parent


def blocks(page, kind):
    found = re.findall(rf"```{kind}\n(.*?)```", (ROOT / page).read_text(), re.S)
    assert found, f"no {kind} in {page}"
    return found


def done(*words, cwd, **env):
    """What a command prints; it ends well."""
    ended = subprocess.run(words, cwd=cwd, env=os.environ | env, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    return ended.stdout


def test_the_python_of_the_readme_runs(tmp_path):
    for block in blocks("README.md", "python"):
        script = block.replace("repeats=3", "repeats=1, protocol=cd.kfs2022").replace("outer_steps=20", "outer_steps=5")
        done(sys.executable, "-c", script, cwd=tmp_path)


@pytest.fixture(scope="module")
def added(tmp_path_factory):
    """A copy of the repository with the method of docs/add-a-method.md, added word by word."""
    copy, page = tmp_path_factory.mktemp("added") / "condensery", "docs/add-a-method.md"
    for folder in ("src", "tests", "docs"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__", "_build", ".*"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    (copy / "src/condensery/recipes/untrained.py").write_text(blocks(page, "python")[0].replace("steps=100", "steps=5"))
    files = ["src/condensery/recipes/__init__.py"] * 2 + ["tests/lists.py", "docs/fidelity.md"]
    for file, block in zip(files, blocks(page, "diff"), strict=True):
        before = "".join(line[1:] for line in block.splitlines(keepends=True) if line[0] != "+")
        after = "".join(line[1:] for line in block.splitlines(keepends=True) if line[0] != "-")
        text = (copy / file).read_text()
        assert text.count(before) == 1, f"{file}: not once in it:\n{before}"
        (copy / file).write_text(text.replace(before, after))
    return copy


def test_an_added_method_touches_four_places_in_the_style_of_the_house(added):
    changed = {
        str(path.relative_to(added))
        for path in added.rglob("*")
        if path.is_file()
        and not ((there := ROOT / path.relative_to(added)).exists() and there.read_bytes() == path.read_bytes())
    }
    recipes = "src/condensery/recipes"
    assert changed == {f"{recipes}/untrained.py", f"{recipes}/__init__.py", "tests/lists.py", "docs/fidelity.md"}
    done(sys.executable, "-m", "ruff", "check", "-q", recipes, "tests/lists.py", cwd=added)
    done(sys.executable, "-m", "ruff", "format", "-q", "--check", recipes, "tests/lists.py", cwd=added)


def test_an_added_method_is_on_the_command_line(added):
    command = (sys.executable, "-m", "condensery")
    env = {"PYTHONPATH": str(added / "src")}
    assert "untrained, untrained:quick" in " ".join(done(*command, "--help", cwd=added, **env).split())
    assert "--real-rows" in done(*command, "run", "untrained:quick+mdc", "--help", cwd=added, **env)
    words = "compare --data digits --ipc 1 --methods untrained --repeats 1 --no-whole --net.width 8"
    assert "untrained" in done(*command, *words.split(), "--protocol", "kfs2022", cwd=added, **env)


def test_an_added_method_obeys_the_laws(added):
    passed = done(sys.executable, "-m", "pytest", "-p", "no:xdist", "-k", "untrained", cwd=added, PYTHONPATH="src")
    assert int(re.search(r"(\d+) passed", passed)[1]) >= 10, passed


def test_an_added_method_is_on_the_api_page(added, tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("# API\n\n```{eval-rst}\n.. automodule:: condensery.recipes\n   :members:\n```\n")
    shutil.copy(added / "docs/conf.py", docs)
    words = ("-m", "sphinx", "-q", "-b", "text", str(docs), str(tmp_path / "built"))
    done(sys.executable, *words, cwd=tmp_path, PYTHONPATH=str(added / "src"))
    assert "Gradients matched in a new random network" in (tmp_path / "built/index.txt").read_text()


@pytest.mark.parametrize("part", [1, 3], ids=["the recipe", "the crossing"])
def test_the_examples_of_the_page_evaluate_and_save(part, added, tmp_path):
    script = blocks("docs/add-a-method.md", "python")[part].replace("repeats=3", "repeats=1")
    script = script.replace("Untrained.quick()", "Untrained.quick().having(steps=5, net=cd.ConvNet(width=8))")
    said = done(sys.executable, "-c", script, cwd=tmp_path, PYTHONPATH=str(added / "src"))
    assert re.search(r"\d\.\d", said)
    assert [path.suffix for path in tmp_path.iterdir() if path.is_file()] == [".safetensors"]


def test_the_objective_of_the_page_is_one():
    names = {}
    exec(blocks("docs/add-a-method.md", "python")[2], names)
    real, objective = blobs(), names["Moments"]()
    point = initial(build(TINY, real.shape, real.classes).double(), rng(0))
    batch = real.sample(5, range(real.classes), lambda c: rng(1, c))
    target = objective.target(point, batch)
    assert len(target) == 2
    assert objective.loss(point, batch, target).abs().max() < 1e-9
    others = real.sample(5, range(real.classes), lambda c: rng(2, c))
    assert objective.loss(point, others, target).min() > 0


def test_the_gallery_shows_the_sets_of_the_results(tmp_path):
    done(sys.executable, "-c", "import gallery, pathlib; gallery.draw(pathlib.Path())", cwd=tmp_path,
         PYTHONPATH=str(ROOT / "docs"))  # fmt: skip
    drawn = sorted(tmp_path.glob("*.png"))
    assert [path.name for path in drawn] == ["gallery-FashionMNIST.png", "gallery-MNIST.png"]
    for path in drawn:
        assert Image.open(path).tobytes() == Image.open(ROOT / "docs" / "figures" / path.name).tobytes()


def test_tables_are_what_the_results_say():
    done = subprocess.run([sys.executable, "docs/tables.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def anchors(page):
    """The names under which the headings of a page can be reached, as GitHub and Sphinx make them."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    headings = [re.sub(r"[^\w -]", "", heading.lower()) for heading in re.findall(r"^#{1,3} (.+)$", text, re.M)]
    return {heading.replace(" ", "-") for heading in headings}


def test_links_between_pages_lead_somewhere():
    followed = 0
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for file, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]+))?\)", page.read_text()):
            there = page.parent / file if file else page
            assert there.exists(), f"{page.name}: {file}"
            assert not anchor or anchor in anchors(there), f"{page.name}: {file}#{anchor}"
            followed += bool(anchor)
    assert followed


def test_the_two_commands_are_the_makefiles():
    makefile = (ROOT / "Makefile").read_text()
    for target in ("demo", "test", "lint", "bench", "docs"):
        assert re.search(rf"^{target}:", makefile, re.M)
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_the_file_format_is_what_its_page_says(tmp_path, monkeypatch):
    import torch

    import condensery as cd

    monkeypatch.chdir(tmp_path)
    for recipe in (cd.Random(ipc=2), cd.DM(ipc=2, steps=2, real_rows=8, net=cd.ConvNet(width=4))):
        made = cd.condense(recipe, cd.digits().train, progress=False)
        cd.save(made, "condensed.safetensors")
        known = {}
        exec(blocks("docs/file-format.md", "python")[0], known)
        x, y = made.tensors()
        assert torch.equal(known["rows"], x)
        assert torch.equal(known["labels"], y)
