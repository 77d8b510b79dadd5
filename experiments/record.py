"""How an experiment leaves a figure: one JSON file a table in `results/`, with where every figure comes from."""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import condensery
from condensery import __version__
from condensery.algorithms.algorithm import Step
from condensery.data import Data
from condensery.errors import InputError, RunError
from condensery.evaluation.evaluate import Accuracy
from condensery.runs import storage
from condensery.runs.artifact import Condensed
from condensery.runs.checkpoint import environment
from condensery.runs.run import run, seconds_of

ROOT = Path(__file__).parent.parent


def commit() -> str:
    """The commit that the code is at; refuses a tree whose code differs from it."""
    if not Path(condensery.__file__).is_relative_to(ROOT):
        raise SystemExit(f"the library imported is {condensery.__file__}, not the one beside this experiment")
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
    """A run's set, the seconds that it took, and the commit that it was made at."""

    condensed: Condensed
    seconds: float
    commit: str


def kept(recipe: Any, data: Data, out: Path) -> Kept:
    """Run a recipe into a folder, or go on, or take what is there already."""
    made_at = out.with_name(f"{out.name}.commit.txt")  # beside the folder, which is the run's own
    if not (out / "condensed.safetensors").exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        made_at.write_text(commit())

    def observe(step: Step) -> None:
        if step.done % 50 == 0:
            print(out.name, f"{step.done}/{step.total}", step.loss, flush=True)

    condensed = run(recipe, data, out, observe=observe, progress=False)
    return Kept(condensed, seconds_of(out), made_at.read_text() if made_at.exists() else "not kept")


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """An experiment's options, with `--again` among them."""
    parser.add_argument("--again", action="store_true", help="measure anew what the results file has already")
    given = parser.parse_args()
    Table.anew = given.again
    return given


def program(main: Callable[[], None]) -> None:
    """Run an experiment; bad input is one line and exit status 2, as on the command line."""
    try:
        main()
    except (InputError, RunError) as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, InputError) else 1)


class Table:
    """A results file; a cell that is in it already is not computed again, unless that is asked for (`parsed`).

    Arguments:
        name: `results/<name>.json`.
        about: what the table is.
    """

    anew = False

    def __init__(self, name: str, about: str):
        self.renewed: list[dict[str, Any]] = []
        self.path, self.about, self.commit = ROOT / "results" / f"{name}.json", about, commit()
        self.path.parent.mkdir(exist_ok=True)

    def rows(self) -> list[dict[str, Any]]:
        return json.loads(self.path.read_text())["rows"] if self.path.exists() else []

    def has(self, **cell: Any) -> bool:
        """Whether a cell is there, which is then said; where it is to be measured anew it is taken out."""
        rows = self.rows()
        found = [row for row in rows if all(row.get(k) == v for k, v in cell.items())]
        if found and self.anew and cell not in self.renewed:
            self.renewed.append(cell)
            self._write([row for row in rows if row not in found])
            return False
        if found:
            print(f"{cell}: already in {self.path.relative_to(ROOT)}; --again measures anew", flush=True)
        return bool(found)

    def add(
        self,
        data: Data,
        reached: Accuracy,
        recipe: dict[str, Any],
        condense_seconds: float,
        condensed_at: str = "",
        **cell: Any,
    ) -> None:
        """Write a row; `condensed_at` is the commit of a set that was kept, where it is not the present one."""
        row = {
            **cell,
            "accuracy": reached.mean, "std": reached.std, "n": len(reached.runs), "runs": list(reached.runs),
            "protocol": reached.protocol, "network": asdict(reached.net), "recipe": recipe,
            "condense_seconds": round(condense_seconds, 1), "evaluation_seconds": round(reached.seconds, 1),
            "data": {"folder": data.source.name if data.source else "embedded", "fingerprint": data.train.fingerprint},
            "commit": self.commit, "condensed_at": condensed_at or self.commit,
            "version": __version__, "date": time.strftime("%Y-%m-%d"),
            **environment(data.train.device),
        }  # fmt: skip
        self._append(row)
        print(
            f"{cell}: {reached} (condensed in {condense_seconds:.0f} s, measured in {reached.seconds:.0f} s)",
            flush=True,
        )

    def again(self, recipe: dict[str, Any], protocol: str, **cell: Any) -> bool:
        """Whether a row has the same recipe, measured under the same protocol; it then also stands for this cell."""
        wanted = (json.loads(json.dumps(recipe)), protocol)
        row = next((row for row in self.rows() if (row["recipe"], row["protocol"]) == wanted), None)
        if row and not self.anew:
            self._append({**row, **cell})
        return row is not None and not self.anew

    def _append(self, row: dict[str, Any]) -> None:
        self._write([*self.rows(), row])

    def _write(self, rows: list[dict[str, Any]]) -> None:
        content = {"about": self.about, "rows": rows}
        storage.write(self.path, (json.dumps(content, indent=1) + "\n").encode())
