"""What the commands that measure sets share."""

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from condensery import __version__
from condensery.cli.names import PROTOCOLS
from condensery.cli.options import Measuring, TypedMeasuring
from condensery.cli.parsing import writable
from condensery.cli.sources import Source
from condensery.console import say
from condensery.errors import InputError, look_up

if TYPE_CHECKING:
    import torch

    from condensery.data import Data
    from condensery.evaluation.evaluate import Accuracy
    from condensery.evaluation.protocols import ProtocolFor

__all__ = [
    "about_run", "accuracy_words", "dtype_of", "figures_of", "mean_of", "per_class", "protocol_of", "say_written",
    "warn_of_few",
]  # fmt: skip

log = logging.getLogger("condensery")


def protocol_of(measuring: Measuring, usual: str = "dc2021", plot: str | None = None) -> "ProtocolFor":
    """The protocol that the options name, or the usual one; refuses wrong options about files and repeats, too."""
    chosen = measuring.protocol or usual
    if not 1 <= measuring.repeats <= 10_000:
        raise InputError(f"--repeats must be at least 1 and at most 10000, got {measuring.repeats}")
    look_up(dict.fromkeys(PROTOCOLS), chosen, "protocol")
    files = {name: Path(path).absolute() for name, path in measuring.named_files.items()}
    for name, path in files.items():
        writable(path, f"--{name} {measuring.named_files[name]}")
    for name, path in (files := files | ({} if plot is None else {"plot": Path(plot).absolute()})).items():
        if list(files.values()).count(path) > 1:
            raise InputError(f"--{name} {path}: another option names the same file; give each its own")
    from condensery.evaluation import protocols

    return protocols.named(chosen)


def warn_of_few(data: "Data") -> None:
    """Warn if a class has so few test rows that accuracies are coarse."""
    counts = data.test.labels.bincount(minlength=data.train.classes)
    if (least := int(counts.min())) < 20:
        largest, total = int(counts.max()), len(data.test)
        few = f"class {data.class_names[int(counts.argmin())]!r} has only {least} test row{'' if least == 1 else 's'}"
        log.warning(
            f"{data.name}: {few if least else few.replace('only 0', 'no')}, so accuracies "
            f"{'are coarse' if least else 'say nothing about it'}; always predicting the largest class scores "
            f"{100 * largest / total:.0f} %"
        )


def dtype_of(measuring: TypedMeasuring) -> "torch.dtype | None":
    """The number format that the options name; None: that of the data."""
    from condensery.kernels.compiling import torch_dtype

    return torch_dtype(None if measuring.dtype == "float32" else measuring.dtype)


def mean_of(repeats: int, sets: int = 1) -> str:
    """What the figures of a table are, for its title."""
    each = f"{repeats} networks" if repeats > 1 else "one network"
    if sets > 1:
        return f"mean ± std of {sets} sets x {each}"
    return f"mean ± std of {each}" if repeats > 1 else each


def per_class(ipc: int) -> str:
    """How many images are stored, for a title."""
    return f"{ipc} image{'s' if ipc > 1 else ''} per class"


def accuracy_words(reached: "Accuracy") -> tuple[str, str]:
    """The accuracy and its confidence interval, for a table."""
    half, mean = reached.half_width, reached.mean
    if half is None:
        return str(reached), "-"
    return str(reached), f"{100 * max(mean - half, 0):.1f} to {100 * min(mean + half, 1):.1f}"


def figures_of(reached: "Accuracy") -> dict[str, Any]:
    """An accuracy as a record of a JSON file; `evaluation.figures` reads it."""
    return {
        "accuracy": reached.mean, "std": reached.std, "half width": reached.half_width, "n": len(reached.runs),
        "sets": reached.sets, "runs": reached.runs, "protocol": reached.protocol,
        "evaluation_seconds": reached.seconds, "confusion": reached.confusion,
    }  # fmt: skip


def about_run(source: Source, data: "Data", content: dict[str, Any]) -> dict[str, Any]:
    """What was measured, when and where."""
    from condensery.runs.checkpoint import environment

    return {
        "data": {"name": data.name, "source": source.data, "fingerprint": data.train.fingerprint},
        "version": __version__,
        "date": time.strftime("%Y-%m-%d"),
        **environment(data.train.device),
        **content,
    }


def say_written(*paths: str | None) -> None:
    """Name the files that were written."""
    for path in paths:
        if path is not None:
            say(f"written: {path}")
