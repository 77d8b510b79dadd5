"""One self-contained HTML page about one condensed set or several. It loads nothing from anywhere."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from condensery import __version__
from condensery.data import Data
from condensery.decoders import Factorized
from condensery.errors import InputError
from condensery.evaluation.figures import Figure
from condensery.evaluation.protocols import PROTOCOLS
from condensery.fields import as_options
from condensery.networks.names import NETWORKS, recorded
from condensery.networks.net import Net, described, record
from condensery.networks.packages import Packaged
from condensery.recipes import Forgetting, Herding, KCenter, Random, Recipe
from condensery.report.charts import Bar, bars, lines
from condensery.report.pictures import nearest, preview, uri
from condensery.runs import storage
from condensery.runs.artifact import load
from condensery.runs.condensed import Condensed

__all__ = ["report"]

_ROWS = 20  # the most rows per class that are shown; the page says how many there are
_CODES = 6  # the most codes per class that are shown, each with all decoders
_MATRIX = 30  # the most classes of a confusion matrix that is shown as a table


@dataclass(frozen=True)
class _Source:
    """A run or a file that the page is about.

    Arguments:
        path: as it was given.
        condensed: the set.
        folder: the folder of the run. None: only the set is known.
        record: the content of `run.json`.
        metrics: the lines of `metrics.jsonl`.
    """

    path: Path
    condensed: Condensed
    folder: Path | None
    record: Mapping[str, Any]
    metrics: Sequence[Mapping[str, Any]]


def report(
    runs: Sequence[str | Path],
    data: Mapping[str, Data] | None = None,
    figures: Mapping[str, Sequence[Figure]] | None = None,
) -> str:
    """The page, as the text of an HTML file.

    Arguments:
        runs: folders of finished runs, or files of condensed sets.
        data: real data, by the options of the command line that name them, such as `"--data digits"`. A set that was
            learned from them is shown with the nearest real image beside each of its images.
        figures: accuracies to show, by a name for where they come from.

    Raises:
        InputError: a run has not finished, a file is unreadable, or jinja2 is missing.
    """
    try:
        from jinja2 import Environment
    except ImportError:
        raise InputError("reports need jinja2: pip install jinja2") from None
    if not runs:
        raise InputError("a report needs the folder of a run, or several; give at least one")
    sources = [_source(Path(run)) for run in runs]
    groups = {name: list(of) for name, of in (figures or {}).items()}
    own = Path(str(files("condensery.report")))
    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        (own / "page.html").read_text(encoding="utf-8")
    )
    shown = [{"id": f"run-{i}", **_about(source, data or {}, groups)} for i, source in enumerate(sources, 1)]
    return page.render(
        title=", ".join(dict.fromkeys(about["title"] for about in shown)),
        runs=shown,
        figures=_accuracies(groups),
        version=__version__,
        style=(own / "page.css").read_text(encoding="utf-8"),
        script=(own / "page.js").read_text(encoding="utf-8"),
    )


def _source(path: Path) -> _Source:
    condensed = load(path)
    folder = path if path.is_dir() else path.parent
    record: dict[str, Any] = {}
    metrics: list[dict[str, Any]] = []
    try:
        found = json.loads(storage.read(folder / "run.json"))
        record = found if isinstance(found, dict) and found.get("recipe") == condensed.recipe else {}
    except (OSError, ValueError, RecursionError):
        pass
    if record and (folder / "metrics.jsonl").is_file():
        for line in storage.read(folder / "metrics.jsonl").splitlines():
            try:
                metrics.append(dict(json.loads(line)))
            except (TypeError, ValueError, RecursionError):  # a line cut by a kill, or no line of a run
                break
    return _Source(path, condensed, folder if record else None, record, metrics)


def _about(source: _Source, data: Mapping[str, Data], figures: Mapping[str, Sequence[Figure]]) -> dict[str, Any]:
    """What the page shows about one run."""
    condensed = source.condensed
    own = (pair for pair in data.items() if pair[1].train.fingerprint == condensed.data["fingerprint"])
    options, real = next(own, ("", None))
    space, synthetic = condensed.space, condensed.synthetic
    channels, height, width = synthetic(range(1), 1).x.shape[2:]
    decoded = synthetic.classes * condensed.rows_per_class * channels * height * width
    codes = isinstance(synthetic.decoder, Factorized)
    started, seconds = source.record.get("started"), _number(source.record.get("seconds"))
    chosen = condensed.layers[0]["name"] in {kind.name for kind in (Forgetting, Herding, KCenter, Random)}
    return {
        "title": f"{condensed.data['name']} by {condensed.method}",
        "verdict": _verdict(condensed, figures),
        "path": str(source.path),
        "method": condensed.method,
        "data": condensed.data,
        "classes": _classes(condensed, None if chosen else real),
        "codes": condensed.bases_per_class if codes else None,
        "codes_shown": _columns(condensed),
        "rows": condensed.rows_per_class,
        "width": width,
        "height": height,
        "zoom": max(1, min(8, round(64 / width))),
        "facts": {
            "stored per class": _counted(condensed.bases_per_class, "code" if codes else "image"),
            "decoded per class": f"{condensed.rows_per_class} rows of {height} x {width} pixels, "
            + ("gray" if channels == 1 else "in color"),
            "stored floats": f"{condensed.floats:,}",
            "stored bytes": f"{condensed.bytes:,}, or {8 * condensed.bytes // synthetic.classes:,} bits per class",
            "decoded, 8 bits a value": f"{decoded:,} bytes",
            "real training rows": f"{condensed.data['rows']:,}",
            "pixels": ("stored from 0 to 1" if space.stored == "unit" else "stored normalized")
            + f"; networks see them normalized by mean {_numbers(space.mean)}, std {_numbers(space.std)}"
            + ("; whitened (ZCA)" if space.whitening else ""),
        },
        "recipe": [
            {"name": fields["name"], "fields": {k: v for k, v in fields.items() if k not in ("name", "net")}}
            for fields in condensed.layers
        ],
        "network": condensed.layers[0].get("net"),
        "provenance": {
            "data": f"{condensed.data['name']}, fingerprint {condensed.data['fingerprint']}",
            "updates": f"{condensed.steps:,}" if condensed.steps or chosen else "not recorded",  # of an imported set
            "seconds": "not recorded" if seconds is None else f"{seconds:,.0f}",
            "started": _first(source.record, "started"),
            "machine": str(source.record.get("platform", "not recorded")),
            "torch": _first(source.record, "torch"),
            "written by": f"condensery {condensed.version}",
        },
        "chosen": chosen,
        "previews": [] if chosen else _previews(source),
        "loss": None if chosen else _curve(source, "loss"),
        "gradient": None if chosen else _curve(source, "gradient"),
        "sizes": _sizes(condensed, figures),
        "confusion": _confusion(condensed, figures),
        "commands": _commands(source, started, shlex.split(options), figures),
        "nearest": real is not None and not chosen,  # chosen images would be shown beside themselves
    }


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _verdict(condensed: Condensed, figures: Mapping[str, Sequence[Figure]]) -> str | None:
    """How much better the set is than random images of no more bytes, in words; None: it is not known.

    The words point out a difference whose 95 % confidence interval includes 0.
    """
    for group in figures.values():
        for mine in _of(condensed, {"": group}):
            rivals = [f for f in group if (f.method, f.protocol, f.network) == ("random", mine.protocol, mine.network)
                      and f.bytes <= mine.bytes]  # fmt: skip
            if condensed.method == "random" or mine.floats != condensed.floats or not rivals:
                continue
            rival = max(rivals, key=lambda f: f.bytes)
            gain = mine.minus(rival)
            if min(len(mine.runs), len(rival.runs)) < 2:
                continue
            words = "better than" if gain.mean > 0 else "worse than"
            chance = "" if gain.significant else (
                " These figures are too few or too close to rule out chance: the 95 % confidence interval of the "
                "difference includes 0, or is not known, because all differences are equal."
            )  # fmt: skip
            what = "it" if mine.sets == 1 else f"{mine.sets} sets of its recipe"
            return (
                f"Networks trained on {what} reach {100 * mine.accuracy:.1f} % on real test images: "
                f"{100 * abs(gain.mean):.1f} points {words} networks trained on random real images of "
                f"{_counted(rival.bytes, 'byte')} ({100 * rival.accuracy:.1f} %).{chance}"
            )
    return None


def _classes(condensed: Condensed, data: Data | None) -> list[dict[str, Any]]:
    """The names and images of the classes."""
    first, places = condensed.subset(_bases(condensed)), _places(condensed)
    pixels, labels = first.tensors(space="uint8")
    per_class = first.rows_per_class
    picked = [c * per_class + place for c in range(len(condensed.class_names)) for place in places]
    many = len(picked) * pixels[0].numel() * (2 if data else 1)
    beside = nearest(first, data.train, picked) if data else [None] * len(picked)
    soft = labels if labels.is_floating_point() else None
    images = []
    for place, real in zip(picked, beside, strict=True):
        images.append({
            "uri": uri(pixels[place].cpu(), many),
            "number": place % per_class + 1,
            "label": None if soft is None else _label(soft[place].tolist(), condensed.class_names),
            "real": real and uri(real.pixels, many),
            "real_name": real and data and data.class_names[real.label],
            "distance": real and f"{100 * real.distance:.0f}",
        })  # fmt: skip
    shown = len(places)
    return [
        {"name": name, "images": images[c * shown : (c + 1) * shown], "left": condensed.rows_per_class - shown}
        for c, name in enumerate(condensed.class_names)
    ]


def _bases(condensed: Condensed) -> int:
    """How many bases of a class have to be decoded for the rows that are shown."""
    bases, decoder = condensed.bases_per_class, condensed.synthetic.decoder
    if isinstance(decoder, Factorized):
        return _columns(condensed)
    each = condensed.rows_per_class // bases if decoder.even else 1
    return min(bases, -(-_ROWS // each))


def _places(condensed: Condensed) -> list[int]:
    """The rows of a class that are shown, in order: decoder after decoder if codes are crossed with decoders."""
    per_class = condensed.rows_per_class
    if not isinstance(condensed.synthetic.decoder, Factorized):
        return list(range(min(per_class, _ROWS)))
    decoders = per_class // condensed.bases_per_class
    return [code * decoders + decoder for decoder in range(decoders) for code in range(_columns(condensed))]


def _columns(condensed: Condensed) -> int:
    """The codes of a class that are shown."""
    return min(condensed.bases_per_class, _CODES)


def _label(soft: Sequence[float], names: Sequence[str]) -> str:
    """The three largest probabilities of a soft label."""
    largest = sorted(range(len(soft)), key=lambda c: -soft[c])[:3]
    return ", ".join(f"{names[c]} {100 * soft[c]:.0f} %" for c in largest)


def _previews(source: _Source) -> list[dict[str, Any]]:
    if source.folder is None:
        return []
    found = sorted((source.folder / "previews").glob("step-*.png"))
    try:
        return [{"step": int(path.stem.removeprefix("step-")), "uri": preview(path)} for path in found]
    except Exception as error:  # the file is untrusted: decoders raise many kinds of errors
        raise InputError(f"{source.folder / 'previews'}: a preview is unreadable ({error}); remove it") from error


def _curve(source: _Source, key: str) -> str | None:
    """A chart of a number over the steps of the run; None: there is no such number."""
    pairs = [(_number(line.get("step")), _number(line.get(key))) for line in source.metrics]
    points = [(step, value) for step, value in pairs if step is not None and value is not None]
    if len(points) < 2 or not any(value > 0 for _, value in points):
        return None
    every = -(-len(points) // 400)
    names = {"loss": "loss, summed over classes", "gradient": "norm of the loss's gradient"}
    return lines(f"{names[key]}, over the updates", {key: points[::every]}, "update", names[key])


def _of(condensed: Condensed, figures: Mapping[str, Sequence[Figure]]) -> list[Figure]:
    """The figures of a set and of its subsets, of the network that comes first."""
    mine = [f for of in figures.values() for f in of if f.shows(condensed) and f.floats <= condensed.floats]
    return [f for f in mine if (f.network, f.protocol) == (mine[0].network, mine[0].protocol)]


def _sizes(condensed: Condensed, figures: Mapping[str, Sequence[Figure]]) -> str | None:
    by_size = {f.size: 100 * f.accuracy for f in _of(condensed, figures) if f.size}
    if len(by_size) < 2:
        return None
    points = [(float(size), by_size[size]) for size in sorted(by_size)]
    about = "accuracy in percent over the stored images per class"
    return lines(about, {condensed.method: points}, "stored per class", "accuracy %")


def _confusion(condensed: Condensed, figures: Mapping[str, Sequence[Figure]]) -> dict[str, Any] | None:
    """The confusion matrix of the whole set, as fractions of each class."""
    own = [f for f in _of(condensed, figures) if f.floats == condensed.floats and f.confusion]
    names = condensed.class_names
    if not own or len(own[0].confusion or ()) != len(names):
        return None
    shares = [[n / max(sum(counts), 1) for n in counts] for counts in own[0].confusion or ()]
    pairs = [(share, a, b) for a, row in enumerate(shares) for b, share in enumerate(row) if a != b and share >= 0.05]
    often = [{"of": names[a], "taken": names[b], "percent": round(100 * share)} for share, a, b in sorted(pairs)[::-1]]
    rows = [
        {"name": name, "cells": [{"percent": round(100 * n), "share": round(n, 3)} for n in row]}
        for name, row in zip(names, shares, strict=True)
    ]
    return {"names": names, "rows": rows if len(names) <= _MATRIX else [], "often": often[:12]}


def _accuracies(figures: Mapping[str, Sequence[Figure]]) -> list[dict[str, Any]]:
    """A chart and a table for every file of figures."""
    made = []
    for name, of in figures.items():
        single = len({json.dumps(f.network, sort_keys=True) for f in of}) == 1
        shown: list[dict[str, Any]] = [
            {
                "name": f.method + (f", {f.size} per class" if f.size else ""),
                "network": _network(f),
                "accuracy": f"{100 * f.accuracy:.1f} ± {100 * f.std:.1f}",
                "n": f.n, "floats": f"{f.floats:,}", "bytes": f"{f.bytes:,}", "protocol": f.protocol,
            }
            for f in of
        ]  # fmt: skip
        half = [None if f.half_width is None else 100 * f.half_width for f in of]
        chart = bars(
            "accuracies in percent",
            [
                Bar(each["name"] if single else f"{each['name']}, {each['network']}", 100 * f.accuracy, width)
                for each, f, width in zip(shown, of, half, strict=True)
            ],
            "accuracy %, with the 95 % interval" if any(half) else "accuracy %",
            most=100,
        )
        made.append({"name": name, "chart": chart, "rows": shown})
    return made


def _network(figure: Figure) -> str:
    """The name of the network of a figure, with the fields that differ from their usual values."""
    try:
        return described(recorded(figure.network))
    except InputError:  # a user's own
        return str(figure.network.get("family", figure.network.get("factory", "network")))


def _commands(
    source: _Source, started: object, given: Sequence[str], figures: Mapping[str, Sequence[Figure]]
) -> list[str]:
    """The commands that make the set again and measure it, as it was measured for the first of the figures."""
    if not given and isinstance(started, dict) and isinstance(started.get("source"), dict):
        given = as_options({k: v for k, v in started["source"].items() if v != "auto" and k != "zca"})
    given = given or ["--data", source.condensed.data["name"]]
    mine = (f for f in _of(source.condensed, figures) if f.floats == source.condensed.floats and f.sets == 1)
    shown = next((f for f in mine if f.protocol in PROTOCOLS), None)
    measured = ["--protocol", shown.protocol if shown else Recipe.protocol_of(source.condensed.recipe)]
    measured += ["--repeats", str(shown.n // shown.sets)] if shown else []
    own = source.condensed.net
    if shown and "family" in shown.network and (own is None or shown.network != record(own)):
        measured += ["--networks", _network(shown)]
    made = [["condensery", "evaluate", str(source.path), *given, *measured]]
    if source.folder is not None:
        recipe = ["condensery", "run", "--recipe", str(source.folder / "recipe.toml")]
        name = started.get("name") if isinstance(started, dict) else None
        if isinstance(name, str) and isinstance(started, dict) and started.get("own"):
            recipe = ["condensery", "run", name, *_fields(source.condensed)]
        zca = ["--zca"] * (source.condensed.space.whitening is not None)
        made.insert(0, [*recipe, *given, *zca, "--out", "runs/again"])
    return [shlex.join(words) for words in made]


def _fields(condensed: Condensed) -> list[str]:
    """The fields of the recipe, of its wrappers and of its network as options of the command line."""
    words = []
    for fields in condensed.layers:
        words += as_options({k: v for k, v in fields.items() if k != "name" and not isinstance(v, dict)})
    described, net = condensed.layers[0].get("net"), condensed.net
    if isinstance(net, Packaged):
        words += ["--net", net.name]
    elif described and isinstance(net, Net):
        name = next(name for name, known in NETWORKS.items() if known.family == net.family)
        words += ["--net", name, *as_options({f"net.{k}": v for k, v in described.items() if k != "family"})]
    return words


def _first(record: Mapping[str, Any], key: str) -> str:
    """An entry of the first session of a run."""
    sessions = record.get("sessions")
    first = sessions[0] if isinstance(sessions, list) and sessions and isinstance(sessions[0], dict) else {}
    return str(first.get(key, "not recorded"))


def _number(value: object) -> float | None:
    """A number of a record, which may be a stranger's; None: it is something else, or not finite."""
    return float(value) if isinstance(value, int | float) and abs(value) < 1e300 else None


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:.4g}" for value in values)
