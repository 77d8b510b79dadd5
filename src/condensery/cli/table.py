"""A table of figures, on the screen and in files."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from condensery.cli.options import Measuring
from condensery.cli.parsing import writable
from condensery.console import print_table, say

__all__ = ["Table", "check_json", "write_json"]


def check_json(path: str | None) -> None:
    """Check before work begins that the file that an option --json names, if it is given, can be written.

    Raises:
        InputError: it cannot.
    """
    if path is not None:
        writable(Path(path), f"--json {path}")


def write_json(path: str | None, content: Any) -> None:
    """Write the file that an option --json names, if it is given, and say so."""
    if path is not None:
        from condensery.runs import storage

        storage.write(Path(path), (json.dumps(content, indent=2) + "\n").encode())
        say(f"written: {path}")


@dataclass(frozen=True)
class Table:
    """Lines of text for people, and the same rows as records for programs.

    Arguments:
        title: what the figures are.
        head: names of the columns.
        lines: one tuple of texts per row.
        records: one dictionary per row, with the same keys in all rows.
    """

    title: str
    head: tuple[str, ...]
    lines: Sequence[tuple[str, ...]]
    records: Sequence[dict[str, Any]]

    def show(self) -> None:
        """Print the table."""
        print_table(self.title, self.head, self.lines)

    def write(self, measuring: Measuring, about: dict[str, Any]) -> None:
        """Write the files that the options name: JSON has `about` and the records, Markdown and CSV have the rows."""
        from condensery.runs import storage

        contents = {"json": self._json(about), "csv": self._csv(), "markdown": self._markdown()}
        for name, path in measuring.named_files.items():
            storage.write(Path(path), contents[name].encode())

    def _json(self, about: dict[str, Any]) -> str:
        return json.dumps({**about, "results": self.records}, indent=2) + "\n"

    def _csv(self) -> str:
        file = io.StringIO()
        writer = csv.DictWriter(file, list(self.records[0]), lineterminator="\n")
        writer.writeheader()
        for record in self.records:
            writer.writerow({k: json.dumps(v) if isinstance(v, dict | list | tuple) else v for k, v in record.items()})
        return file.getvalue()

    def _markdown(self) -> str:
        lines = [self.head, ("---",) * len(self.head), *self.lines]
        rows = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
        return f"{self.title}\n\n" + "\n".join(rows) + "\n"
