"""The command `nas`: architecture search."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import tyro

from condensery.cli.measure import about_run, dtype_of, mean_of, per_class, protocol_of, say_written, warn_of_few
from condensery.cli.names import RECIPES, chosen, folder, presets, usual
from condensery.cli.options import NasOptions
from condensery.cli.parsing import parse
from condensery.cli.sources import Source, read
from condensery.cli.table import Table
from condensery.console import duration, say
from condensery.errors import InputError
from condensery.networks.convnet import ConvNet
from condensery.networks.names import named
from condensery.networks.net import described

if TYPE_CHECKING:
    from condensery.applications import Candidate, Ranking
    from condensery.data import Data
    from condensery.networks.net import Architecture
    from condensery.recipes import Recipe
    from condensery.runs.condensed import Condensed

__all__ = ["nas_command"]

_EARLY = "early-stopping"


def nas_command(argv: list[str]) -> int:
    net = chosen(argv) or ConvNet()
    unset = NasOptions(Source(tyro.MISSING), tyro.MISSING, network=described(net), net=net)
    options = parse(NasOptions, argv, "nas", unset)
    measuring = options.measuring
    if not options.proxies:
        raise InputError(f"--proxies is empty; give at least one of {_EARLY}, {', '.join(RECIPES)}")
    protocol = protocol_of(measuring, "fixed-steps")
    fields = {"ipc": options.ipc, "net": options.net, "seed": measuring.seed}
    known = {_EARLY, *RECIPES}  # a name wins over a file that is called so
    files = [name for name in options.proxies if os.path.exists(name) and name not in known and name[-5:] != ".toml"]
    for name in options.proxies:
        path = name.endswith(".safetensors") or (os.sep in name and name[-5:] != ".toml")
        if path and name not in files:
            raise InputError(f"--proxies {name}: no such file or folder; check the path")
    methods = [name for name in options.proxies if name != _EARLY and name not in files]
    recipes = presets(methods, options.source.data, **fields)
    from condensery.applications import EarlyStopping, architecture_search, dc_grid, settings, small_grid
    from condensery.runs.artifact import load

    # a name means the network with the fields that --net.FIELD sets, as in compare
    nets = [options.net if (asked := named(name)) == net else asked for name in options.networks]
    if options.grid != "small" and (nets or options.settings is not None):
        raise InputError("--grid names the networks, and so do --networks and --settings; give one of them")
    candidates: Sequence[Architecture | Candidate] = nets or {"small": small_grid, "dc": dc_grid}[options.grid]()
    if options.settings is not None:
        if nets:
            raise InputError("--settings is for the one network of --net, and --networks names others; leave one out")
        candidates = settings(options.settings, options.net, seed=measuring.seed)
    data = read(options.source)
    warn_of_few(data)
    names: dict[str, str] = {}
    proxies: dict[str, Recipe | Condensed | EarlyStopping] = {}
    for name in dict.fromkeys(options.proxies):
        if name == _EARLY:
            proxies[name] = EarlyStopping()
        elif name in files:
            names[path := os.path.join(".", name)] = name  # so that no recipe's folder is called the same
            proxies[path] = load(name)
        else:
            name = usual(name, options.source.data)
            names[plain := folder(name, recipes[name])] = name
            proxies[plain] = recipes[name]
    try:
        found = architecture_search(
            data, proxies, candidates, protocol, whole=options.whole, top=options.top,
            repeats=measuring.repeats, seed=measuring.seed, engine=options.engine, workers=options.workers,
            folder=options.out, dtype=dtype_of(measuring),
        )  # fmt: skip
    except KeyboardInterrupt:
        left = "repeat the command to go on" if options.out else "nothing is kept without --out"
        raise KeyboardInterrupt(f"interrupted; {left}") from None
    found = [replace(row, proxy=names.get(row.proxy, row.proxy)) for row in found]
    table = _table(found, options, data, bool(recipes))
    table.write(measuring, about_run(options.source, data, {
        "recipes": [made.record() for made in recipes.values()], "protocol": measuring.protocol or "fixed-steps",
        "top": options.top, "repeats": measuring.repeats, "seed": measuring.seed,
        "seconds": {row.proxy: row.seconds for row in found},
    }))  # fmt: skip
    table.show()
    say("time of one thread: " + ", ".join(f"{row.proxy} {duration(row.seconds)}" for row in found))
    say_written(*measuring.files)
    return 0


def _table(found: "list[Ranking]", options: NasOptions, data: "Data", recipes: bool) -> Table:
    """The table of a search; it has rank correlations if all networks were trained on the whole training part.

    Arguments:
        recipes: whether recipes are among the proxies, so that the images per class are known.
    """
    head = ["proxy", "best settings" if options.settings is not None else "best network", "held-out %", "test %"]
    head += [f"rank correlation, best {options.top}", "all", "Kendall, all"] if options.whole else []
    lines, records = [], []
    for row in found:
        correlations = ["-" if value is None else f"{value:.2f}" for value in (row.top, row.spearman, row.kendall)]
        held_out = "-" if row.proxy == "whole" else f"{100 * row.accuracies[row.best]:.1f}"
        line = [row.proxy, str(row.best), held_out, f"{100 * row.performance:.1f}"]
        lines.append((*line, *(correlations if options.whole else []), f"{row.bytes:,}"))
        records.append({
            "proxy": row.proxy, "best": str(row.best), "test accuracy": row.performance,
            "accuracies": {str(each): accuracy for each, accuracy in row.accuracies.items()},
            "rank correlation of the best": row.top, "rank correlation": row.spearman,
            "Kendall": row.kendall, "floats": row.floats, "bytes": row.bytes,
        })  # fmt: skip
    each = mean_of(options.measuring.repeats).replace("mean ± std", "mean")
    size = f", {per_class(options.ipc)}" if recipes else ""
    title = f"{data.name}{size}; {each} per proxy and architecture"
    protocol = options.measuring.protocol or "fixed-steps"
    return Table(f"{title}, protocol {protocol}", (*head, "bytes"), lines, records)
