"""Samplers: which real rows a step sees, and so the target that it matches."""

import hashlib
import json
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor

from condensery import __version__
from condensery.algorithms.algorithm import Rare
from condensery.algorithms.clustering import representatives
from condensery.algorithms.schedules import Schedule
from condensery.data import Batch, RealSet
from condensery.errors import InputError, bounded
from condensery.kernels.compiling import during, mode
from condensery.networks.network import Point, initial, rows_at_once
from condensery.objectives import Objective
from condensery.randomness import PerClass, repeated, rng
from condensery.runs import storage
from condensery.runs.checkpoint import environment

__all__ = ["Change", "Epochwise", "Representative", "Sampler", "Some", "Uniform", "Whole", "clustered"]

Change = Callable[[Sequence[int]], Callable[[Tensor], Tensor]]
"""Maps classes to the augmentation of their rows in this step."""

log = logging.getLogger("condensery")


class Sampler(ABC):
    """Picks the real rows of a step."""

    state: Mapping[str, Tensor] = MappingProxyType({})
    """Tensors of the sampler that steps change in place; they are part of checkpoints."""

    def rare(self, schedule: Schedule, real: RealSet) -> Rare | None:
        """The work of the sampler that is rare and slow."""
        return None

    def steady(self) -> "Sampler":
        """The same sampler without its `rare` work."""
        return self

    def forget(self) -> None:
        """Release what was kept in memory for later steps."""
        return

    @abstractmethod
    def count(self, real: RealSet) -> float:
        """Number of rows, over all classes, that a step sees."""

    @abstractmethod
    def target(
        self,
        objective: Objective,
        point: Point,
        real: RealSet,
        classes: Sequence[int],
        draw: PerClass,
        change: Change | None = None,
    ) -> Sequence[Tensor]:
        """The target of the rows of `classes` at a point; see `Objective.target`.

        Arguments:
            draw: one random generator per class.
            change: the augmentation of the rows; None: no augmentation.
        """


class Some(Sampler):
    """Takes `rows` rows of each class, which a subclass picks."""

    rows: int

    @abstractmethod
    def pick(self, point: Point, real: RealSet, classes: Sequence[int], draw: PerClass) -> Batch:
        """The rows of `classes` that a step sees; `draw` gives one random generator per class."""

    def count(self, real: RealSet) -> float:
        return self.rows * real.classes

    def target(
        self,
        objective: Objective,
        point: Point,
        real: RealSet,
        classes: Sequence[int],
        draw: PerClass,
        change: Change | None = None,
    ) -> Sequence[Tensor]:
        rows = self.pick(point, real, classes, draw)
        return objective.target(point, rows.map(change(classes)) if change else rows)


class Uniform(Some):
    """Takes `rows` random rows of each class; a smaller class is repeated, in a new permutation each time.

    References:
        DC appendix A: 256 rows per class.
    """

    def __init__(self, rows: int):
        self.rows = rows

    def pick(self, point: Point, real: RealSet, classes: Sequence[int], draw: PerClass) -> Batch:
        return real.sample(self.rows, classes, draw)


