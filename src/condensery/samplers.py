"""Samplers: which real rows a step sees, and so what they say."""

import hashlib
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from condensery import storage
from condensery.augment import Augmentation
from condensery.checkpoint import environment
from condensery.compiling import mode
from condensery.data import Batch, RealSet
from condensery.errors import InputError
from condensery.networks import Point
from condensery.objectives import Objective
from condensery.randomness import PerClass

__all__ = ["Sampler", "Uniform", "Whole"]

Change = Callable[[Tensor], Tensor]
"""An augmentation with its ω: one draw a class."""

log = logging.getLogger("condensery")


class Sampler(ABC):
    """Anything that picks real rows for a step."""

    @abstractmethod
    def count(self, real: RealSet) -> float:
        """Rows of all classes that a step sees."""

    @abstractmethod
    def target(
        self, objective: Objective, point: Point, real: RealSet, classes: Sequence[int], draw: PerClass, a: Change
    ) -> Sequence[Tensor]:
        """What the rows of `classes` say at a point, augmented by `a`; see `Objective.target`."""


class Uniform(Sampler):
    """`rows` random rows of each class; a smaller class is repeated in fresh permutations.

    References:
        DC appendix A: 256 rows a class.
    """

    def __init__(self, rows: int):
        self.rows = rows

    def count(self, real: RealSet) -> float:
        return self.rows * real.classes

    def target(
        self, objective: Objective, point: Point, real: RealSet, classes: Sequence[int], draw: PerClass, a: Change
    ) -> Sequence[Tensor]:
        return objective.target(point, real.sample(self.rows, classes, draw).map(a))


class Whole(Sampler):
    """Every real row, in every step; what they say at a network is kept in a file and found there by later runs.

    Arguments:
        folder: of the files, one a network (a point, where rows are augmented); None keeps nothing.
        about: what the targets depend on beside data, network and how it is computed here: the recipe's part, as JSON.
        augment: what rows are augmented by, where they are.

    References:
        KFS section 3.2, "full batch training".
    """

    def __init__(
        self, folder: Path | None = None, about: dict[str, Any] | None = None, augment: Augmentation | None = None
    ):
        self.folder, self.about, self.augment = folder, about or {}, augment or Augmentation()
        self._key = ""
        self._known: dict[int, Sequence[Tensor]] = {}

    def count(self, real: RealSet) -> float:
        return len(real)

    def target(
        self, objective: Objective, point: Point, real: RealSet, classes: Sequence[int], draw: PerClass, a: Change
    ) -> Sequence[Tensor]:
        key = self._identity(point, real)
        if key != self._key:
            self._key, self._known = key, self._read(key, real)
        for c in classes:
            if c not in self._known:
                rows = Batch(real.read(real.rows(c))[None], real.labels[real.rows(c)][None])
                self._known[c] = objective.target(point, rows.map(a))
                if len(self._known) == real.classes:
                    self._write(key)
        return [torch.cat(parts) for parts in zip(*(self._known[c] for c in classes), strict=True)]

    def _identity(self, point: Point, real: RealSet) -> str:
        where = [point.outer, point.inner] if self.augment != Augmentation() else []
        space = [real.space.mean, real.space.std, real.space.whitening is not None]
        about = [self.about, point.key, *where, repr(self.augment), real.fingerprint, space, str(real.dtype), mode()]
        return json.dumps([about, environment(real.device)], sort_keys=True)

    def _path(self, key: str) -> Path | None:
        name = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
        return self.folder and self.folder / f"{name}.safetensors"

    def _read(self, key: str, real: RealSet) -> dict[int, Sequence[Tensor]]:
        path = self._path(key)
        if path is None or not path.is_file():
            return {}
        try:
            head, tensors = storage.read_tensors(path)
        except InputError:  # cut short by a full disk, say: made again
            return {}
        if head != {"targets": key}:
            return {}
        parts = [tensors[name].to(real.device) for name in sorted(tensors, key=int)]
        return {c: [part[c : c + 1] for part in parts] for c in range(real.classes)}

    def _write(self, key: str) -> None:
        path = self._path(key)
        if path is None:
            return
        parts = zip(*(self._known[c] for c in sorted(self._known)), strict=True)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            storage.write_tensors(path, {str(i): torch.cat(part) for i, part in enumerate(parts)}, {"targets": key})
        except OSError as error:
            log.warning(f"{self.folder} cannot be written ({error.strerror or error}): means are not kept")
            self.folder = None
