"""How experiments record figures: one JSON file per table in `results/`, with the provenance of every figure.

Programs run at three scales: `cpu` (minutes to an hour a set on two cores), `gpu` (the papers' own schedules, where
the program has them), and `smoke`, at which they run to their end within seconds, to show that they work before hours
are spent on them. All slow work goes through the functions here (`stored`, `kept`, `condensed`, `evaluate`, ...), which
at `smoke` scale do a little of it, on the embedded digits and in a temporary folder.
"""

import argparse
import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch

import condensery as cd
from condensery import (
    Accuracy,
    Condensed,
    ConvNet,
    Data,
    InputError,
    Net,
    Recipe,
    RunError,
    Step,
    SyntheticSet,
    Wrapper,
)
from condensery.evaluation.protocols import Protocol, ProtocolFor
from condensery.kernels.compiling import during
from condensery.networks.net import Architecture, record
from condensery.runs import storage
from condensery.runs.checkpoint import environment
from condensery.runs.session import seconds_of

Figures = dict[str, Any]
"""Axes of plots, by the names of their files."""
R = TypeVar("R", bound=Recipe)

ROOT = Path(__file__).parent.parent
FEW, TINY = 2, ConvNet(width=4, depth=2)
SMALL: dict[str, Any] = {
    "net": TINY, "steps": FEW, "outer_steps": 3, "inner_steps": 2, "real_rows": 8, "mean_rows": 8, "network_rows": 16,
    "network_epochs": 1, "pretraining": FEW, "updates": FEW, "rounds": FEW, "unrolled_updates": FEW,
    "strict": False,
}  # fmt: skip
"""What a recipe's fields are in a smoke run, where it has them: MDC makes its first choice after two restarts, and a
strict budget holds no decoders of digits."""

SETS = "results/sets"  # condensed sets of at most two megabytes, and their provenance
_smoke: Path | None = None  # the folder of a smoke run, which goes when the program ends
_scale, _device = "cpu", "cpu"


def options(description: str | None, data: bool = True, figures: bool = False) -> argparse.ArgumentParser:
    """The parser of an experiment's options: `--data-dir` if it reads data, `--figures` if it draws some."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    if data:
        parser.add_argument("--data-dir", type=Path, help="holds MNIST/, FashionMNIST/, ...")
    if figures:
        parser.add_argument("--figures", type=Path, metavar="DIR", help="draw plots into this folder")
    return parser


def parsed(parser: argparse.ArgumentParser, papers: bool = False, **smoke: Any) -> argparse.Namespace:
    """The options of an experiment, with `--again`, `--scale` and `--device` added.

    Arguments:
        papers: whether the program has the papers' own settings, so that it can run at `gpu` scale.
        smoke: values of options in a smoke run, if the defaults would leave a part of the program unrun.

    Raises:
        InputError: a GPU is asked for where there is none.
    """
    global _smoke, _scale, _device
    parser.add_argument("--again", action="store_true", help="measure again what the results file already contains")
    parser.add_argument(
        "--scale", choices=["smoke", "cpu", *(["gpu"] if papers else [])], default="cpu",
        help=f"cpu: settings for two cores; {'gpu: those of the papers; ' if papers else ''}smoke: only see that it "
        "works, on the digits, in seconds, and keep nothing",
    )  # fmt: skip
    parser.add_argument("--device", help="where it runs, such as cuda. Default: cuda at the scale gpu, else cpu")
    given = parser.parse_args()
    Table.anew, _scale = given.again, given.scale
    _device = given.device or ("cuda" if at_gpu() else "cpu")
    if given.scale == "smoke":
        _smoke = Path(tempfile.mkdtemp())
        atexit.register(shutil.rmtree, _smoke)
        os.chdir(_smoke)
        vars(given).update(smoke | ({"figures": Path("figures")} if "figures" in given else {}))
    if _device.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(
            f"--{'device cuda' if given.device else 'scale gpu'} needs a GPU that torch can use; there is none"
        )
    return given


def program(main: Callable[[], None]) -> None:
    """Run an experiment; bad input is one line and exit status 2, as on the command line."""
    try:
        main()
    except (InputError, RunError) as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, InputError) else 1)


def at_gpu() -> bool:
    """Whether the program runs at the papers' own scale."""
    return _scale == "gpu"


