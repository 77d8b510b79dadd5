"""Tables as lists of cells: what is condensed, how it is measured, and what the paper reports."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sets
from record import Kept, Table, at_gpu, evaluate, evaluate_whole, few, parsed, read, stored

from condensery import ConvNet, InputError, Net, Recipe
from condensery.data import Data
from condensery.evaluation import protocols
from condensery.evaluation.protocols import ProtocolFor
from condensery.networks.names import named
from condensery.networks.net import Architecture, described

__all__ = ["Cell", "fill", "protocol_of"]


@dataclass(frozen=True)
class Cell:
    """One figure of a table.

    Arguments:
        dataset: a key of `sets.READERS`.
        ipc: stored images per class. None: the whole real set.
        method: one of `sets.METHODS`, or "whole" for networks trained on the whole training part.
        protocol: the name of the evaluation protocol.
        net: the network that is measured. None: the one in which the set is condensed.
        recipe: the recipe, if it is not the one that `sets.recipe_of` gives; `variant` then names it.
        variant: what differs from the usual recipe, for the name of the set and as a key of the row.
        paper: the published figure, such as "91.7 ± 0.5". None: there is none.
        sets, repeats: number of sets with different seeds, and networks on each.
        more: further keys of the row.
    """

    dataset: str
    ipc: int | None
    method: str
    protocol: str
    net: Architecture | None = None
    recipe: Recipe | None = None
    variant: str = ""
    paper: str | None = None
    sets: int = 1
    repeats: int = 5
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def keys(self) -> dict[str, Any]:
        """What identifies the row."""
        return {
            "dataset": self.dataset, "ipc": self.ipc, "method": self.method, "protocol_name": self.protocol,
            "measured_in": None if self.net is None else described(self.net), "variant": self.variant, **self.more,
        }  # fmt: skip

    def made(self, data: Data, seed: int) -> Kept:
        """The condensed set with a seed."""
        assert self.ipc is not None
        if self.recipe is None:
            return sets.made(data, self.dataset, self.ipc, self.method, seed)
        name = f"{self.dataset}-{self.ipc}-{self.method}-{self.variant}" + (f"-{seed}" if seed else "")
        return stored(name.replace(" ", "-") + ("-paper" if at_gpu() else ""), self.recipe.having(seed=seed), data)


def protocol_of(name: str) -> ProtocolFor:
    """The protocol with a name such as fixed-steps."""
    found: ProtocolFor = getattr(protocols, name.replace("-", "_"))
    return found


def fill(name: str, about: str, cells: Sequence[Cell], description: str | None, **smoke: Any) -> None:
    """Measure all cells of a table that its results file does not contain; parses the command line first.

    Cells of data that are not at hand are left out, with a line that says so.

    Arguments:
        name: the table is `results/<name>.json`.
        about: a description of the table, which the file contains.
        cells: the cells, in the order in which they are measured.
        description: the help of the program.
        smoke: see `record.parsed`.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="holds MNIST/, FashionMNIST/, ...")
    parser.add_argument("--data", nargs="+", metavar="NAME", help="only cells of these data sets")
    parser.add_argument("--methods", nargs="+", metavar="NAME", help="only cells of these methods")
    parser.add_argument("--ipc", nargs="+", type=int, metavar="N", help="only cells of these sizes")
    given = parsed(parser, **smoke)
    table, known = Table(name, about), dict[str, Data | None]()
    for cell in _some(cells, given):
        if table.has(**cell.keys):
            continue
        if cell.dataset not in known:
            known[cell.dataset] = _at_hand(cell.dataset, given.data_dir)
        if (data := known[cell.dataset]) is None:
            continue
        net, protocol = named(cell.net) if isinstance(cell.net, str) else cell.net, protocol_of(cell.protocol)
        assert net is None or isinstance(net, Net)
        if cell.method == "whole":
            reached = evaluate_whole(data, net or ConvNet(), cell.repeats)
            table.add(data, reached, {"name": "whole"}, 0.0, **cell.keys, paper=cell.paper)
            continue
        made = [cell.made(data, seed) for seed in range(few(cell.sets))]
        reached = evaluate([kept.condensed for kept in made], data, net, protocol, cell.repeats)
        first = made[0]
        table.add(
            data, reached, first.condensed.recipe, first.seconds, first.commit, **cell.keys,
            floats=first.condensed.floats, bytes=first.condensed.bytes, paper=cell.paper,
        )  # fmt: skip


def _some(cells: Sequence[Cell], given: argparse.Namespace) -> list[Cell]:
    """The cells that the command line asks for; in a smoke run one for every method, protocol and network."""
    wanted = {"dataset": given.data, "method": given.methods, "ipc": given.ipc}
    asked = [
        cell for cell in cells
        if all(values is None or getattr(cell, key) in values for key, values in wanted.items())
    ]  # fmt: skip
    if given.scale != "smoke":
        return asked
    first: dict[tuple[Any, ...], Cell] = {}
    for cell in asked:
        for seen in (("method", cell.method), ("protocol", cell.protocol), ("net", str(cell.net))):
            first.setdefault(seen, cell)
    return [cell for cell in asked if cell in first.values()]


def _at_hand(dataset: str, folder: Path | None) -> Data | None:
    """The data set, or None and a line that says why not."""
    try:
        return read(sets.READERS[dataset], folder)
    except InputError as error:
        print(f"not run: data absent ({error})", flush=True)
        return None
