"""Tables as lists of cells: what is condensed, how it is measured, and what the paper reports."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import sets
import torch
from record import (
    Figures,
    Kept,
    Table,
    at_gpu,
    evaluate,
    evaluate_whole,
    few,
    on_gpu,
    options,
    parsed,
    read,
    smoke_run,
    write_figures,
)

from condensery import Condensed, ConvNet, InputError, Net, Recipe
from condensery.data import Data
from condensery.evaluation import protocols
from condensery.evaluation.protocols import Protocol, ProtocolFor
from condensery.networks.densenet import DenseNet
from condensery.networks.names import named
from condensery.networks.net import Architecture, described
from condensery.networks.resnet import ResNet

__all__ = ["IDC_NETS", "Cell", "at_hand", "fill", "having", "idc_net", "protocol_of"]


@dataclass(frozen=True)
class Cell:
    """One figure of a table.

    Arguments:
        dataset: a key of `sets.READERS`.
        ipc: stored images per class. None: the whole real set.
        method: one of `sets.METHODS`, or "whole" for networks trained on the whole training part.
        protocol: the name of the evaluation protocol; see `protocol_of`.
        net: the network that is measured. None: the one in which the set is condensed.
        recipe: makes the recipe from the usual one, which `sets.recipe_of` gives; `variant` then names it.
        variant: what differs from the usual set, for its name and as a key of the row.
        change: what is done to the condensed set before it is measured.
        paper: the published figure, such as "91.7 ± 0.5". None: there is none.
        sets, repeats: number of sets with different seeds, and networks on each.
        half: whether the networks are trained in bfloat16.
        gpu: whether the cell is measured on a GPU only, because it takes too long on a CPU.
        label: what the table calls the case. Tables may call the same measurement by different names.
        more: further keys of the row.
    """

    dataset: str
    ipc: int | None
    method: str
    protocol: str
    net: Architecture | None = None
    recipe: Callable[[Recipe], Recipe] | None = None
    variant: str = ""
    change: Callable[[Condensed], Condensed] | None = None
    paper: str | None = None
    sets: int = 1
    repeats: int = 5
    half: bool = False
    gpu: bool = False
    label: str = ""
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def keys(self) -> dict[str, Any]:
        """What identifies the row; a set that was learned at `gpu` scale has a row of its own."""
        return {
            "scale": "gpu" if at_gpu() and self.method in sets.LEARNED else None,
            "dataset": self.dataset, "ipc": self.ipc, "method": self.method, "protocol_name": self.protocol,
            "measured_in": None if self.net is None else described(self.net), "variant": self.variant,
            "half": self.half or None, "change": self.change and self.change.__name__, **self.more,
        }  # fmt: skip

    def made(self, data: Data, seed: int) -> Kept:
        """The condensed set with a seed, as it is measured."""
        assert self.ipc is not None
        kept = sets.made(data, self.dataset, self.ipc, self.method, seed, self.recipe, self.variant)
        return kept if self.change is None else replace(kept, condensed=self.change(kept.condensed))


def having(**fields: Any) -> Callable[[Recipe], Recipe]:
    """For `Cell.recipe`: the usual recipe with other values of some fields."""
    return lambda usual: usual.having(**fields)


IDC_NETS: dict[str, Net] = {
    "resnet10": ResNet(depth=10, init="normal"), "resnet18": ResNet(init="normal"), "densenet121": DenseNet(growth=12),
}  # fmt: skip
"""Networks that in IDC's program differ from those of DC's program or of their own papers, by the usual name."""


def idc_net(name: str) -> Net | str:
    """The network with a name, as it is in IDC's program."""
    return IDC_NETS.get(name, name)


def protocol_of(name: str) -> ProtocolFor:
    """The protocol with a name such as fixed-steps, or with another length, such as "kfs2022, 500 steps"."""
    name, _, length = name.partition(", ")
    found: ProtocolFor = getattr(protocols, name.replace("-", "_"))
    if not length:
        return found
    number, unit = length.split()

    def protocol(data: Data, condensed: Condensed | None = None, net: Architecture | None = None) -> Protocol:
        rules = found(data, condensed, net)
        steps, seconds = (int(number), None) if unit == "steps" else (None, float(number))
        return replace(rules, name=f"{rules.name.partition(' (')[0]}, {length}", steps=steps, seconds=seconds)

    return protocol


