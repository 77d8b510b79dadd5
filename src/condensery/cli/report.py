"""The command `report`."""

import logging
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from condensery.cli.condense import started_from
from condensery.cli.evaluate import as_condensed
from condensery.cli.measure import protocol_of
from condensery.cli.options import Measuring, ReportOptions
from condensery.cli.parsing import parse, writable
from condensery.cli.sources import merged, read, words_of
from condensery.console import say
from condensery.errors import InputError

if TYPE_CHECKING:
    from condensery.data import Data
    from condensery.evaluation.figures import Figure
    from condensery.runs.condensed import Condensed

__all__ = ["report_command"]

log = logging.getLogger("condensery")


def report_command(argv: list[str]) -> int:
    options = parse(ReportOptions, argv, "report")
    from condensery.evaluation.figures import figures_in
    from condensery.report.report import report
    from condensery.runs import storage
    from condensery.runs.artifact import load

    writable(Path(options.out), f"--out {options.out}", ".html")
    figures = {path: figures_in(path) for path in options.figures}
    sets = {run: load(run) for run in options.runs}
    data = _data(options, sets)
    if options.measure:
        report(options.runs, data, figures)  # what cannot be shown is refused before hours of training
        figures |= _measured(options, sets, data)
    page = report(options.runs, data, figures).encode(errors="backslashreplace")  # file names may not be UTF-8
    storage.write(Path(options.out), page)
    say(f"written: {options.out} ({len(page) / 1e6:.1f} MB); open it in a browser")
    if not figures:
        say("note: it shows no accuracies; give --figures FILE (of evaluate --json or compare --json), or --measure")
    return 0


def _data(options: ReportOptions, sets: "Mapping[str, Condensed]") -> "dict[str, Data]":
    """The data of the options, or else all data that runs were started from, by the options that name them."""
    given = options.source.data != "auto"
    begun = [] if given else [source for run in sets if (source := started_from(Path(run)))]
    sources = [options.source] if given else [merged(source, options.source) for source in begun]
    found: dict[str, Data] = {}
    for source in dict.fromkeys(sources):
        try:
            data = read(replace(source, zca=False))
        except InputError as error:
            if given:
                raise
            log.info(f"--data {source.data} is left out: {error}")
            continue
        if not any(data.train.fingerprint == other.train.fingerprint for other in found.values()):
            found[shlex.join(words_of(source))] = data
    shown = [run for data in found.values() for run in _made_from(data, sets)]
    for run, condensed in sets.items():
        if run not in shown:
            log.log(
                logging.WARNING if given else logging.INFO,
                f"no real images are shown beside those of {run}, because the training rows that it was condensed "
                f"from ({condensed.data['name']}) were not found; give --data",
            )
    return found


def _made_from(data: "Data", sets: "Mapping[str, Condensed]") -> "dict[str, Condensed]":
    """The sets that were condensed from these data."""
    return {run: each for run, each in sets.items() if each.data["fingerprint"] == data.train.fingerprint}


def _measured(
    options: ReportOptions, sets: "Mapping[str, Condensed]", data: "Mapping[str, Data]"
) -> "dict[str, list[Figure]]":
    """Accuracies of the sets, for each of the data that they were condensed from.

    Raises:
        InputError: there are no such data, or the first of the sets was condensed in a user-defined network.
    """
    found: dict[str, list[Figure]] = {}
    groups = [(words, of, own) for words, of in data.items() if (own := _made_from(of, sets))]
    for _, _, own in groups:
        where, first = next(iter(own.items()))
        if first.net is None:
            raise InputError(f"{where} was condensed in a user-defined network; measure it in Python")
    try:
        for words, of, own in groups:
            _measure(options, own, of, f"measured for this report with {words}", found)
    except KeyboardInterrupt:
        if not found:
            raise
        log.warning("stopped; the page shows what was measured until then")
    if not found:
        raise InputError("--measure needs the data that the sets were condensed from; give --data")
    return found


def _measure(
    options: ReportOptions, sets: "Mapping[str, Condensed]", plain: "Data", name: str, into: "dict[str, list[Figure]]"
) -> None:
    """Measure random and herding images of as many bytes as the first set, all sets, and the whole data."""
    import msgspec

    from condensery.evaluation.compare import Comparison, compare
    from condensery.evaluation.evaluate import asked
    from condensery.evaluation.figures import Figure
    from condensery.evaluation.scores import equal_storage
    from condensery.networks.net import record
    from condensery.recipes import Herding, Random, Recipe
    from condensery.runs.run import condense

    first = next(iter(sets.values()))
    usual = Recipe.protocol_of(first.recipe)
    protocol = protocol_of(Measuring(protocol=options.protocol, repeats=options.repeats), usual)
    data = as_condensed(first, plain, options.source.flip)
    net = asked(None, first, data, protocol)
    real: dict[str, Condensed] = {}
    try:
        images = equal_storage(first, data)[1]
        real = {kind.name: condense(kind(ipc=images, net=net), data.train) for kind in (Random, Herding)}
    except InputError as error:
        log.info(f"no real images of as many bytes are measured: {error}")
    methods = [Random.name, Herding.name, *(condensed.method for condensed in sets.values())]
    own = {
        condensed.method if methods.count(condensed.method) == 1 else f"{condensed.method} ({run})": condensed
        for run, condensed in sets.items()
    }
    rows = {**real, **own}
    log.info(
        f"{len(rows)} sets and the whole real set are measured under {options.protocol or usual}; Ctrl-C stops early"
    )

    def tell(row: Comparison) -> None:
        made, reached = rows.get(row.method), row.accuracy
        log.info(f"{row.method}: {reached} ({reached.seconds:.0f} s)")
        figure = Figure(
            reached.mean, reached.std, list(reached.runs), reached.protocol, row.floats, row.bytes,
            msgspec.to_builtins(record(reached.net)), row.method, reached.half_width, reached.sets, row.images,
            confusion=[list(counts) for counts in reached.confusion or ()] or None,
            recipes=[made.recipe] if made else [], fingerprint=plain.train.fingerprint,
        )  # fmt: skip
        into.setdefault(name, []).append(figure)

    compare(rows, data, net, protocol, options.repeats, observe=tell)
