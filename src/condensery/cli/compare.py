"""The command `compare`."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from condensery.cli.condense import hint, kept, say_made, started_by_options, within
from condensery.cli.measure import (
    about_run,
    accuracy_words,
    dtype_of,
    figures_of,
    mean_of,
    protocol_of,
    say_written,
    warn_of_few,
)
from condensery.cli.names import RECIPES, chosen, folder, having, usual
from condensery.cli.options import CompareOptions
from condensery.cli.parsing import parse
from condensery.cli.sources import Source, read
from condensery.cli.table import Table
from condensery.console import progress
from condensery.errors import InputError
from condensery.networks.convnet import ConvNet
from condensery.networks.names import named
from condensery.networks.net import Architecture, described, record
from condensery.recipes import Recipe

if TYPE_CHECKING:
    from condensery.data import Data
    from condensery.evaluation.compare import Comparison
    from condensery.runs.condensed import Condensed

__all__ = ["compare_command"]

log = logging.getLogger("condensery")


def compare_command(argv: list[str]) -> int:
    net = chosen(argv) or ConvNet()
    unset = CompareOptions(Source(tyro.MISSING), tyro.MISSING, network=described(net), net=net)
    options = parse(CompareOptions, argv, "compare", unset)
    measuring = options.measuring
    if not options.methods:
        raise InputError(f"--methods is empty; give at least one of {', '.join(RECIPES)}")
    if not 1 <= options.sets <= 1000:
        raise InputError(f"--sets must be at least 1 and at most 1000, got {options.sets}")
    names = options.methods if "random" in options.methods else ("random", *options.methods)
    fields: dict[str, Any] = {"net": options.net} if options.budget else {"ipc": options.ipc, "net": options.net}
    seeds = range(measuring.seed, measuring.seed + options.sets)
    rows = [_preset(name, options.source.data, seeds, **fields) for name in names]
    twice = [row.name for i, row in enumerate(rows) if row.name in [r.name for r in rows[:i]]]
    if twice:
        raise InputError(f"--methods: {twice[0]} is named twice; leave one out")
    rows.sort(key=lambda row: row.name != "random")  # the first is the one that others are compared with
    nets = [options.net if (asked := named(name)) == net else asked for name in options.networks] or [options.net]
    protocol = protocol_of(measuring)
    from condensery.evaluation.compare import compare

    data = read(options.source)
    if options.budget is not None:
        rows = [row.within(options.budget, data, argv) for row in rows]
        options = replace(options, ipc=min(row.recipes[0].ipc for row in rows))
    if beyond := [size for size in options.sizes if not 1 <= size <= options.ipc]:
        given = "the smallest set within --budget" if options.budget else "a set (--ipc)"
        raise InputError(f"--sizes {beyond[0]}: give 1 to {options.ipc}, the number of images per class in {given}")
    warn_of_few(data)
    out = None if options.out is None else Path(options.out)
    for row in rows:
        row.check(data, out, options.sizes)

    found: list[Comparison] = []
    recipes = [{"row": row.name, **recipe.record()} for row in rows for recipe in row.recipes]
    about = about_run(options.source, data, {"recipes": recipes})

    def tell(row: "Comparison") -> None:
        found.append(row)
        size = f", {row.images} per class" if len(options.sizes) > 1 and row.images else ""
        log.info(
            f"{row.method}{size}{f', {described(row.accuracy.net)}' if len(nets) > 1 else ''}: {row.accuracy} "
            f"(condensed in {row.seconds:.0f} s, evaluated in {row.accuracy.seconds:.0f} s)"
        )
        _compared(found, options, nets, data).write(measuring, about)  # after every row: a kill loses no figures

    try:
        compare(
            (row.made(data, out, options.source) for row in rows),
            data, nets, protocol, measuring.repeats, measuring.seed, options.sizes, options.whole, tell,
            dtype_of(measuring),
        )  # fmt: skip
    finally:  # print the table even if it is interrupted or the disk is full
        if found:
            _compared(found, options, nets, data).show()
    say_written(*measuring.files)
    if out is not None:
        folders = [folder for row in rows for folder in row.folders(out)]
        say_made(*folders)
        hint("show", str(folders[-1]), "--png", str(out / "condensed.png"))
    return 0


def _compared(found: "list[Comparison]", options: CompareOptions, nets: Sequence[Architecture], data: "Data") -> Table:
    """The table of a comparison; columns in which all rows are the same stand in the title."""
    measuring, several = options.measuring, len(options.sizes) > 1
    head = ["method", "accuracy %", "95 % interval", f"over {found[0].method}", "stored floats", "bytes", "seconds"]
    protocols = dict.fromkeys(row.accuracy.protocol for row in found if row.images is not None)  # not of the whole set
    lines, records = [], []
    for row in found:
        gain = "-" if row.gain is None else str(row.gain)
        seconds = f"{row.seconds:.1f}" if row.seconds else "-"
        line = [row.method, *accuracy_words(row.accuracy), gain, f"{row.floats:,}", f"{row.bytes:,}", seconds]
        if several:
            line.insert(1, "all" if row.images is None else str(row.images))
        if len(protocols) > 1:
            line.insert(1, row.accuracy.protocol)
        if len(nets) > 1:
            line.insert(1, described(row.accuracy.net))
        lines.append(tuple(line))
        records.append({
            "method": row.method, "network": record(row.accuracy.net), "images": row.images,
            **figures_of(row.accuracy),
            "gain": row.gain and row.gain.mean, "gain half width": row.gain and row.gain.half_width,
            "significant": row.gain and row.gain.significant,
            "floats": row.floats, "bytes": row.bytes, "seconds": row.seconds,
        })  # fmt: skip
    if several:
        head.insert(1, "first per class" if options.budget else f"first of {options.ipc} per class")
    if len(protocols) > 1:
        head.insert(1, "protocol")
    if len(nets) > 1:
        head.insert(1, "network")
    size = options.sizes[0] if options.sizes else options.ipc
    part = f"first {size} of {options.ipc}" if size < options.ipc else str(size)
    images = f"{part} image{'s' if options.ipc > 1 else ''} per class"
    if options.budget:
        images = f"at most {options.budget}" + (f", first {size} per class" if options.sizes else "")
    title = [data.name, *([] if several else [images])]
    title += [] if len(protocols) > 1 else [f"protocol {next(iter(protocols))}"]
    title += [] if len(nets) > 1 else [described(nets[0])]
    about = f"{mean_of(measuring.repeats, options.sets)} on {len(data.test)} test rows"
    gains = [row.gain for row in found if row.gain]
    marks = "; ~: not significant" if any(gain.significant is False for gain in gains) else ""
    marks += "; ?: a single value, significance unknown" if any(gain.significant is None for gain in gains) else ""
    return Table(f"{', '.join(title)}; {about}{marks}", tuple(head), lines, records)


@dataclass(frozen=True)
class _Row:
    """One row of the table: the name of a preset, and its recipe with one seed per set."""

    name: str
    recipes: tuple[Recipe, ...]

    def folders(self, out: Path) -> list[Path]:
        """The folders of the runs; the sets after the first have their seed in the name."""
        first = self.recipes[0]
        plain = folder(self.name, first)
        return [out / (f"{plain}-{r.seed}" if r.seed != first.seed else plain) for r in self.recipes]

    def within(self, budget: str, data: "Data", argv: list[str]) -> "_Row":
        """The same row with sets that the budget allows; see `condense.within`."""
        made = within(self.name, self.recipes[0], budget, data.train, argv)
        return replace(self, recipes=tuple(made.having(seed=recipe.seed) for recipe in self.recipes))

    def check(self, data: "Data", out: Path | None, sizes: Sequence[int]) -> None:
        """Refuse wrong input of this recipe before the first one runs.

        Raises:
            InputError: the recipe refuses the data, it stores codes where images are to be counted, or a folder
                contains another run.
        """
        from condensery.decoders import Factorized

        made = self.recipes[0].algorithm(data.train).synthetic
        if sizes and isinstance(made.decoder, Factorized):
            raise InputError(f"--sizes counts images, and {self.name} stores codes; leave one of them out")
        if out is not None:
            from condensery.runs.run import check_folder

            for each, folder in zip(self.recipes, self.folders(out), strict=True):
                check_folder(each, data.train, folder)

    def made(self, data: "Data", out: Path | None, source: Source) -> "tuple[str, list[Condensed], float]":
        """The name, the sets and the seconds of condensing the first of them."""
        if out is not None:
            from condensery.runs.session import seconds_of

            folders, started = self.folders(out), started_by_options(source, name=self.name)
            pairs = zip(self.recipes, folders, strict=True)
            sets = [kept(self.name, each, folder, data, started=started) for each, folder in pairs]
            return self.name, sets, seconds_of(folders[0])
        start, sets, seconds = time.perf_counter(), [], 0.0
        for each in self.recipes:
            sets.append(self._condensed(each, data))
            seconds = seconds or time.perf_counter() - start
        return self.name, sets, seconds

    def _condensed(self, recipe: Recipe, data: "Data") -> "Condensed":
        from condensery.runs.run import condense

        with progress(self.name) as observe:
            return condense(recipe, data.train, observe, progress=False)


def _preset(name: str, data: str, seeds: Sequence[int], **fields: Any) -> _Row:
    name = usual(name, data)
    made = having(name, **fields)
    return _Row(name.replace(":paper", ""), tuple(made.having(seed=seed) for seed in seeds))