Draw = Callable[[Table], Figures]
"""Makes pictures of a table: SVGs by their names."""


def fill(
    name: str,
    about: str,
    cells: Sequence[Cell],
    description: str | None,
    draw: Draw | None = None,
    papers: bool = True,
    **smoke: Any,
) -> None:
    """Measure all cells of a table that its results file does not contain; parses the command line first.

    Cells of data that are not at hand are left out, with a line that says so.

    Arguments:
        name: the table is `results/<name>.json`.
        about: a description of the table, which the file contains.
        cells: the cells, in the order in which they are measured.
        description: the help of the program.
        draw: makes pictures of the measured table, which are written only if `--figures` is given.
        papers: whether the cells have the papers' own settings at `gpu` scale.
        smoke: see `record.parsed`.
    """
    parser = options(description, figures=draw is not None)
    parser.add_argument("--data", nargs="+", metavar="NAME", help="only cells of these data sets")
    parser.add_argument("--methods", nargs="+", metavar="NAME", help="only cells of these methods")
    parser.add_argument("--ipc", nargs="+", type=int, metavar="N", help="only cells of these sizes")
    given = parsed(parser, papers, **smoke)
    table = Table(name, about)
    _measure(table, _some(cells, given), given.data_dir)
    if draw and given.figures:
        write_figures(draw(table), given.figures)


def _measure(table: Table, cells: Sequence[Cell], folder: Path | None) -> None:
    """Measure the cells that the table does not contain."""
    known: dict[str, Data | None] = {}
    for cell in cells:
        if cell.gpu and not (on_gpu() or smoke_run()):
            print(f"{cell.keys}: left as it is; measuring it needs a GPU", flush=True)
            continue
        if table.has(**cell.keys):
            continue
        if cell.dataset not in known:
            known[cell.dataset] = at_hand(cell.dataset, folder)
        if (data := known[cell.dataset]) is None:
            continue
        net, protocol = named(cell.net) if isinstance(cell.net, str) else cell.net, protocol_of(cell.protocol)
        assert net is None or isinstance(net, Net)
        if cell.method == "whole":
            reached = evaluate_whole(data, net or ConvNet(), cell.repeats)
            table.add(data, reached, {"name": "whole"}, 0.0, **cell.keys, paper=cell.paper)
            continue
        made = [cell.made(data, seed) for seed in range(few(cell.sets))]
        reached = evaluate(
            [kept.condensed for kept in made], data, net, protocol, cell.repeats, torch.bfloat16 if cell.half else None
        )
        first = made[0]
        table.add(
            data, reached, first.condensed.recipe, first.seconds, first.commit, first.processor, **cell.keys,
            floats=first.condensed.floats, bytes=first.condensed.bytes, paper=cell.paper,
        )  # fmt: skip


def _some(cells: Sequence[Cell], given: argparse.Namespace) -> list[Cell]:
    """The cells that the command line asks for; in a smoke run one for every kind of cell."""
    wanted = {"dataset": given.data, "method": given.methods, "ipc": given.ipc}
    asked = [
        cell for cell in cells
        if all(values is None or getattr(cell, key) in values for key, values in wanted.items())
    ]  # fmt: skip
    if not asked:
        raise InputError("no cell of this table has these data, methods and numbers of images")
    if not smoke_run():
        return asked
    first: dict[tuple[Any, ...], Cell] = {}
    for cell in asked:
        for kind in ("method", "protocol"):
            first.setdefault((kind, getattr(cell, kind)), cell)
        for kind in ("recipe", "change", "net"):
            first.setdefault((kind, getattr(cell, kind) is None), cell)
    return [cell for cell in asked if cell in first.values()]


def at_hand(dataset: str, folder: Path | None) -> Data | None:
    """The data set, or None and a line that says why not."""
    try:
        return read(sets.READERS[dataset], folder)
    except InputError as error:
        print(f"not run: data absent ({error})", flush=True)
        return None