def on_gpu() -> bool:
    """Whether the program runs on a GPU."""
    return _device.startswith("cuda")


def smoke_run() -> bool:
    """Whether the program only shows that it works."""
    return _smoke is not None


def few(count: int) -> int:
    """The count; in a smoke run at most a few."""
    return min(count, FEW) if _smoke else count


def small(recipe: R) -> R:
    """The recipe; in a smoke run with a few steps in a tiny network."""
    if not _smoke:
        return recipe
    fields = {name: value for name, value in SMALL.items() if name in vars(recipe)}
    if isinstance(recipe, Wrapper):
        fields["base"] = small(recipe.base)
    return replace(recipe, **fields)


def brief(protocol: ProtocolFor) -> ProtocolFor:
    """The protocol; in a smoke run with a few steps."""

    def shortened(data: Data, condensed: Condensed | None = None, net: Architecture | None = None) -> Protocol:
        return replace(protocol(data, condensed, net), steps=FEW, seconds=None)

    return shortened if _smoke else protocol


def write_figures(figures: Figures, folder: Path) -> None:
    """Write SVGs by their names into a folder."""
    from condensery.evaluation.plots import svg

    folder.mkdir(parents=True, exist_ok=True)
    for name, axes in figures.items():
        storage.write(folder / f"{name}.svg", svg(axes))


def compiled() -> AbstractContextManager[None]:
    """Compile the steps inside the block on a CPU, except in a smoke run, where compiling would take longest."""
    return during("plain" if _device != "cpu" else "passes" if _smoke else "compiled")


def read(reader: Callable[[Path | None], Data], folder: Path | None) -> Data:
    """The data that a reader finds in a folder, on the device; in a smoke run some of the embedded digits."""
    if not _smoke:
        return reader(folder).to(device=_device)
    data = cd.digits()
    parts = [(part.images[part.labels < FEW], part.labels[part.labels < FEW]) for part in (data.train, data.test)]
    return cd.from_arrays(*parts[0], *parts[1], name=data.name).to(device=_device)


def evaluate(
    sets: Condensed | Sequence[Condensed],
    data: Data,
    net: Net | None = None,
    protocol: ProtocolFor = cd.dc2021,
    repeats: int = 5,
    dtype: torch.dtype | None = None,
) -> Accuracy:
    """`condensery.evaluate`, with one tiny network in a smoke run."""
    if _smoke:
        net, repeats = TINY, 1
    return cd.evaluate(sets, data, net, brief(protocol), repeats, dtype=dtype)


def evaluate_whole(data: Data, net: Net = ConvNet(), repeats: int = 5) -> Accuracy:
    """`condensery.evaluate_whole` by the present code, with a tiny network in a smoke run."""
    with storage.without_cache():  # networks that earlier code trained would be there
        return cd.evaluate_whole(data, TINY if _smoke else net, brief(cd.whole), few(repeats))


