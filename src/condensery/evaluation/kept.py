"""What evaluations keep in the cache folder, so that none is computed twice and one that was killed goes on."""

import hashlib
import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import torch
from torch import Tensor

from condensery.runs import storage
from condensery.runs.checkpoint import Keeper

__all__ = ["Kept", "Measured"]

SECONDS = 20.0
"""Seconds between two checkpoints of a network in training: the most that a killed evaluation computes again."""
Number = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


@dataclass(frozen=True)
class Measured:
    """A network that was trained on a set and measured on the test rows.

    Arguments:
        confusion: how many test rows of each class (first axis) the network took for each class (second axis).
        seconds: wall time of training and testing, over all sessions if the training was resumed.
    """

    confusion: Tensor
    seconds: float


class _Network(msgspec.Struct):
    places: list[Number]  # where the flattened matrix is not 0
    counts: list[Number]
    seconds: Annotated[float, msgspec.Meta(ge=0)]


class _Content(msgspec.Struct):
    about: str
    networks: list[_Network]


class Kept:
    """The networks that were measured on a set, and the state of the one that is being trained.

    If the cache folder cannot be used, nothing is kept, and networks are trained again.

    Arguments:
        about: all that the accuracies depend on, as JSON. None: nothing is kept.
        classes, rows: number of classes, and of test rows.
    """

    def __init__(self, about: Sequence[Any] | None, classes: int, rows: int):
        self.about, self.classes, self.rows = json.dumps(about, sort_keys=True), classes, rows
        self._name = hashlib.blake2b(self.about.encode(), digest_size=16).hexdigest()
        self._folder = storage.cache("evaluations") if about is not None else None

    def read(self) -> list[Measured]:
        """The networks that are kept, in the order of their training; empty if none can be used."""
        # Path.is_file would fail in a folder that is closed to this user
        if not self._folder or not os.path.isfile(file := self._folder / f"{self._name}.json"):
            return []
        try:
            content = storage.checked(json.loads(file.read_bytes()), _Content)
            return [self._measured(each) for each in content.networks] if content.about == self.about else []
        except (ValueError, OSError, RecursionError):
            return []

    def _measured(self, kept: _Network) -> Measured:
        if len(kept.places) != len(kept.counts) or sum(kept.counts) != self.rows:
            raise ValueError("not a matrix of the test rows")
        if max(kept.places, default=0) >= self.classes**2:
            raise ValueError("not a matrix of these classes")
        confusion = torch.zeros(self.classes**2, dtype=torch.long)
        confusion[torch.tensor(kept.places)] = torch.tensor(kept.counts)
        return Measured(confusion.view(self.classes, self.classes), kept.seconds)

    def write(self, networks: Sequence[Measured]) -> None:
        """Keep the networks, and remove the state of the last one, whose training is over."""
        if not self._folder or len(self.read()) > len(networks):  # another program has measured more meanwhile
            return
        every = []
        for each in networks:
            places = each.confusion.flatten().nonzero().flatten()
            counts = each.confusion.flatten()[places]
            every.append({"places": places.tolist(), "counts": counts.tolist(), "seconds": each.seconds})
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            content = {"about": self.about, "networks": every}
            storage.write(self._folder / f"{self._name}.json", json.dumps(content).encode())
            (self._folder / f"{self._name}.safetensors").unlink(missing_ok=True)

    def training(self, number: int, steps: int) -> Keeper | None:
        """The keeper of the state of a network in training, or None.

        Arguments:
            number: number of networks before it.
            steps: number of updates of its training.
        """
        if not self._folder:
            return None
        identity = {"evaluation": self._name, "network": number}
        return _Passing(self._folder / f"{self._name}.safetensors", identity, steps)


class _Passing(Keeper):
    """Writes no state after the last step, where the accuracy follows, and carries on if one cannot be written."""

    def __init__(self, path: Path, identity: dict[str, Any], steps: int):
        super().__init__(path, identity, SECONDS, strict=False)
        self.steps = steps

    def write(self, step: int, *state: Any, **more: Any) -> None:
        if step < self.steps:
            self._last = time.monotonic()  # the next try is as far away if this one fails
            with suppress(OSError):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                super().write(step, *state, **more)
