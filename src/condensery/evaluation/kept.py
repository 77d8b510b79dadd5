"""What an evaluation keeps in the cache folder, so that one that was killed goes on where it was."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import msgspec
import torch
from torch import Tensor, nn

from condensery.networks.network import Point
from condensery.runs import storage
from condensery.runs.checkpoint import Keeper

__all__ = ["Kept"]

SECONDS = 20.0
"""Seconds between two writes: what an evaluation that is killed has to compute again, at most."""
Number = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class _Content(msgspec.Struct):
    about: str
    networks: list[list[Number]]


class Kept:
    """The confusion matrices of the networks that are measured, and the state of the one that is being trained.

    If the cache folder cannot be used, nothing is kept, and networks are trained again.

    Arguments:
        about: all that the matrices depend on, as JSON. None: nothing is kept.
        classes, rows: number of classes, and of the test rows that a matrix counts.
        lasting: whether the matrices stay when the evaluation is done.
    """

    def __init__(self, about: Sequence[Any] | None, classes: int, rows: int, lasting: bool):
        self.about = json.dumps(about, sort_keys=True)
        self.classes, self.rows, self.lasting = classes, rows, lasting
        self._name = hashlib.blake2b(self.about.encode(), digest_size=16).hexdigest()
        self._folder = storage.cache("evaluations") if about is not None else None
        self._last = time.monotonic()

    def read(self) -> list[Tensor]:
        """The matrices, each (classes, classes); see `Accuracy.confusion`. Empty if there are none that can be used."""
        if not self._folder or not self._file.is_file():
            return []
        try:
            content = storage.checked(json.loads(self._file.read_bytes()), _Content)
        except (ValueError, OSError, RecursionError):
            return []
        shape = self.classes, self.classes
        fit = all(len(each) == self.classes**2 and sum(each) == self.rows for each in content.networks)
        return [torch.tensor(each).view(shape) for each in content.networks if fit and content.about == self.about]

    def offer(self, networks: Sequence[Tensor]) -> None:
        """Write the matrices, if that is due."""
        if not self._folder or not (self.lasting or time.monotonic() - self._last >= SECONDS):
            return
        self._last = time.monotonic()
        content = {"about": self.about, "networks": [each.flatten().tolist() for each in networks]}
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            storage.write(self._file, json.dumps(content).encode())

    def training(self, number: int, steps: int) -> Keeper | None:
        """Keeps the state of a network in training; `number` of those before it, `steps` that it takes."""
        if not self._folder:
            return None
        identity = {"evaluation": self._name, "network": number}
        return _Passing(self._folder / f"{self._name}.safetensors", identity, steps)

    def done(self) -> None:
        """Remove what is of no use after the evaluation."""
        if self._folder:
            with suppress(OSError):
                (self._folder / f"{self._name}.safetensors").unlink(missing_ok=True)
                if not self.lasting:
                    self._file.unlink(missing_ok=True)

    @property
    def _file(self) -> Path:
        assert self._folder
        return self._folder / f"{self._name}.json"


class _Passing(Keeper):
    """Keeps the state before the last step only, and carries on if that cannot be written."""

    def __init__(self, path: Path, identity: dict[str, Any], steps: int):
        super().__init__(path, identity, SECONDS, strict=False)
        self.steps = steps

    def write(
        self,
        step: int,
        learned: nn.Module,
        optimizer: torch.optim.Optimizer,
        point: Point | None = None,
        more: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> None:
        if step < self.steps:
            self._last = time.monotonic()
            with suppress(OSError):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                super().write(step, learned, optimizer, point, more)