@cache
def commit() -> str:
    """The commit of the code when the program first asks.

    A working tree that differs from it is refused, except in a smoke run.
    """
    if _smoke:
        return "smoke"
    if not Path(cd.__file__).is_relative_to(ROOT):
        raise SystemExit(f"the library imported is {cd.__file__}, not the one beside this experiment")
    changed = subprocess.run(
        ["git", "status", "--porcelain", "--", "src", "experiments"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if changed:
        raise SystemExit(f"commit first, so that the figures name the code they come from:\n{changed}")
    head = ["git", "rev-parse", "HEAD"]
    return subprocess.run(head, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


@dataclass(frozen=True)
class Kept:
    """The set of a run, the seconds of condensing, and the commits and the processor that made it."""

    condensed: Condensed
    seconds: float
    commit: str
    processor: str


def kept(recipe: Recipe, data: Data, out: Path) -> Kept:
    """Run a recipe in a folder: start it, resume it, or return the finished set."""
    made_at = out.with_name(f"{out.name}.commit.txt")  # beside the folder, which is the run's own
    if not (out / "condensed.safetensors").exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        before = made_at.read_text().split() if made_at.exists() and out.exists() else []
        made_at.write_text(" ".join(dict.fromkeys([*before, commit()])))  # several, if another commit resumed the run

    def observe(step: Step) -> None:
        if step.done % 50 == 0:
            print(out.name, f"{step.done}/{step.total}", step.loss, flush=True)

    made = cd.run(small(recipe), data, out, observe=observe, progress=False)
    processor: str = environment(data.train.device)["processor"]
    return Kept(made, seconds_of(out), made_at.read_text() if made_at.exists() else "not kept", processor)


def stored(name: str, recipe: Recipe, data: Data) -> Kept:
    """The set that tables share under a name: condensed once, then read from `results/sets` (or `runs/sets` if large).

    Raises:
        InputError: the file holds a set of another recipe or of other data.
    """
    folder = (_smoke or ROOT) / SETS
    path, index = folder / f"{name}.safetensors", folder / "sets.json"

    def rows() -> dict[str, dict[str, Any]]:
        return {row["name"]: row for row in json.loads(index.read_text())["rows"]} if index.exists() else {}

    if path.exists() and name in (known := rows()):
        there = cd.load(path)
        recorded = Recipe.of_record(there.recipe).record()  # fields that the recipe got since have their defaults
        if (recorded, there.data["fingerprint"]) != (small(recipe).record(), data.train.fingerprint):
            raise InputError(f"{path}: made by another recipe or from other data; remove it to condense anew")
        return Kept(there, *(known[name][key] for key in ("seconds", "commit", "processor")))
    out = (_smoke or ROOT) / "runs" / "sets" / name
    made = kept(recipe, data, out)
    artifact = out / "condensed.safetensors"
    if artifact.stat().st_size < 2**21:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(artifact, path)
        about = "Condensed sets of the tables, with which anyone can measure a figure again without condensing"
        with storage.locked(out.parent, wait=True):  # other programs may add to it at the same time
            known = rows()
            known[name] = {
                "name": name, "recipe": made.condensed.recipe, "data": made.condensed.data, "seconds": made.seconds,
                "commit": made.commit, "version": cd.__version__, "date": time.strftime("%Y-%m-%d"),
                **environment(data.train.device),
            }  # fmt: skip
            content = {"about": about, "rows": [known[name] for name in sorted(known)]}
            storage.write(index, (json.dumps(content, indent=1) + "\n").encode())
    return made


def condensed(recipe: Recipe, data: Data, observe: Callable[[Step], None] | None = None) -> tuple[Condensed, float]:
    """The set of a recipe, condensed in memory, and the seconds that it took."""
    start = time.perf_counter()
    made = cd.condense(small(recipe), data.train, observe, progress=False)
    return made, time.perf_counter() - start


def by_hand(synthetic: SyntheticSet, data: Data, recipe: dict[str, Any]) -> Condensed:
    """A synthetic set that no recipe made, as a `Condensed` that can be evaluated."""
    origin = {"name": data.name, "fingerprint": data.train.fingerprint, "rows": len(data.train)}
    return Condensed(synthetic, data.class_names, recipe, 0, origin)


class Table:
    """A results file. A cell that it contains is not measured again, except with `--again`.

    Arguments:
        name: `results/<name>.json`; the table's runs are kept in `runs/<name>/`.
        about: a description of the table, which the file contains.
    """

    anew = False

    def __init__(self, name: str, about: str):
        place = _smoke or ROOT
        self.renewed: list[dict[str, Any]] = []
        self.path, self.runs = place / "results" / f"{name}.json", place / "runs" / name
        self.about, self.commit = about, commit()
        self.path.parent.mkdir(exist_ok=True)
        self.runs.parent.mkdir(exist_ok=True)

    def rows(self) -> list[dict[str, Any]]:
        return json.loads(self.path.read_text())["rows"] if self.path.exists() else []

    def curves(self, name: Callable[[dict[str, Any]], str], x: str, **cell: Any) -> dict[str, dict[int, list[float]]]:
        """The accuracies of the rows of a cell, by the name of their curve and by the number `x` of each row."""
        lines: dict[str, dict[int, list[float]]] = {}
        for row in self.rows():
            if all(row.get(k) == v for k, v in cell.items()):
                lines.setdefault(name(row), {})[round(row[x])] = row["runs"]
        return lines

    def has(self, **cell: Any) -> bool:
        """Whether the file contains a cell, with a message if so; with `--again` the cell is removed."""
        found = [row for row in self.rows() if all(row.get(k) == v for k, v in cell.items())]
        if found and self.anew and cell not in self.renewed:
            self.renewed.append(cell)
            self._change(lambda rows: [row for row in rows if row not in found])
            return False
        if found:
            print(f"{cell}: already in results/{self.path.name}; --again measures it again", flush=True)
        return bool(found)

    def add(
        self,
        data: Data,
        reached: Accuracy,
        recipe: dict[str, Any],
        condense_seconds: float,
        condensed_at: str = "",
        condensed_on: str = "",
        **cell: Any,
    ) -> None:
        """Write a row.

        Arguments:
            condensed_at: the commits at which a kept set was made. Empty: the present one.
            condensed_on: the processor that made it. Empty: this one.
        """
        assert isinstance(reached.net, Net)  # of which a row can say everything
        row = {
            **cell,
            "accuracy": reached.mean, "std": reached.std, "n": len(reached.runs), "sets": reached.sets,
            "runs": list(reached.runs),
            "protocol": reached.protocol, "network": record(reached.net), "recipe": recipe,
            "condense_seconds": round(condense_seconds, 1), "evaluation_seconds": round(reached.seconds, 1),
            **self._provenance(data, condensed_at, condensed_on),
        }  # fmt: skip
        self._append(row)
        print(
            f"{cell}: {reached} (condensed in {condense_seconds:.0f} s, measured in {reached.seconds:.0f} s)",
            flush=True,
        )

    def note(self, data: Data, values: dict[str, float], recipe: dict[str, Any], **cell: Any) -> None:
        """Write a row of numbers by their names that are not accuracies."""
        self._append({**cell, **values, "recipe": recipe, **self._provenance(data)})
        print(f"{cell}: {', '.join(f'{name} {value:.4g}' for name, value in values.items())}", flush=True)

    def _provenance(self, data: Data, condensed_at: str = "", condensed_on: str = "") -> dict[str, Any]:
        here = environment(data.train.device)
        return {
            "data": {"folder": data.source.name if data.source else "embedded", "fingerprint": data.train.fingerprint},
            "commit": self.commit, "condensed_at": condensed_at or self.commit,
            "condensed_on": condensed_on or here["processor"],
            "version": cd.__version__, "date": time.strftime("%Y-%m-%d"), **here,
        }  # fmt: skip

    def again(self, recipe: dict[str, Any], protocol: str, **cell: Any) -> bool:
        """Whether a row has the same recipe and protocol; if so, it is used for this cell too."""
        wanted = (json.loads(json.dumps(recipe)), protocol)
        row = next((row for row in self.rows() if (row["recipe"], row["protocol"]) == wanted), None)
        if row and not self.anew:
            self._append({**row, **cell})
        return row is not None and not self.anew

    def _append(self, row: dict[str, Any]) -> None:
        self._change(lambda rows: [*rows, row])

    def _change(self, changed: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
        """Write other rows in place of those that are there, which several programs may do at the same time."""
        with storage.locked(self.runs.parent, wait=True):
            content = {"about": self.about, "rows": changed(self.rows())}
            storage.write(self.path, (json.dumps(content, indent=1) + "\n").encode())
