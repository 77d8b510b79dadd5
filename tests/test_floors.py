"""The house: imports only go down, files stay one idea."""

import ast
from pathlib import Path

import pytest

import condensery

SOURCE = Path(condensery.__file__).parent

FLOORS = [
    ["errors", "randomness"],
    ["fields", "kernels.cores", "kernels.memory", "kernels.convolution"],
    [
        "console",
        "formats",
        "networks",
        "decoders",
        "augment",
        "objectives.distances",
        "data.facts",
        "kernels.compiling",
    ],
    ["data.pixels"],
    ["data", "kernels", "runs.storage", "algorithms.clustering"],
    ["synthetic", "runs.checkpoint"],
    ["evaluation.training", "runs.picture", "runs.condensed", "runs.artifact"],
    ["objectives", "evaluation.protocols", "algorithms.schedules", "algorithms.algorithm", "algorithms.coresets"],
    ["algorithms.samplers", "algorithms.autoencoder"],
    ["algorithms", "evaluation"],
    ["recipes"],
    ["runs"],
    ["exchange", "report", "applications"],
    ["cli", "__main__"],
]
"""Rooms, and files that stand on another floor than their room."""
FLOOR = {name: height for height, names in enumerate(FLOORS) for name in names}
MODULES = sorted(p for p in SOURCE.rglob("*.py") if p != SOURCE / "__init__.py")


def part(path: Path) -> str:
    return named(".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"))


def named(module: str) -> str:
    """The room or file that stands on a floor, of a module's name below `condensery`."""
    names = module.split(".")
    return next(name for n in range(len(names), 0, -1) if (name := ".".join(names[:n])) in FLOOR)


def imports(path: Path, top_only: bool):
    """Names that a module imports, but for those under `if TYPE_CHECKING`, which never run."""
    tree = ast.parse(path.read_text())
    for node in list(ast.walk(tree)):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_only_go_down(path):
    mine = FLOOR[part(path)]
    for name in imports(path, top_only=False):
        if name.startswith("condensery.") and name != "condensery.__version__":
            assert FLOOR[named(name.removeprefix("condensery."))] <= mine, f"{name} is above"


def test_parts_of_one_floor_do_not_go_round():
    edges = {}
    for path in MODULES:
        for name in imports(path, top_only=False):
            if name.startswith("condensery.") and name != "condensery.__version__":
                other = named(name.removeprefix("condensery."))
                if other != part(path):
                    edges.setdefault(part(path), set()).add(other)

    def reach(name, seen):
        for other in edges.get(name, ()):
            assert other not in seen, f"{other} is imported in a circle"
            reach(other, [*seen, other])

    for name in edges:
        reach(name, [name])


@pytest.mark.parametrize("path", sorted((SOURCE / "recipes").glob("*.py")), ids=lambda p: p.name)
def test_recipes_load_without_torch(path):
    assert not any(name.split(".")[0] in ("torch", "numpy") for name in imports(path, top_only=True))


@pytest.mark.parametrize("path", sorted((SOURCE / "recipes").glob("*.py")), ids=lambda p: p.name)
def test_an_algorithm_fits_its_box(path):
    """At most 20 lines, imports and docstring aside."""
    for found in ast.walk(ast.parse(path.read_text())):
        if isinstance(found, ast.FunctionDef) and found.name == "algorithm":
            body = [n for n in found.body if not isinstance(n, ast.Import | ast.ImportFrom | ast.Expr)]
            assert not body or body[-1].end_lineno - body[0].lineno + 1 <= 20


def test_no_recipe_knows_its_wrappers():
    for path in (SOURCE / "recipes").glob("*.py"):
        if path.name not in ("mdc.py", "dream.py", "compact.py", "anchor.py", "unrolled.py", "warm.py", "__init__.py"):
            wrappers = ("MDC", "DREAM", "Compact", "Anchor", "Unrolled", "Warm", "multisize", "representative")
            assert not any(name in path.read_text() for name in wrappers), path


def test_no_pickle_and_no_network():
    for path in MODULES:
        banned = {"pickle", "urllib", "requests", "socket", "torchvision", "yaml"}
        banned -= {"socket"} if path.name == "engines.py" else set()  # which asks whether a user's cluster is there
        assert not banned & {name.split(".")[0] for name in imports(path, top_only=False)}, path
        # where files of other programs are read, torch unpickles tensors and numbers only
        assert path.read_text().replace('torch.load(path, "cpu", weights_only=True)', "").count("torch.load") == 0
        assert "allow_pickle=True" not in path.read_text()
