"""`Data`: a data set of a training part and a test part."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from condensery.data.facts import Facts
from condensery.data.pixels import Whitening
from condensery.data.rows import RealSet, TestSet
from condensery.errors import InputError

__all__ = ["Data"]


@dataclass(frozen=True)
class Data:
    """A data set: a training part to condense, a test part to measure accuracy on, and its names.

    Arguments:
        name: the name of the data set in tables.
        train: the real set. Condensing takes only this part, so it cannot reach the test rows.
        test: the rows that accuracy is measured on.
        class_names: one name per class, in the order of the class ids.
        source: the file or folder that the data was read from. None: it was not read from a file.
    """

    name: str
    train: RealSet
    test: TestSet
    class_names: tuple[str, ...]
    source: Path | None = None

    def __post_init__(self) -> None:
        if (self.train.name, self.train.class_names) != (self.name, self.class_names):
            object.__setattr__(self, "train", self.train.called(self.name, self.class_names))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one row."""
        return self.train.shape

    @property
    def facts(self) -> Facts:
        """What recipes and protocols must know about the data besides its rows."""
        return self.train.facts

    @property
    def mean(self) -> tuple[float, ...]:
        """Per-channel mean for pixels in [0, 1]: the published constants, or measured on the training rows."""
        return self.train.space.mean

    @property
    def std(self) -> tuple[float, ...]:
        """Per-channel standard deviation for pixels in [0, 1]: published constants, or measured."""
        return self.train.space.std

    def to(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> "Data":
        """The same data, read as `dtype` on `device`."""
        return replace(self, train=self.train.to(dtype, device), test=self.test.to(dtype, device))

    def having(self, *, flip: bool) -> "Data":
        """The same data, of which augmentations may or may not mirror the images (see `Facts`)."""
        return replace(self, train=self.train.with_facts(replace(self.facts, flip=flip)))

    def of_classes(self, classes: Sequence[int]) -> "Data":
        """The rows of these classes only, whose labels become 0, 1, ... in the given order; in the same pixel space.

        If the classes have no test rows, the test part is empty.

        Raises:
            InputError: a class is not there, or is given twice, or the images are too many to be copied.
        """
        if sorted(set(classes)) != sorted(classes) or not classes or not set(classes) <= set(range(self.train.classes)):
            raise InputError(f"`classes` must be different ids from 0 to {self.train.classes - 1}, got {list(classes)}")
        ids, parts = torch.full((self.train.classes,), -1), []
        ids[list(classes)] = torch.arange(len(classes))
        for part in (self.train, self.test):
            new = ids.to(part.labels.device)
            images, labels = part.picked(new[part.labels] >= 0)
            parts.append((images, new[labels]))
        names, train = tuple(self.class_names[c] for c in classes), self.train
        known = RealSet(*parts[0], len(names), train.space, train.dtype, train.device, self.name, names, train.facts)
        return replace(
            self, train=known, test=TestSet(*parts[1], train.space, train.dtype, train.device), class_names=names
        )

    def resized(self, side: int, channels: int) -> "Data":
        """The same images with `side` x `side` pixels and as many channels, normalized by their own mean and std.

        Arguments:
            side: pixels along each side; images are interpolated (bilinear, antialiased).
            channels: 1 or 3; a gray image gets three equal channels, and a colored one the mean of its channels.

        Raises:
            InputError: `side` is below 1, `channels` is not 1 or 3, or the data are whitened.
        """
        if self.train.space.whitening:
            raise InputError(f"{self.name}: whitened images cannot be resized; resize them first, or leave out `zca`")
        if side < 1 or channels not in (1, 3):
            raise InputError(f"images are resized to a side of at least 1 and 1 or 3 channels, got {side}, {channels}")

        def scaled(images: Tensor) -> Tensor:
            x = images.float() / 255 if images.dtype == torch.uint8 else images
            x = x.mean(1, keepdim=True) if channels == 1 else x.expand(-1, 3, -1, -1)
            x = F.interpolate(x, (side, side), mode="bilinear", antialias=True)
            return (255 * x).round().to(torch.uint8) if images.dtype == torch.uint8 else x

        parts = [torch.cat([scaled(some) for some in part.images.split(4096)]) for part in (self.train, self.test)]
        facts = replace(self.facts, mean=None, std=None)
        train = RealSet.measured(parts[0], self.train.labels, self.train.classes, facts)
        train = train.to(self.train.dtype, self.train.device)
        test = TestSet(parts[1], self.test.labels, train.space, self.test.dtype, self.test.device)
        return replace(self, train=train, test=test)

    def whitened(self, strength: float = 0.1) -> "Data":
        """The same data, read with ZCA whitening computed from the training rows; see `Whitening`.

        Arguments:
            strength: see `Whitening.measured`.

        Raises:
            InputError: the rows have more than 3 · 64 · 64 values, or all rows are the same. The matrix of ZCA has
                (channels · height · width)² entries.
        """
        if (values := self.train.images[0].numel()) > 12288:
            raise InputError(
                f"ZCA of images with {values} values takes too much memory; "
                "leave out `zca` or give images of at most 3x64x64"
            )
        plain = self.train.normalized_by(replace(self.train.space, whitening=None))
        whitening = Whitening.measured((x for x, _ in plain.slices(1024)), strength)
        space = replace(plain.space, whitening=whitening)
        return replace(self, train=self.train.normalized_by(space), test=self.test.normalized_by(space))

    def validation(self, fraction: float = 0.1, seed: int = 0) -> "Data":
        """Data whose training and test parts are both taken from `train`, for making choices without the test rows.

        Arguments:
            fraction: the fraction of each class that becomes the test part, in (0, 1). At least one row per class stays
                in the training part.
            seed: seed of the random choice of rows.

        Raises:
            InputError: `fraction` is outside (0, 1), or every class is too small for a row to be held out.
        """
        train, test = self.train.split(fraction, seed)
        return replace(self, name=f"{self.name}-validation", train=train, test=test)
