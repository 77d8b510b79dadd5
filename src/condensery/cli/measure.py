"""The commands `evaluate` and `compare`."""

import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from condensery import __version__
from condensery.cli.condense import hint, kept
from condensery.cli.names import PROTOCOLS, RECIPES, chosen, recipe
from condensery.cli.options import CompareOptions, EvaluateOptions, Measuring, parse, writable
from condensery.cli.sources import Source, read
from condensery.console import print_table, progress, say
from condensery.errors import InputError, look_up
from condensery.networks.convnet import ConvNet
from condensery.networks.names import named
from condensery.networks.net import described, record
from condensery.recipes import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from condensery.data import Data
    from condensery.evaluation.evaluate import Accuracy, Comparison
    from condensery.evaluation.protocols import ProtocolFor
    from condensery.runs.condensed import Condensed

__all__ = ["compare_command", "evaluate_command"]

log = logging.getLogger("condensery")


def evaluate_command(argv: list[str]) -> int:
    options = parse(EvaluateOptions, argv, "evaluate")
    from condensery.decoders import Factorized
    from condensery.evaluation.evaluate import evaluate
    from condensery.runs.artifact import load

    condensed = load(options.file)
    if options.plot is not None:
        from condensery.evaluation import plots

        writable(Path(options.plot), f"--plot {options.plot}", ".svg")
        plots.needed()
    most = condensed.bases_per_class
    if beyond := [size for size in options.sizes if not 1 <= size <= most]:
        raise InputError(f"--sizes {beyond[0]}: {options.file} has subsets of 1 to {most} stored images per class")
    sets = {size: condensed.subset(size) for size in options.sizes or (condensed.bases_per_class,)}
    if options.source.zca and not condensed.space.whitening:
        raise InputError(f"{options.file} was condensed without --zca, so its rows cannot be whitened; leave --zca out")
    nets = [named(name) for name in options.networks]
    if not nets:
        if condensed.net is None:
            raise InputError(
                f"{options.file} was condensed in a user-defined network, which is not stored in the file; give "
                "--networks NAME, for example --networks convnet"
            )
        nets = [condensed.net]
    protocol = _protocol(options.measuring)
    data = read(options.source)
    if condensed.data["fingerprint"] != data.train.fingerprint:
        log.warning(f"{options.file} was condensed from other training rows ({condensed.data['name']})")
    _warn_of_few(data)
    measuring, table, records = options.measuring, [], []
    curves: dict[str, dict[int, Accuracy]] = {described(net): {} for net in nets}
    stored = "codes" if isinstance(condensed.synthetic.decoder, Factorized) else "ipc"
    counted = f"{'codes' if stored == 'codes' else 'images'} per class"
    for size, part in sets.items():
        for net in nets:
            reached = evaluate(part, data, net, protocol, measuring.repeats, measuring.seed, dtype=_dtype(measuring))
            log.info(f"{stored} {size}, {described(net)}: {reached} ({reached.seconds:.0f} s)")
            curves[described(net)][size] = reached
            table.append((described(net), str(size), str(reached), reached.protocol, f"{reached.seconds:.0f}"))
            records.append({"network": record(net), stored: size, **_figures(reached), "floats": part.floats})
    try:
        _write_json(measuring.json, data, {"recipe": condensed.recipe, "results": records})
        if options.plot is not None:
            from condensery.runs import storage

            storage.write(Path(options.plot), plots.size_curve(curves, counted))
    finally:  # print the table even if the disk is full
        print_table(
            f"{condensed.method} on the {len(data.test)} test rows of {data.name}; {_networks(measuring.repeats)}",
            (
                "network",
                "codes per class" if stored == "codes" else "images per class",
                "accuracy %",
                "protocol",
                "seconds",
            ),
            table,
        )
    _written(measuring.json, options.plot)
    return 0


