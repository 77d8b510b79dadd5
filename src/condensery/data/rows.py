"""Rows of a part of a data set: `RealSet` for training, `TestSet` for testing, and `Batch`."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from math import prod
from typing import Any

import torch
from torch import Tensor

from condensery.data.facts import Facts
from condensery.data.pixels import PixelSpace
from condensery.errors import InputError, bounded
from condensery.randomness import PerClass, repeated, rng

__all__ = ["Batch", "RealSet", "TestSet", "stratified"]


@dataclass(frozen=True)
class Batch:
    """Rows of C classes, with the same number of rows n for each class.

    Arguments:
        x: normalized rows, shape (C, n, channels, height, width).
        y: class ids, shape (C, n), int64.
        soft: learned label probabilities, shape (C, n, K), used for training instead of `y`. None: the rows have none.
    """

    x: Tensor
    y: Tensor
    soft: Tensor | None = None

    @property
    def labels(self) -> Tensor:
        """The labels used for training: class ids (C, n), or probabilities (C, n, K) if there are any."""
        return self.y if self.soft is None else self.soft

    def rows(self, index: slice) -> "Batch":
        """The rows at `index` within each class."""
        return Batch(self.x[:, index], self.y[:, index], None if self.soft is None else self.soft[:, index])

    def only(self, classes: slice) -> "Batch":
        """All rows of the classes at `classes`."""
        return Batch(self.x[classes], self.y[classes], None if self.soft is None else self.soft[classes])

    def map(self, f: Callable[[Tensor], Tensor]) -> "Batch":
        """The batch with `f` applied to its rows; the labels stay the same."""
        return replace(self, x=f(self.x))

    def detach(self) -> "Batch":
        """The same rows and labels, detached from the autograd graph."""
        return Batch(self.x.detach(), self.y, None if self.soft is None else self.soft.detach())

    def flat(self) -> tuple[Tensor, Tensor]:
        """Rows (C * n, channels, height, width) and labels (C * n,) or (C * n, K), class after class."""
        return self.x.flatten(0, 1), self.labels.flatten(0, 1)


class _Rows:
    """Images that are kept as they were given (uint8, or floats in [0, 1]) and normalized when read."""

    def __init__(self, images: Tensor, labels: Tensor, space: PixelSpace, dtype: torch.dtype, device: torch.device):
        self.images = images.to(device)
        self.labels = labels.to(device)
        self.space = space
        self.dtype = dtype
        self.device = device

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} rows of {'x'.join(map(str, self.shape))})"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one row."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the images, labels and shape; two sets with the same hash hold the same data."""
        digest = hashlib.blake2b(repr(tuple(self.images.shape)).encode(), digest_size=16)
        digest.update(self.images.cpu().contiguous().numpy().data)
        digest.update(self.labels.cpu().numpy().tobytes())
        return digest.hexdigest()

    def picked(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Copies of the images and labels at `index`: a mask (N,), or indices.

        Raises:
            InputError: they would take more memory than `errors.bounded` allows, because the images of a large data set
                are mapped from a file.
        """
        count = int(index.sum()) if index.dtype == torch.bool else len(index)
        image = self.images[0].numel() * self.images.element_size() if len(self) else 0
        bounded(count * image, f"a copy of {count:,} of {len(self):,} images")
        index = index.to(self.device)
        return self.images[index], self.labels[index]

    def read(self, index: Tensor | slice) -> Tensor:
        """Normalized rows at `index`, shape (..., channels, height, width)."""
        rows = self.images[index.to(self.device) if isinstance(index, Tensor) else index]
        unit = rows.to(self.dtype) / 255 if rows.dtype == torch.uint8 else rows.to(self.dtype)
        return self.space.normalize(unit)

    def slices(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield all rows once, in order: normalized rows (m, ...) and labels (m,), with m at most `size`."""
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            yield self.read(part), self.labels[part]


class TestSet(_Rows):
    """Rows for measuring accuracy only. They cannot be sampled by class or trained on."""

    __test__ = False  # keeps pytest from collecting it as a test class

    def normalized_by(self, space: PixelSpace) -> "TestSet":
        """The same rows, read in `space`."""
        return TestSet(self.images, self.labels, space, self.dtype, self.device)

    def to(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> "TestSet":
        """The same rows, read as `dtype` on `device`."""
        return TestSet(self.images, self.labels, self.space, dtype or self.dtype, torch.device(device or self.device))


class RealSet(_Rows):
    """The real training set T, with its rows sorted by class and kept in memory.

    Arguments:
        images: uint8, or floats in [0, 1]; shape (N, channels, height, width); any order.
        labels: class ids from 0 to classes - 1, shape (N,). Every class needs at least one row.
        classes: the number of classes C.
        space: the pixel space; `RealSet.measured` computes it from the rows themselves.
        dtype: the floating-point type of the rows that are read.
        device: where the rows are kept.
        name: the name of the data set in tables.
        class_names: one name per class. None: the class ids.
        facts: what recipes must know about the data besides its rows.

    Raises:
        InputError: a class has no rows, or a label is not the id of a class.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        classes: int,
        space: PixelSpace,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        name: str = "real rows",
        class_names: tuple[str, ...] | None = None,
        facts: Facts = Facts(),
    ):
        labels = labels.long()  # differences of uint8 would never be negative
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise InputError(
                f"labels are from {labels.min()} to {labels.max()}; the ids of {classes} classes are from 0 to "
                f"{classes - 1}; correct them"
            )
        if bool((labels.diff() < 0).any()):
            order = torch.argsort(labels, stable=True)
            images, labels = images[order], labels[order]
        super().__init__(images, labels, space, dtype, torch.device(device))
        self.classes = classes
        self.sizes: list[int] = torch.bincount(labels, minlength=classes).tolist()
        if min(self.sizes) == 0:
            raise InputError(f"class {self.sizes.index(0)} has no training image; remove the class or add images")
        self._starts = [0, *accumulate(self.sizes)]
        self.name, self.class_names = name, class_names or tuple(map(str, range(classes)))
        self.facts = facts

    @classmethod
    def measured(cls, images: Tensor, labels: Tensor, classes: int, facts: Facts = Facts()) -> "RealSet":
        """A real set in the pixel space of published constants, or else of the mean and std of `images`.

        Arguments:
            images, labels, classes: see `RealSet`.
            facts: the facts of the data set, with its published constants if it has any.

        Raises:
            InputError: a class has no rows, or the published constants are for another number of channels.
        """
        if facts.mean and facts.std:
            if len(facts.mean) != images.shape[1]:
                raise InputError(
                    f"images of {images.shape[1]} channels, but the facts give means of {len(facts.mean)}; leave "
                    "`mean` and `std` out, or give images with as many channels"
                )
            return cls(images, labels, classes, PixelSpace(facts.mean, facts.std), device=images.device, facts=facts)
        total = torch.zeros(images.shape[1], dtype=torch.float64, device=images.device)
        squares, count = torch.zeros_like(total), 0
        for part in images.split(max(1, 2**22 // images[0].numel())):  # in parts, since float64 takes 8 bytes per value
            unit = part.double() / 255 if part.dtype == torch.uint8 else part.double()
            total = total + unit.sum((0, 2, 3))
            squares = squares + unit.square().sum((0, 2, 3))
            count += unit[:, 0].numel()
        mean = total / count
        std = (squares / count - mean.square()).clamp_min(0).sqrt()
        std = torch.where(std < 1e-6, torch.ones_like(std), std)  # a constant channel keeps its scale
        space = PixelSpace(tuple(mean.tolist()), tuple(std.tolist()))
        return cls(images, labels, classes, space, device=images.device, facts=facts)

    def _with(self, **changed: Any) -> "RealSet":
        """The same rows, not copied, with some attributes changed."""
        other = copy(self)
        vars(other).update(changed)
        return other

    def to(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> "RealSet":
        """The same rows, read as `dtype` on `device`."""
        where = torch.device(device or self.device)
        return self._with(
            dtype=dtype or self.dtype, device=where, images=self.images.to(where), labels=self.labels.to(where)
        )

    def normalized_by(self, space: PixelSpace) -> "RealSet":
        """The same rows, read in `space`."""
        return self._with(space=space)

    def with_facts(self, facts: Facts) -> "RealSet":
        """The same rows, in the same pixel space, with other facts."""
        return self._with(facts=facts)

    def called(self, name: str, class_names: tuple[str, ...]) -> "RealSet":
        """The same rows, with these names for the data set and its classes."""
        return self._with(name=name, class_names=class_names)

    def rows(self, c: int) -> slice:
        """The slice of the rows that belongs to class `c`."""
        return slice(self._starts[c], self._starts[c] + self.sizes[c])

    @property
    def bytes_per_value(self) -> int:
        """The bytes of a value of a real image: 1 for 8-bit images, or those of a float."""
        return 1 if self.images.dtype == torch.uint8 else self.dtype.itemsize

    @property
    def bytes_per_image(self) -> int:
        """The bytes that a real image takes."""
        return prod(self.shape) * self.bytes_per_value

    def subset(self, index: Tensor) -> "RealSet":
        """The set of copies of the rows at `index` (N',), with this set's pixel space; for errors, see `picked`."""
        return RealSet(
            *self.picked(index), self.classes, self.space, self.dtype, self.device, self.name, self.class_names,
            self.facts,
        )  # fmt: skip

    def split(self, fraction: float, seed: int) -> "tuple[RealSet, TestSet]":
        """Split the rows into a training part and a held-out part for measuring accuracy.

        Arguments:
            fraction: the fraction of each class to hold out, in (0, 1). At least one row per class stays.
            seed: seed of the random choice of rows.

        Raises:
            InputError: `fraction` is outside (0, 1), every class is too small for a row to be held out, or the images
                are too many to be copied (see `picked`).
        """
        held = stratified(self.labels, fraction, seed)
        if not held.any():
            raise InputError(f"the classes are too small to hold out {fraction:g} of them; give more training rows")
        return self.subset(~held), TestSet(*self.picked(held), self.space, self.dtype, self.device)

    def at(self, index: Tensor) -> Batch:
        """The rows at `index` (C, n) and their labels, as a batch."""
        return Batch(self.read(index), self.labels[index.to(self.device)])

    def sample(self, n: int, classes: Sequence[int], draw: PerClass) -> Batch:
        """Draw `n` random rows per class without replacement.

        From a class with fewer than `n` rows, new permutations of all its rows are drawn until there are `n`.

        Arguments:
            n: rows per class.
            classes: class ids in any order.
            draw: gives one generator per class. The rows of a class depend only on its own generator.
        """
        picks = []
        for c in classes:
            picks.append(repeated(self.sizes[c], n, draw(c)) + self._starts[c])
        return self.at(torch.stack(picks))

    def minibatches(self, size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield all rows once, in random order: rows (m, ...), labels (m,) and indices (m,), with m at most `size`."""
        for index in torch.randperm(len(self), generator=generator).split(size):
            yield self.read(index), self.labels[index.to(self.device)], index


def stratified(labels: Tensor, fraction: float, seed: int) -> Tensor:
    """A random mask (N,) that is true for a fraction of each class: at least one row, but never the only one.

    Arguments:
        labels: class ids, shape (N,).
        fraction: the fraction of each class, in (0, 1).
        seed: seed of the random choice of rows.

    Raises:
        InputError: `fraction` is outside (0, 1).
    """
    if not 0 < fraction < 1:
        raise InputError(f"the held-out fraction must lie between 0 and 1, got {fraction}")
    held = torch.zeros(len(labels), dtype=torch.bool, device=labels.device)
    for c in labels.unique().tolist():
        index = (labels == c).nonzero().flatten()
        count = min(max(1, round(fraction * len(index))), len(index) - 1)
        order = torch.randperm(len(index), generator=rng(seed, "split", c))
        held[index[order[:count]]] = True
    return held
