"""The commands `export`, `import` and `subset`, which make one file of another."""

from pathlib import Path

from condensery.cli.condense import hint
from condensery.cli.options import ExportOptions, ImportOptions, SubsetOptions
from condensery.cli.parsing import parse, writable
from condensery.cli.sources import read, words_of
from condensery.console import say
from condensery.errors import InputError

__all__ = ["export_command", "import_command", "subset_command"]


def export_command(argv: list[str]) -> int:
    options = parse(ExportOptions, argv, "export")
    from condensery.exchange.exports import export, measured
    from condensery.runs.artifact import load

    condensed = load(options.file)
    _keeps(options.file, options.out)
    if options.to in ("npz", "torch"):
        writable(Path(options.out), f"--out {options.out}", {"npz": ".npz", "torch": ".safetensors"}[options.to])
    accuracy = None if options.figures is None else measured(condensed, options.figures)
    done = export(condensed, options.out, options.to, accuracy, options.license)
    for note in done.notes:
        say(f"note:    {note}")
    where = str(done.files[0]) if len(done.files) == 1 else f"{len(done.files)} files in {options.out}"
    say(f"written: {where}: {done.rows:,} rows, {done.bytes:,} bytes (the condensed set stores {done.stored:,})")
    if options.to == "npz":
        say("it holds the arrays images (from 0 to 1), labels, class_names, mean and std")
    if done.loader:
        say(f"\nTo load it without condensery, copy:\n\n{done.loader}")
    return 0


def import_command(argv: list[str]) -> int:
    options = parse(ImportOptions, argv, "import")
    from condensery.exchange.imports import import_set
    from condensery.runs.artifact import save

    writable(Path(options.out), f"--out {options.out}", ".safetensors")
    found = import_set(
        options.file, options.layout, read(options.source), space=options.space, labels=options.labels,
        factor=options.factor, experiment=options.experiment, method=options.method,
    )  # fmt: skip
    save(found, options.out)
    say(f"written: {options.out}: {len(found.class_names)} classes, {found.bases_per_class} images per class, "
        f"{found.rows_per_class} rows per class, {found.space.stored} pixels")  # fmt: skip
    hint("evaluate", options.out, *words_of(options.source))
    return 0


def subset_command(argv: list[str]) -> int:
    options = parse(SubsetOptions, argv, "subset")
    from condensery.runs.artifact import load, save

    if (options.ipc is None) == (options.budget is None):
        raise InputError("give one of --ipc and --budget, which say how much the subset stores")
    writable(Path(options.out), f"--out {options.out}", ".safetensors")
    kept = load(options.file).subset(options.ipc, bytes=options.budget)
    _keeps(options.file, options.out)
    save(kept, options.out)
    say(f"written: {options.out}: {kept.bases_per_class} per class, {kept.floats:,} floats, {kept.bytes:,} bytes")
    hint("show", options.out)
    return 0


def _keeps(file: str, out: str) -> None:
    """Check that a command does not replace the set that it reads.

    Arguments:
        file: the file of the set, or the folder of the run that wrote it.

    Raises:
        InputError: it would.
    """
    from condensery.runs.artifact import NAME

    read = Path(file) / NAME if Path(file).is_dir() else Path(file)
    if Path(out).exists() and Path(out).samefile(read):
        raise InputError(f"--out {out} is the condensed set that is read, which would be lost; name another file")
