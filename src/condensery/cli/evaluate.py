"""The command `evaluate`."""

import logging
import shlex
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from condensery.cli.condense import started_from
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
from condensery.cli.options import EvaluateOptions
from condensery.cli.parsing import parse, writable
from condensery.cli.sources import Source, merged, read
from condensery.cli.table import Table
from condensery.console import print_table
from condensery.errors import InputError
from condensery.networks.names import named
from condensery.networks.net import Architecture, described, record
from condensery.recipes import Recipe

if TYPE_CHECKING:
    from condensery.data import Data
    from condensery.evaluation.evaluate import Accuracy
    from condensery.evaluation.protocols import ProtocolFor
    from condensery.runs.condensed import Condensed

__all__ = ["as_condensed", "evaluate_command"]

log = logging.getLogger("condensery")


def evaluate_command(argv: list[str]) -> int:
    try:
        return _evaluate(argv)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("interrupted; repeat the command to go on") from None


def _evaluate(argv: list[str]) -> int:
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
            f"{where} was condensed in a user-defined network, or in one of a package that is not installed; give "
            "--networks NAME, for example --networks convnet"
        )
    if options.scores and len(nets) > 1:
        raise InputError("--scores are those of one network, and --networks names several; leave all but one out")
    protocol = protocol_of(measuring, Recipe.protocol_of(first.recipe), options.plot)
    source = options.source if options.source.data != "auto" else _own_source(options)
    data = as_condensed(first, read(replace(source, zca=False)), source.flip)
    if first.data["fingerprint"] != data.train.fingerprint:
        log.warning(f"{where} was condensed from other training rows ({first.data['name']})")
    warn_of_few(data)
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
            reached = evaluate(parts, data, net, protocol, measuring.repeats, measuring.seed, dtype=dtype_of(measuring))
            name = described(reached.net)
            hardest = _hardest(reached, data.class_names)
            log.info(f"{counted}: {size}, {name}: {reached} ({reached.seconds:.0f} s){hardest}")
            curves.setdefault(name, {})[size] = reached
            about_it = (reached.protocol, f"{reached.seconds:.0f}")
            lines.append((first.method, name, str(size), *accuracy_words(reached), f"{parts[0].bytes:,}", *about_it))
            records.append({
                "method": first.method, "network": record(reached.net), "codes" if codes else "ipc": size,
                **figures_of(reached), "floats": parts[0].floats, "bytes": parts[0].bytes,
            })  # fmt: skip
            if rivals and not options.scores:  # the scores have it too
                images = rivals[size]
                rival = random_rival(parts[0], data, images, measuring.seed)
                other = evaluate(
                    rival, data, reached.net, protocol, measuring.repeats, measuring.seed, dtype=dtype_of(measuring)
                )
                log.info(f"random images of as many bytes: {images}, {name}: {other} ({other.seconds:.0f} s)")
                lines.append(("random", name, str(images), *accuracy_words(other), f"{rival.bytes:,}", other.protocol,
                              f"{other.seconds:.0f}"))  # fmt: skip
                records.append({
                    "method": "random", "network": record(other.net), "codes" if codes else "ipc": images,
                    **figures_of(other), "floats": rival.floats, "bytes": rival.bytes,
                })  # fmt: skip
    title = f"{first.method} on the {len(data.test)} test rows of {data.name}; {mean_of(measuring.repeats, len(sets))}"
    if rivals and not options.scores:
        title += f"; random: one draw of images, {mean_of(measuring.repeats)}"
    table = Table(
        title,
        ("trained on", "network", counted, "accuracy %", "95 % interval", "bytes", "protocol", "seconds"),
        lines, records,
    )  # fmt: skip
    about: dict[str, Any] = {"recipe": first.recipe}
    try:
        table.write(measuring, about_run(source, data, about))
        if options.plot is not None:
            from condensery.runs import storage

            storage.write(Path(options.plot), plots.svg(plots.plot_sizes(curves, counted)))
    finally:  # print the table even if the disk is full
        table.show()
    if options.scores:  # they take long, and the files already have the accuracies
        about["scores"] = _scores(scored, data, nets[0] if nets else None, protocol, options)
        _show_scores(about["scores"])
        table.write(measuring, about_run(source, data, about))
    say_written(*measuring.files, options.plot)
    return 0