class Epochwise(Some):
    """Takes `rows` rows of each class, without repetition until too few are left; then the class is shuffled again.

    Arguments:
        rows: rows per class and step.
        inner: points of an outer loop, so that steps can be counted.
        seed: seed of the permutations.

    References:
        The released program of IDC.
    Departs: from a class with fewer than `rows` rows, rows repeat; the program then takes all rows of the class.
    """

    def __init__(self, rows: int, inner: int, seed: int):
        self.rows, self.inner, self.seed = rows, inner, seed

    def pick(self, point: Point, real: RealSet, classes: Sequence[int], draw: PerClass) -> Batch:
        step = point.outer * self.inner + point.inner
        picks = []
        for c in classes:
            size = real.sizes[c]
            epoch, place = divmod(step, max(size // self.rows, 1))
            generator = rng(self.seed, "real epoch", c, epoch)
            order = repeated(size, max(size, self.rows), generator)
            picks.append(order[place * self.rows :][: self.rows] + real.rows(c).start)
        return real.at(torch.stack(picks))


class Representative(Some):
    """Takes `rows` rows of each class that represent clusters in the embedding of a point.

    Arguments:
        rows: number of clusters per class.
        cluster_every: points of an outer loop between two clusterings.
        candidates: random rows per class that are clustered; None: all rows.
        classes: the number of classes.

    References:
        DREAM section 3.
    """

    def __init__(self, rows: int, cluster_every: int, candidates: int | None, classes: int):
        self.rows, self.cluster_every, self.candidates = rows, cluster_every, candidates
        self.state = {"chosen": torch.zeros(classes, rows, dtype=torch.long)}

    def pick(self, point: Point, real: RealSet, classes: Sequence[int], draw: PerClass) -> Batch:
        chosen, some = self.state["chosen"], list(classes)
        if point.inner % self.cluster_every == 0:
            chosen[some] = clustered(point, real, classes, self.rows, self.candidates, draw)
        return real.at(chosen[some])

    def rare(self, schedule: Schedule, real: RealSet) -> Rare:
        """The clusterings."""

        def some(count: int) -> None:
            point = initial(schedule.network, rng(0))
            for _ in range(count):
                clustered(point, real, range(real.classes), self.rows, self.candidates, lambda c: rng(c))

        return Rare("clusterings", schedule.outer * -(-schedule.inner // self.cluster_every), some)

    def steady(self) -> "Sampler":
        return Uniform(self.rows)


def clustered(
    point: Point, real: RealSet, classes: Sequence[int], count: int, candidates: int | None, draw: PerClass
) -> Tensor:
    """Indices (C, count) of rows that represent `count` clusters of their class in the embedding of a point.

    Arguments:
        candidates: random rows per class that are clustered, raised to `count` if there are fewer; None: all rows.
        draw: one random generator per class.

    References:
        DREAM section 3; as in its program, the network embeds pixels in [0, 1], not normalized rows.
    """
    picks = []
    for c in classes:
        generator, rows = draw(c), real.rows(c)
        index = torch.arange(rows.start, rows.stop)
        if candidates is not None and candidates < len(index):
            index = index[torch.randperm(len(index), generator=generator)[: max(candidates, count)]]
        parts = index.split(rows_at_once(real.device, real.shape))
        with torch.no_grad():
            found = [point.embeddings(real.space.unit(real.read(part))) for part in parts]
        picks.append(index[representatives(torch.cat(found), count, generator)])
    return torch.stack(picks)


class Whole(Sampler):
    """Takes the same real rows in every step, by default all of them; the targets at each point are kept in a file.

    The name of a file is a hash of everything that its bytes depend on: the rows and how they are read, the network and
    its weights, what is computed, and the machine. Nothing is kept for augmented rows, since no later step has the same
    augmentation, nor for networks that are not the library's, since nothing tells whether they have changed.
    When the files take more than `CACHED` bytes, those that were used longest ago are removed.

    Arguments:
        folder: the folder of the files, one per point; None: there are none.
        rows: takes only this many rows of each class, the same random ones in every step. None: all of them.
        points: the targets at this many points stay in memory too.
        seed: seed of the draw of the rows.

    Raises:
        InputError: the targets at `points` points take more memory than `errors.bounded` allows, which is known as soon
            as the first one has been computed.

    References:
        KFS section 3.2, "full batch training".
    """

    CHUNK = 1024  # rows that are read at a time
    CACHED = 4 * 2**30  # bytes that all files together may take
    TRIM_EVERY = 256  # files that are written between two looks at how much they take

    def __init__(self, folder: Path | None = None, rows: int | None = None, points: int = 1, seed: int = 0):
        self.folder, self.rows, self.points, self.seed = folder, rows, points, seed
        self._point: Point | None = None
        self._key, self._written = "", 0
        self._means: dict[str, dict[str, dict[int, Sequence[Tensor]]]] = {}

    def forget(self) -> None:
        self._means, self._point = {}, None

    def count(self, real: RealSet) -> float:
        return sum(len(self._rows(real, c)) for c in range(real.classes))

    def _rows(self, real: RealSet, c: int) -> Tensor:
        """Indices of the rows of a class, in ascending order."""
        part = real.rows(c)
        index = torch.arange(part.start, part.stop)
        if self.rows is None or self.rows >= len(index):
            return index
        return index[torch.randperm(len(index), generator=rng(self.seed, "rows", c))[: self.rows].sort().values]

    def target(
        self,
        objective: Objective,
        point: Point,
        real: RealSet,
        classes: Sequence[int],
        draw: PerClass,
        change: Change | None = None,
    ) -> Sequence[Tensor]:
        if change:
            targets = {c: self._made(objective, point, real, c, change) for c in classes}
        else:
            targets = self._kept(objective, point, real, classes)
        return [torch.cat(parts) for parts in zip(*(targets[c] for c in classes), strict=True)]

    def _made(
        self, objective: Objective, point: Point, real: RealSet, c: int, change: Change | None
    ) -> Sequence[Tensor]:
        """The mean over the rows of a class, computed chunk by chunk."""
        rows = self._rows(real, c)
        total: list[Tensor] | None = None
        for index in rows.split(self.CHUNK):
            batch = real.at(index[None])
            means = objective.target(point, batch.map(change([c])) if change else batch)
            share = len(index) / len(rows)
            parts = [share * mean for mean in means]
            total = parts if total is None else [t + part for t, part in zip(total, parts, strict=True)]
        assert total
        return total

    def _kept(
        self, objective: Objective, point: Point, real: RealSet, classes: Sequence[int]
    ) -> dict[int, Sequence[Tensor]]:
        if point is not self._point:
            self._point, self._key = point, self._identity(objective, point, real)
            if point.network.plain_training:
                self.folder = None
        means = self._means.setdefault(objective.of_real, {})  # MDC computes more at some of the points
        if self._key not in means:
            means[self._key] = self._read(self._key, objective, point, real)
            if len(means) > self.points:
                del means[next(iter(means))]
        known = means[self._key]
        for c in classes:
            if c not in known:
                known[c] = self._made(objective, point, real, c, None)
                if len(known) == real.classes:
                    size = sum(part.numel() * part.element_size() for parts in known.values() for part in parts)
                    bounded(self.points * size, f"keeping the means of real images at {self.points} points")
                    self._write(known)
        return known

    def _path(self, key: str) -> Path | None:
        name = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
        return self.folder and self.folder / f"{name}.safetensors"

    def _read(self, key: str, objective: Objective, point: Point, real: RealSet) -> dict[int, Sequence[Tensor]]:
        path = self._path(key)
        if path is None or not os.path.isfile(path):
            return {}
        try:
            head, tensors = storage.read_tensors(path)
            if head != {"targets": key}:
                return {}
            parts = [tensors[name].to(real.device) for name in sorted(tensors, key=int)]
            with during("plain"):
                like = objective.target(point, Batch(real.read(slice(1))[None], real.labels[None, :1]))
            shapes = [(real.classes, *part.shape[1:], part.dtype) for part in like]
            if [(*part.shape, part.dtype) for part in parts] != shapes:
                raise InputError(f"{path}: not the means of {real.classes} classes")
        except (InputError, ValueError) as error:
            log.warning(f"{error}; it is computed again")
            return {}
        with suppress(OSError):  # another user's file, or one that another process has removed
            os.utime(path)
        return {c: [part[c : c + 1] for part in parts] for c in range(real.classes)}

    def _write(self, known: Mapping[int, Sequence[Tensor]]) -> None:
        path = self._path(self._key)
        if path is None:
            return
        parts = zip(*(known[c] for c in sorted(known)), strict=True)
        tensors = {str(i): torch.cat(part) for i, part in enumerate(parts)}
        if not path.parent.is_dir():
            size = sum(t.numel() * t.element_size() for t in tensors.values())
            log.info(f"the means of real rows are kept in {path.parent}, {size / 1024:.0f} KiB per network")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            storage.write_tensors(path, tensors, {"targets": self._key})
            if self._written % self.TRIM_EVERY == 0:
                storage.trim(path.parent, self.CACHED)
            self._written += 1
        except OSError as error:
            log.warning(
                f"{self.folder} cannot be written ({error.strerror or error}); the means of real rows are not kept"
            )
            self.folder = None

    def _identity(self, objective: Objective, point: Point, real: RealSet) -> str:
        """Everything that determines the targets at a point to the last bit."""
        weights = hashlib.blake2b(digest_size=16)
        for name, tensor in sorted((point.params | point.buffers).items()):
            weights.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
        about = [__version__, storage.code(), objective.of_real, repr(point.network), weights.hexdigest(),
                 real.fingerprint, real.space.fingerprint, str(real.dtype), mode(), self.rows,
                 self.seed if self.rows else None]  # fmt: skip
        return json.dumps([about, environment(real.device)], sort_keys=True)
