"""The command `show`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from condensery.cli.options import ShowOptions
from condensery.cli.parsing import parse, writable
from condensery.cli.table import check_json, write_json
from condensery.console import say
from condensery.networks.net import described

if TYPE_CHECKING:
    from condensery.synthetic import SyntheticSet

__all__ = ["show_command"]


def show_command(argv: list[str]) -> int:
    options = parse(ShowOptions, argv, "show")
    from condensery.decoders import Factorized
    from condensery.runs import storage
    from condensery.runs.artifact import load
    from condensery.runs.picture import png

    condensed = load(options.file)
    synthetic, space = condensed.synthetic, condensed.space
    for path, option, suffix in ((options.png, "--png", ".png"), (options.trace, "--trace", ".svg")):
        if path is not None:
            writable(Path(path), f"{option} {path}", suffix)
    check_json(options.json)
    names = [recipe["name"] for recipe in condensed.layers[1:]]
    facts = {
        **{key: _fields(fields) for key, fields in zip(["recipe", *names], condensed.layers, strict=True)},
        "network": described(condensed.net) if condensed.net else condensed.layers[0]["net"]["factory"],
        "data": f"{condensed.data['name']}, {condensed.data['rows']} rows, fingerprint {condensed.data['fingerprint']}",
        "classes": f"{len(condensed.class_names)}: {', '.join(condensed.class_names[:20])}",
        "codes"
        if isinstance(synthetic.decoder, Factorized)
        else "images": f"{condensed.bases_per_class} per class, {'x'.join(map(str, synthetic.bases.shape[2:]))}",
        "decoded": _decoding(synthetic),
        "steps": str(condensed.steps),
        "stored": f"{synthetic.floats:,} floats, {synthetic.bytes:,} bytes"
        + (f" ({synthetic.format})" if synthetic.format else "")
        + ("" if synthetic.labels is None else f"; {synthetic.labels.numel():,} of the floats are soft labels"),
        "pixel space": f"{space.stored}; mean {_numbers(space.mean)}, std {_numbers(space.std)}"
        + ("; whitened (ZCA)" if space.whitening else ""),
        "written by": f"condensery {condensed.version}",
    }
    trace = None
    if options.trace is not None:
        from condensery.evaluation.plots import plot_choices, svg

        trace = svg(plot_choices(options.file)[0])
    picture = None if options.png is None else png(condensed.show(options.columns))
    for name, value in facts.items():
        say(f"{name:<12} {value}")
    write_json(options.json, {
        "recipe": condensed.recipe, "data": condensed.data, "class_names": condensed.class_names,
        "steps": condensed.steps, "floats": condensed.floats, "bytes": condensed.bytes,
        "stored per class": condensed.bases_per_class, "rows per class": condensed.rows_per_class,
        "space": {"stored": space.stored, "mean": space.mean, "std": space.std}, "version": condensed.version,
    })  # fmt: skip
    if picture is not None:
        for shown, count, what, columns in _drawn(synthetic, options.columns):
            if count > shown:
                say(f"note: the picture has {shown} of {count} {what}; --columns {columns} draws all of them")
        storage.write(Path(options.png), picture)
        say(f"written: {options.png}")
    if trace is not None:
        storage.write(Path(options.trace), trace)
        say(f"written: {options.trace}")
    return 0


def _drawn(synthetic: "SyntheticSet", columns: int) -> list[tuple[int, int, str, int]]:
    """How many a picture has of what, how many there are, and the --columns with which it would have all of them."""
    from condensery.decoders import Factorized
    from condensery.runs.picture import ROWS, classes_shown

    rows, bases, classes = synthetic.rows_per_class, synthetic.bases_per_class, synthetic.classes
    crossed = isinstance(synthetic.decoder, Factorized)
    across = [(bases, "codes per class"), (rows // bases, "decoders")] if crossed else [(rows, "images per class")]
    return [
        (classes_shown(columns), classes, "classes", -(-classes // ROWS)),
        *((columns, count, what, count) for count, what in across),
    ]


def _decoding(synthetic: "SyntheticSet") -> str:
    """How many rows the stored images decode to, and by which decoder."""
    rows, channels, height, width = synthetic.decoded_shape
    arguments = [
        f"{k} {' x '.join(map(str, v)) if k == 'factor' and isinstance(v, list) else v}"
        for k, v in synthetic.decoder.arguments.items()
    ]
    about = ", ".join([type(synthetic.decoder).__name__, *arguments])
    return f"{rows} rows per class, {channels}x{height}x{width} ({about})"


def _fields(part: dict[str, Any]) -> str:
    return ", ".join(f"{k} {v}" for k, v in part.items() if v is not None and k != "net")


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{v:.4g}" for v in values)
