"""The commands `evaluate` and `compare`."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from condensery import __version__
from condensery.cli.condense import hint, kept, within
from condensery.cli.names import PROTOCOLS, RECIPES, chosen, recipe
from condensery.cli.options import CompareOptions, EvaluateOptions, Measuring, parse, writable
from condensery.cli.sources import Source, read
from condensery.cli.table import Table
from condensery.console import print_table, progress, say
from condensery.errors import InputError, look_up
from condensery.networks.convnet import ConvNet
from condensery.networks.names import named
from condensery.networks.net import Architecture, described, record
from condensery.recipes import Recipe

if TYPE_CHECKING:
    import torch

    from condensery.data import Data
    from condensery.evaluation.compare import Comparison
    from condensery.evaluation.evaluate import Accuracy
    from condensery.evaluation.protocols import ProtocolFor
    from condensery.runs.condensed import Condensed

__all__ = ["compare_command", "evaluate_command", "protocol_of"]

log = logging.getLogger("condensery")


def evaluate_command(argv: list[str]) -> int:
    options = parse(EvaluateOptions, argv, "evaluate")
    measuring = options.measuring
    from condensery.decoders import Factorized
    from condensery.evaluation.evaluate import evaluate
    from condensery.evaluation.scores import random_rival
    from condensery.runs.artifact import load

    sets = [load(file) for file in options.files]
    _alike(options.files, sets)
    first, where = sets[0], options.files[0]
    if options.plot is not None:
        from condensery.evaluation import plots

        writable(Path(options.plot), f"--plot {options.plot}", ".svg")
        plots.needed()
    most = first.bases_per_class
    if beyond := [size for size in options.sizes if not 1 <= size <= most]:
        raise InputError(f"--sizes {beyond[0]}: {where} has subsets of 1 to {most} stored images per class")
    if options.source.zca and not first.space.whitening:
        raise InputError(f"{where} was condensed without --zca, so its rows cannot be whitened; leave --zca out")
    nets: list[Architecture | None] = [named(name) for name in options.networks]
    if not nets and first.net is None:
        raise InputError(
            f"{where} was condensed in a user-defined network, which is not stored in the file; give "
            "--networks NAME, for example --networks convnet"
        )
    protocol = protocol_of(measuring, options.plot)
    data = read(options.source)
    if first.data["fingerprint"] != data.train.fingerprint:
        log.warning(f"{where} was condensed from other training rows ({first.data['name']})")
    _warn_of_few(data)
    scored = first if len(options.sizes) != 1 or options.sizes[0] == most else first.subset(options.sizes[0])
    if options.scores:
        from condensery.evaluation.scores import equal_storage

        equal_storage(scored, data)  # before hours of training
    rivals = _rivals(options, first, data)
    codes = isinstance(first.synthetic.decoder, Factorized)
    counted = f"{'codes' if codes else 'images'} per class"
    curves: dict[str, dict[int, Accuracy]] = {}
    lines, records = [], []
    for size in options.sizes or (most,):
        parts = [condensed if size == most else condensed.subset(size) for condensed in sets]
        for net in nets or [None]:
            reached = evaluate(parts, data, net, protocol, measuring.repeats, measuring.seed, dtype=_dtype(measuring))
            name = described(reached.net)
            log.info(f"{counted}: {size}, {name}: {reached} ({reached.seconds:.0f} s)")
            curves.setdefault(name, {})[size] = reached
            about_it = (reached.protocol, f"{reached.seconds:.0f}")
            lines.append((first.method, name, str(size), *_said(reached), f"{parts[0].bytes:,}", *about_it))
            records.append({
                "method": first.method, "network": record(reached.net), "codes" if codes else "ipc": size,
                **_figures(reached), "floats": parts[0].floats, "bytes": parts[0].bytes,
            })  # fmt: skip
            if rivals and not options.scores:  # the scores have it too
                images = rivals[size]
                values = images * data.train.classes * prod(data.shape)
                other = evaluate(
                    random_rival(parts[0], data, images, measuring.seed), data, reached.net, protocol,
                    measuring.repeats, measuring.seed, dtype=_dtype(measuring),
                )  # fmt: skip
                log.info(f"random images of as many bytes: {images}, {name}: {other} ({other.seconds:.0f} s)")
                lines.append(("random", name, str(images), *_said(other), f"{values:,}", other.protocol,
                              f"{other.seconds:.0f}"))  # fmt: skip
                records.append({
                    "method": "random", "network": record(other.net), "codes" if codes else "ipc": images,
                    **_figures(other), "floats": values, "bytes": values,
                })  # fmt: skip
    table = Table(
        f"{first.method} on the {len(data.test)} test rows of {data.name}; {_networks(measuring.repeats, len(sets))}",
        ("trained on", "network", counted, "accuracy %", "95 % interval", "bytes", "protocol", "seconds"),
        lines, records,
    )  # fmt: skip
    about: dict[str, Any] = {"recipe": first.recipe}
    try:
        table.write(measuring, _head(data, about))
        if options.plot is not None:
            from condensery.runs import storage

            storage.write(Path(options.plot), plots.size_curve(curves, counted))
    finally:  # print the table even if the disk is full
        table.show()
    if options.scores:  # they take long, and the files already have the accuracies
        about["scores"] = _scores(scored, data, nets[0] if nets else None, protocol, options)
        _show_scores(about["scores"])
        table.write(measuring, _head(data, about))
    _written(*measuring.files, options.plot)
    return 0


def _rivals(options: EvaluateOptions, condensed: "Condensed", data: "Data") -> dict[int, int]:
    """How many random real images per class take as many bytes as a set of each size; none if they are not wanted."""
    from condensery.evaluation.scores import equal_storage

    most = condensed.bases_per_class
    try:
        sizes = options.sizes or (most,)
        parts = {size: condensed if size == most else condensed.subset(size) for size in sizes}
        return {size: equal_storage(part, data)[1] for size, part in parts.items()} if options.random else {}
    except InputError as error:
        log.info(f"no random images of as many bytes are measured: {error}")
        return {}


def _alike(files: tuple[str, ...], sets: "list[Condensed]") -> None:
    """Check that several sets are of one method and of the same data, so that a mean over them says something.

    Raises:
        InputError: there is none, or two differ in more than the seed.
    """
    if not sets:
        raise InputError("evaluate needs a condensed set, or several of one method; give a FILE or the folder of a run")
    wanted = _without_seed(sets[0].recipe)
    for file, condensed in zip(files, sets, strict=True):
        if (found := _without_seed(condensed.recipe)) != wanted:
            from condensery.runs.checkpoint import difference

            raise InputError(
                f"{file} and {files[0]} differ in their recipes ({difference(wanted, found)}); evaluate them one by one"
            )
        if any(condensed.data.get(key) != sets[0].data.get(key) for key in ("fingerprint", "zca")):
            raise InputError(f"{file} and {files[0]} were condensed from different rows; evaluate them one by one")


def _without_seed(recipe: dict[str, Any]) -> dict[str, Any]:
    return {k: _without_seed(v) if isinstance(v, dict) else v for k, v in recipe.items() if k != "seed"}


def _scores(
    condensed: "Condensed",
    data: "Data",
    net: Architecture | None,
    protocol: "ProtocolFor",
    options: EvaluateOptions,
) -> dict[str, Any]:
    from condensery.evaluation.scores import scores

    measuring = options.measuring
    found = scores(condensed, data, net, protocol, measuring.repeats, measuring.seed, options.whole, _dtype(measuring))
    return {
        "accuracy": {name: _figures(reached) for name, reached in found.accuracies.items()},
        "random images per class": {"equal floats": found.images[0], "equal bytes": found.images[1]},
        "ior": found.ior.mean, "ior significant": found.ior.significant,
        "ior at equal bytes": found.ior_bytes.mean, "ior at equal bytes significant": found.ior_bytes.significant,
        "hlr": found.hlr, "lrs": found.lrs, "ars": found.ars,
    }  # fmt: skip


def _show_scores(found: dict[str, Any]) -> None:
    print_table(
        "against random real images of the same storage",
        ("trained on", "accuracy %"),
        [(name, f"{100 * each['accuracy']:.1f} ± {100 * each['std']:.1f}")
         for name, each in found["accuracy"].items()],
    )  # fmt: skip
    names = {
        "ior": "IOR, gain over random images", "ior at equal bytes": "the same at equal bytes",
        "hlr": "HLR, gap to the whole set", "lrs": "LRS", "ars": "ARS",
    }  # fmt: skip
    print_table(
        "scores, as fractions",
        ("score", "value", "95 % interval of the gain"),
        [(words, f"{found[key]:+.3f}", _excludes(found.get(f"{key} significant")))
         for key, words in names.items() if found[key] is not None],
    )  # fmt: skip


def _excludes(significant: bool | None) -> str:
    return {True: "excludes 0", False: "includes 0", None: "-"}[significant]


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
    fields = {"ipc": options.ipc, "net": options.net}
    seeds = range(measuring.seed, measuring.seed + options.sets)
    rows = [_preset(name, options.source.data, seeds, **fields) for name in names]
    twice = [row.name for i, row in enumerate(rows) if row.name in [r.name for r in rows[:i]]]
    if twice:
        raise InputError(f"--methods: {twice[0]} is named twice; leave one out")
    rows.sort(key=lambda row: row.name != "random")  # the first is the one that others are compared with
    nets = [named(name) for name in options.networks] or [options.net]
    protocol = protocol_of(measuring)
    from condensery.evaluation.compare import compare

    data = read(options.source)
    if options.budget is not None:
        rows = [row.within(options.budget, data, argv) for row in rows]
        options = replace(options, ipc=rows[0].recipes[0].ipc)
    if beyond := [size for size in options.sizes if not 1 <= size <= options.ipc]:
        raise InputError(f"--sizes {beyond[0]}: the sets have 1 to {options.ipc} images per class (--ipc)")
    _warn_of_few(data)
    out = None if options.out is None else Path(options.out)
    for row in rows:
        row.check(data, out)

    def tell(row: "Comparison") -> None:
        size = f", {row.images} per class" if len(options.sizes) > 1 and row.images else ""
        log.info(
            f"{row.method}{size}{f', {described(row.accuracy.net)}' if len(nets) > 1 else ''}: {row.accuracy} "
            f"(condensed in {row.seconds:.0f} s, evaluated in {row.accuracy.seconds:.0f} s)"
        )

    found = compare(
        (row.made(data, out) for row in rows),
        data, nets, protocol, measuring.repeats, measuring.seed, options.sizes, options.whole, tell, _dtype(measuring),
    )  # fmt: skip
    table = _compared(found, options, nets, data)
    recipes = [{"row": row.name, **recipe.record()} for row in rows for recipe in row.recipes]
    try:
        table.write(measuring, _head(data, {"recipes": recipes}))
    finally:  # print the table even if the disk is full
        table.show()
    _written(*measuring.files)
    if out is not None:
        folders = [folder for row in rows for folder in row.folders(out)]
        say(f"written: {', '.join(str(folder / 'condensed.safetensors') for folder in folders)}")
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
        line = [row.method, *_said(row.accuracy), gain, f"{row.floats:,}", f"{row.bytes:,}", seconds]
        if several:
            line.insert(1, "all" if row.images is None else str(row.images))
        if len(protocols) > 1:
            line.insert(1, row.accuracy.protocol)
        if len(nets) > 1:
            line.insert(1, described(row.accuracy.net))
        lines.append(tuple(line))
        records.append({
            "method": row.method, "network": record(row.accuracy.net), "images": row.images,
            **_figures(row.accuracy),
            "gain": row.gain and row.gain.mean, "gain half width": row.gain and row.gain.half_width,
            "significant": row.gain and row.gain.significant,
            "floats": row.floats, "bytes": row.bytes, "seconds": row.seconds,
        })  # fmt: skip
    if several:
        head.insert(1, "images per class")
    if len(protocols) > 1:
        head.insert(1, "protocol")
    if len(nets) > 1:
        head.insert(1, "network")
    size = options.sizes[0] if options.sizes else options.ipc
    title = [data.name, *([] if several else [f"{size} image{'s' if size > 1 else ''} per class"])]
    title += [] if len(protocols) > 1 else [f"protocol {next(iter(protocols))}"]
    title += [] if len(nets) > 1 else [described(nets[0])]
    about = f"{_networks(measuring.repeats, options.sets)} on {len(data.test)} test rows"
    return Table(f"{', '.join(title)}; {about}; ~: not significant", tuple(head), lines, records)


@dataclass(frozen=True)
class _Row:
    """One row of the table: the name of a preset, and its recipe with one seed per set."""

    name: str
    recipes: tuple[Recipe, ...]

    def folders(self, out: Path) -> list[Path]:
        """The folders of the runs; the sets after the first have their seed in the name."""
        first = self.recipes[0].seed
        names = [f"-{r.seed}" if r.seed != first else "" for r in self.recipes]
        return [out / (self.name.replace(":", "-") + name) for name in names]

    def within(self, budget: str, data: "Data", argv: list[str]) -> "_Row":
        """The same row with sets that the budget allows; see `condense.within`."""
        return replace(self, recipes=tuple(within(recipe, budget, data.train, argv) for recipe in self.recipes))

    def check(self, data: "Data", out: Path | None) -> None:
        """Refuse wrong input of this recipe before the first one runs.

        Raises:
            InputError: the recipe refuses the data, or a folder contains another run.
        """
        self.recipes[0].algorithm(data.train)
        if out is not None:
            from condensery.runs.run import check_folder

            for each, folder in zip(self.recipes, self.folders(out), strict=True):
                check_folder(each, data.train, folder)

    def made(self, data: "Data", out: Path | None) -> "tuple[str, list[Condensed], float]":
        """The name, the sets and the seconds of condensing the first of them."""
        if out is not None:
            from condensery.runs.run import seconds_of

            folders = self.folders(out)
            sets = [kept(self.name, r, folder, data) for r, folder in zip(self.recipes, folders, strict=True)]
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
    base, *added = name.split("+")
    for preset in (f"{base}:digits", f"{base}:quick") if data == "digits" else (f"{base}:quick",):
        if preset in RECIPES:
            name = "+".join([preset, *added])
            break
    recipes = tuple(recipe(name).having(seed=seed, **fields) for seed in seeds)
    return _Row(name.replace(":paper", ""), recipes)


def protocol_of(measuring: Measuring, plot: str | None = None) -> "ProtocolFor":
    """The protocol that the options name; refuses what the options say wrongly about files and repeats, too."""
    if not 1 <= measuring.repeats <= 10_000:
        raise InputError(f"--repeats must be at least 1 and at most 10000, got {measuring.repeats}")
    look_up(dict.fromkeys(PROTOCOLS), measuring.protocol, "protocol")
    files = {name: Path(path).absolute() for name, path in measuring.named_files.items()}
    for name, path in files.items():
        writable(path, f"--{name} {measuring.named_files[name]}")
    for name, path in (files := files | ({} if plot is None else {"plot": Path(plot).absolute()})).items():
        if list(files.values()).count(path) > 1:
            raise InputError(f"--{name} {path}: another option names the same file; give each its own")
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


def _networks(repeats: int, sets: int = 1) -> str:
    each = f"{repeats} networks" if repeats > 1 else "one network"
    if sets > 1:
        return f"mean ± std of {sets} sets x {each}"
    return f"mean ± std of {each}" if repeats > 1 else each


def _said(reached: "Accuracy") -> tuple[str, str]:
    """The accuracy and its confidence interval, for a table."""
    half, mean = reached.half_width, reached.mean
    if half is None:
        return str(reached), "-"
    return str(reached), f"{100 * max(mean - half, 0):.1f} to {100 * min(mean + half, 1):.1f}"


def _figures(reached: "Accuracy") -> dict[str, Any]:
    return {
        "accuracy": reached.mean, "std": reached.std, "half width": reached.half_width, "n": len(reached.runs),
        "sets": reached.sets, "runs": reached.runs, "protocol": reached.protocol,
        "evaluation_seconds": reached.seconds, "confusion": reached.confusion,
    }  # fmt: skip


def _head(data: "Data", content: dict[str, Any]) -> dict[str, Any]:
    """What was measured, when and where."""
    from condensery.runs.checkpoint import environment

    return {
        "data": {"name": data.name, "source": str(data.source or "embedded"), "fingerprint": data.train.fingerprint},
        "version": __version__,
        "date": time.strftime("%Y-%m-%d"),
        **environment(data.train.device),
        **content,
    }


def _written(*paths: str | None) -> None:
    for path in paths:
        if path is not None:
            say(f"written: {path}")