def compare_command(argv: list[str]) -> int:
    net = chosen(argv) or ConvNet()
    unset = CompareOptions(Source(tyro.MISSING), tyro.MISSING, network=described(net), net=net)
    options = parse(CompareOptions, argv, "compare", unset)
    if not options.methods:
        raise InputError(f"--methods is empty; give at least one of {', '.join(RECIPES)}")
    names = options.methods if "random" in options.methods else ("random", *options.methods)
    fields = {"ipc": options.ipc, "seed": options.measuring.seed, "net": options.net}
    rows = [_preset(name, options.source.data, **fields) for name in names]
    twice = [row.name for i, row in enumerate(rows) if row.name in [r.name for r in rows[:i]]]
    if twice:
        raise InputError(f"--methods: {twice[0]} is named twice; leave one out")
    protocol = _protocol(options.measuring)
    from condensery.evaluation.evaluate import compare
    from condensery.runs.run import seconds_of

    data = read(options.source)

    _warn_of_few(data)
    for row in rows:
        row.recipe.algorithm(data.train)  # refuse wrong input of any recipe before the first one runs

    def made() -> "Iterator[tuple[str, Condensed, float]]":
        for row in rows:
            if options.out is not None:
                folder = Path(options.out) / row.folder
                condensed = kept(row.name, row.recipe, folder, data)
                yield row.name, condensed, seconds_of(folder)
            else:
                start = time.perf_counter()
                yield row.name, row.condensed(data), time.perf_counter() - start

    def tell(row: "Comparison") -> None:
        log.info(
            f"{row.method}: {row.accuracy} "
            f"(condensed in {row.seconds:.0f} s, evaluated in {row.accuracy.seconds:.0f} s)"
        )

    measuring = options.measuring
    table = compare(
        made(),
        data,
        options.net,
        protocol,
        measuring.repeats,
        measuring.seed,
        options.whole,
        tell,
        _dtype(measuring),
    )
    records = [{"method": r.method, **_figures(r.accuracy), "floats": r.floats, "seconds": r.seconds} for r in table]
    try:
        _write_json(
            measuring.json, data, {"recipes": [{"row": r.name, **r.recipe.record()} for r in rows], "results": records}
        )
    finally:  # print the table even if the disk is full
        images = f"{options.ipc} image{'s' if options.ipc > 1 else ''} per class"
        print_table(
            f"{data.name}, {images}, protocol {table[0].accuracy.protocol}, {described(options.net)}; "
            f"{_networks(measuring.repeats)} on {len(data.test)} test rows",
            ("method", "accuracy %", "stored floats", "seconds"),
            [(r.method, str(r.accuracy), f"{r.floats:,}", f"{r.seconds:.1f}" if r.seconds else "-") for r in table],
        )
    _written(measuring.json)
    if options.out is not None:
        folders = [Path(options.out) / row.folder for row in rows]
        say(f"written: {', '.join(str(folder / 'condensed.safetensors') for folder in folders)}")
        hint("show", str(folders[-1]), "--png", str(Path(options.out) / "condensed.png"))
    return 0


@dataclass(frozen=True)
class _Row:
    """One row of the table: a recipe and the name of its preset."""

    name: str
    recipe: Recipe

    @property
    def folder(self) -> str:
        return self.name.replace(":", "-")

    def condensed(self, data: "Data") -> "Condensed":
        from condensery.runs.run import condense

        with progress(self.name) as observe:
            return condense(self.recipe, data.train, observe, progress=False)


def _preset(name: str, data: str, **fields: Any) -> _Row:
    base, *added = name.split("+")
    for preset in (f"{base}:digits", f"{base}:quick") if data == "digits" else (f"{base}:quick",):
        if preset in RECIPES:
            name = "+".join([preset, *added])
            break
    return _Row(name.replace(":paper", ""), recipe(name).having(**fields))


def _protocol(measuring: Measuring) -> "ProtocolFor":
    if not 1 <= measuring.repeats <= 10_000:
        raise InputError(f"--repeats must be at least 1 and at most 10000, got {measuring.repeats}")
    look_up(dict.fromkeys(PROTOCOLS), measuring.protocol, "protocol")
    if measuring.json is not None:
        writable(Path(measuring.json), f"--json {measuring.json}")
    from condensery.evaluation import protocols

    protocol: ProtocolFor = getattr(protocols, measuring.protocol.replace("-", "_"))
    return protocol


def _warn_of_few(data: "Data") -> None:
    counts = data.test.labels.bincount(minlength=data.train.classes)
    if (least := int(counts.min())) < 20:
        largest, total = int(counts.max()), len(data.test)
        log.warning(
            f"{data.name}: a class has only {least} test rows, so accuracies are coarse; always predicting the largest "
            f"class scores {100 * largest / total:.0f} %"
        )


def _dtype(measuring: Measuring) -> "torch.dtype | None":
    from condensery.kernels.compiling import torch_dtype

    return torch_dtype(None if measuring.dtype == "float32" else measuring.dtype)


def _networks(repeats: int) -> str:
    return f"mean ± std of {repeats} networks" if repeats > 1 else "one network"


def _figures(reached: Any) -> dict[str, Any]:
    return {
        "accuracy": reached.mean, "std": reached.std, "n": len(reached.runs), "runs": reached.runs,
        "protocol": reached.protocol, "evaluation_seconds": reached.seconds,
    }  # fmt: skip


def _write_json(path: str | None, data: "Data", content: dict[str, Any]) -> None:
    if path is None:
        return
    from condensery.runs import storage
    from condensery.runs.checkpoint import environment

    head = {
        "data": {"name": data.name, "source": str(data.source or "embedded"), "fingerprint": data.train.fingerprint},
        "version": __version__,
        "date": time.strftime("%Y-%m-%d"),
        **environment(data.train.device),
    }
    storage.write(Path(path), (json.dumps({**head, **content}, indent=2) + "\n").encode())


def _written(*paths: str | None) -> None:
    for path in paths:
        if path is not None:
            say(f"written: {path}")
