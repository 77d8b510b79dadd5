"""Where the numbers of a run are sent besides `metrics.jsonl`: TensorBoard, trackio, or something of your own."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from condensery.errors import InputError, look_up

__all__ = ["SINKS", "Sink", "TensorBoard", "Trackio"]

log = logging.getLogger("condensery")


class Sink(Protocol):
    """What receives the numbers of a run."""

    def start(self, out: Path, about: Mapping[str, Any]) -> None:
        """Called once, before the first step, with the folder of the run and what `run.json` says about it."""
        ...

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Called after every step, with the number of steps done and the loss, the norm of its gradient and seconds."""
        ...

    def close(self) -> None:
        """Called once, at the end, also if the run fails or is interrupted."""
        ...


class TensorBoard:
    """Writes event files into the folder `tensorboard` in the run's folder (needs the package tensorboard).

    Arguments:
        folder: another folder for the event files.

    Raises:
        InputError: the package tensorboard is not installed.
    """

    def __init__(self, folder: str | Path | None = None):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise InputError("TensorBoard needs its package: pip install tensorboard") from None
        self._make, self.folder = SummaryWriter, folder
        self._writer: Any = None

    def start(self, out: Path, about: Mapping[str, Any]) -> None:
        self._out, self._recipe = Path(self.folder) if self.folder else out / "tensorboard", str(about["recipe"])
        log.info(f"the run is logged in {self._out}: tensorboard --logdir {self._out}")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        if self._writer is None:  # now it is known at which step a resumed run goes on; later steps are repeated
            self._writer = self._make(str(self._out), purge_step=step)
            self._writer.add_text("recipe", self._recipe)
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class Trackio:
    """Logs to a trackio project on this machine (needs the package trackio).

    Arguments:
        project: the name of the project.

    Raises:
        InputError: the package trackio is not installed.
    """

    def __init__(self, project: str = "condensery"):
        try:
            import trackio
        except ImportError:
            raise InputError("trackio needs its package: pip install trackio") from None
        self._trackio, self.project = trackio, project

    def start(self, out: Path, about: Mapping[str, Any]) -> None:
        self._trackio.init(project=self.project, name=out.name, config=dict(about["recipe"]))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._trackio.log(dict(values), step=step)

    def close(self) -> None:
        self._trackio.finish()


SINKS: dict[str, Callable[[], Sink]] = {"tensorboard": TensorBoard, "trackio": Trackio}
"""The sinks that the command line knows by name."""


def named(name: str) -> Sink:
    """The sink with a name.

    Raises:
        InputError: there is no such sink, or its package is not installed.
    """
    return look_up(SINKS, name, "sink")()