def as_condensed(condensed: "Condensed", data: "Data", flip: str = "auto") -> "Data":
    """The data, whitened if a condensed set is, and in the same way; and not mirrored if its images were not.

    Arguments:
        flip: the option --flip, which has the last word.
    """
    if flip == "auto" and data.facts.flip and not condensed.data["flip"]:
        log.info("images are not mirrored, as when the set was condensed (--flip yes mirrors them)")
        data = data.having(flip=False)
    space = replace(data.train.space, whitening=condensed.space.whitening)
    return replace(data, train=data.train.normalized_by(space), test=data.test.normalized_by(space))


def _own_source(options: EvaluateOptions) -> Source:
    """The data from which the run in the first folder was started, and the other options about data.

    Raises:
        InputError: the folder does not say which data.
    """
    found = started_from(Path(options.files[0]))
    if found is None:
        raise InputError(f"{options.files[0]} does not say where the data are from which it was condensed; give --data")
    log.info(f"--data {shlex.quote(found.data)}: the data of the run")
    return merged(found, options.source)


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


def _hardest(reached: "Accuracy", class_names: Sequence[str]) -> str:
    """Words about the three classes of the lowest accuracy; none if there are hardly more, or if it is unknown."""
    if reached.of_classes is None or len(class_names) < 5:
        return ""
    found = sorted((value, name) for value, name in zip(reached.of_classes, class_names, strict=True) if value < 1)
    words = ", ".join(f"{name} ({100 * value:.0f} %)" for value, name in found[:3])
    return f"; hardest classes: {words}" if words else ""


def _alike(files: tuple[str, ...], sets: "list[Condensed]") -> None:
    """Check that several sets are of one method, size and data, so that a mean over them says something.

    Raises:
        InputError: there is none, two differ in more than the seed, or two are equal.
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
        if (size := condensed.bases_per_class) != (first := sets[0].bases_per_class):
            raise InputError(
                f"{file} and {files[0]} store {size} and {first} images or codes per class; evaluate them one by one"
            )
    for (file, one), (twin, other) in combinations(zip(files, sets, strict=True), 2):
        if one.synthetic.bases.equal(other.synthetic.bases):
            raise InputError(f"{twin} stores the same as {file}; give every set once")


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
    found = scores(
        condensed, data, net, protocol, measuring.repeats, measuring.seed, options.whole, dtype_of(measuring)
    )
    return {
        "accuracy": {name: figures_of(reached) for name, reached in found.accuracies.items()},
        "random images per class": {"equal floats": found.images[0], "equal bytes": found.images[1]},
        "ior": found.ior.mean, "ior significant": found.ior.significant,
        "ior at equal bytes": found.ior_bytes.mean, "ior at equal bytes significant": found.ior_bytes.significant,
        "hlr": found.hlr, "lrs": found.lrs, "ars": found.ars,
    }  # fmt: skip


def _show_scores(found: dict[str, Any]) -> None:
    print_table(
        "against one draw of random real images of the same storage",
        ("trained on", "accuracy %"),
        [(name, f"{100 * each['accuracy']:.1f} ± {100 * each['std']:.1f}")
         for name, each in found["accuracy"].items()],
    )  # fmt: skip
    names = {
        "ior": "IOR, gain over random images", "ior at equal bytes": "the same at equal bytes",
        "hlr": "HLR, gap to the whole set", "lrs": "LRS, IOR and HLR combined, from 0 to 1",
        "ars": "ARS, gains with and without augmentation combined, from 0 to 1",
    }  # fmt: skip
    print_table(
        "scores, as fractions",
        ("score", "value", "95 % interval of the gain, over networks"),
        [(words, f"{found[key]:+.3f}", _excludes(found.get(f"{key} significant")))
         for key, words in names.items() if found[key] is not None],
    )  # fmt: skip


def _excludes(significant: bool | None) -> str:
    return {True: "excludes 0", False: "includes 0", None: "-"}[significant]
