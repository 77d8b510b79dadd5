"""The command `report`."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from condensery.cli.measure import protocol_of
from condensery.cli.options import Measuring, ReportOptions
from condensery.cli.parsing import parse, writable
from condensery.cli.sources import Source, read, words_of
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
    figures = {Path(path).name: figures_in(path) for path in options.figures}
    sets = [load(run) for run in options.runs]
    source, data = _source(options, sets)
    if data and data.train.fingerprint != sets[0].data["fingerprint"]:
        log.warning(f"{options.runs[0]} was condensed from other training rows ({sets[0].data['name']})")
    if options.measure:
        if data is None:
            raise InputError("--measure needs the data on which networks are tested; give --data")
        figures["measured for this report"] = _measured(options, sets, data)
    page = report(options.runs, data, figures, words_of(source) if source else ())
    storage.write(Path(options.out), page.encode())
    say(f"written: {options.out} ({len(page.encode()) / 1e6:.1f} MB); open it in a browser")
    if not figures:
        say("note: it shows no accuracies; give --figures FILE (of evaluate --json or compare --json), or --measure")
    return 0


def _source(options: ReportOptions, sets: "list[Condensed]") -> "tuple[Source | None, Data | None]":
    """The data: those of the options, or else what the first run was condensed from, if they can still be read."""
    if options.source.data != "auto":
        return options.source, read(options.source)
    from condensery.cli.condense import started_from

    for run, condensed in zip(options.runs, sets, strict=True):
        if (source := started_from(Path(run))) is not None:
            try:
                found = read(source)
            except InputError as error:
                log.info(f"no real images are shown beside the synthetic ones: {error}")
                return None, None
            if found.train.fingerprint == condensed.data["fingerprint"]:
                return source, found
    log.info("no real images are shown beside the synthetic ones, because --data is not given")
    return None, None


def _measured(options: ReportOptions, sets: "list[Condensed]", data: "Data") -> "list[Figure]":
    """Accuracies of random and herding images of as many bytes as the first set, of all sets, and of the whole data."""
    import msgspec

    from condensery.evaluation.compare import Comparison, compare
    from condensery.evaluation.figures import Figure
    from condensery.networks.net import record
    from condensery.recipes import Herding, Random, Recipe
    from condensery.runs.run import condense

    net = sets[0].net
    if net is None:
        raise InputError(f"{options.runs[0]} was condensed in a user-defined network; measure it in Python")
    real = data.train
    ipc = max(1, min(sets[0].bytes // (real.classes * real.bytes_per_image), *real.sizes))
    rows = [(kind.name, condense(kind(ipc=ipc, net=net), data.train)) for kind in (Random, Herding)]
    rows += [(condensed.method, condensed) for condensed in sets]
    usual = Recipe.protocol_of(sets[0].recipe)
    protocol = protocol_of(Measuring(protocol=options.protocol, repeats=options.repeats), usual)
    log.info(
        f"{len(rows)} sets and the whole real set are measured under {options.protocol or usual}; Ctrl-C stops early"
    )
    found: list[Comparison] = []

    def tell(row: Comparison) -> None:
        found.append(row)
        log.info(f"{row.method}: {row.accuracy} ({row.accuracy.seconds:.0f} s)")

    try:
        compare(dict(rows), data, net, protocol, options.repeats, observe=tell)
    except KeyboardInterrupt:
        if not found:
            raise
        log.warning("stopped; the page shows what was measured until then")
    return [
        Figure(
            row.accuracy.mean, row.accuracy.std, len(row.accuracy.runs), row.accuracy.protocol, row.floats, row.bytes,
            msgspec.to_builtins(record(row.accuracy.net)), row.method, row.accuracy.half_width, row.images,
            confusion=[list(counts) for counts in row.accuracy.confusion or ()] or None,
        )
        for row in found
    ]  # fmt: skip
