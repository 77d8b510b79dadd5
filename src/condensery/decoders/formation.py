"""Multi-formation: a base is cut into cells, and each cell is enlarged to a row (IDC).

This gives more rows from the same storage, each of lower resolution. The cells of a base are in reading order (left to
right, then top to bottom), and its rows stay together.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from condensery.decoders.decoder import Decoder
from condensery.errors import InputError

__all__ = ["Bound", "Learnable", "MultiScale", "Uniform", "bound", "from_cell_major"]

Factors = tuple[int, int]


class Uniform(Decoder):
    """A base is a grid of k = down · across equal cells, each enlarged bilinearly to a row.

    If the factor does not divide a side, the base is padded at the bottom and on the right.

    Arguments:
        factor: cells along each side, or (down, across). For example, (1, f) cuts a spectrogram along time only.
        pad: the value of the padding. The default is gray in the unit range.

    Raises:
        InputError: a factor is not from 1 to 32.

    References:
        IDC section 3.2; padding and interpolation follow the released program.
    Departs: the program orders decoded rows by cell (the first cells of all bases come first); here they are ordered by
        base, so that the rows of the first n bases come first. Initial tiles are shrunk by averaging; the program takes
        the nearest pixel.
    """

    def __init__(self, factor: int | Sequence[int], pad: float = 0.5):
        super().__init__()
        down, across = (factor, factor) if isinstance(factor, int) else factor
        for f in (down, across):
            _check(f)
        self.factor, self.pad = (down, across), float(pad)

    @property
    def arguments(self) -> dict[str, Any]:
        return {"factor": list(self.factor), "pad": self.pad}

    def base_shape(self, shape: tuple[int, int, int]) -> tuple[int, ...]:
        _cell(shape[1:], self.factor)
        return shape

    def initial_rows(self, images: int) -> int:
        return images * self.factor[0] * self.factor[1]

    def encode(self, rows: Tensor) -> Tensor:
        return _tiled(rows, self.factor)

    def forward(self, bases: Tensor) -> Tensor:
        cells = _cells(bases, self.factor, self.pad)
        return _enlarged(cells, bases.shape[-2:])


class MultiScale(Decoder):
    """A base is decoded by uniform formation with every factor from 1 to f, which gives k = 1 + 4 + ... + f² rows.

    Arguments:
        factor: the largest factor f.
        pad: see `Uniform`.

    Raises:
        InputError: `factor` is not from 1 to 32.

    References:
        IDC appendix D, table 8.
    """

    def __init__(self, factor: int, pad: float = 0.5):
        super().__init__()
        _check(factor)
        self.factor, self.scales = factor, [Uniform(f, pad) for f in range(1, factor + 1)]

    @property
    def arguments(self) -> dict[str, Any]:
        return {"factor": self.factor, "pad": self.scales[-1].pad}

    def base_shape(self, shape: tuple[int, int, int]) -> tuple[int, ...]:
        try:
            (*_, base) = (scale.base_shape(shape) for scale in self.scales)
        except InputError as error:
            raise InputError(f"{error}; multi-scale formation takes every factor up to {self.factor}") from error
        return base

    def initial_rows(self, images: int) -> int:
        return self.scales[-1].initial_rows(images)

    def encode(self, rows: Tensor) -> Tensor:
        return self.scales[-1].encode(rows)

    def forward(self, bases: Tensor) -> Tensor:
        by_scale = [scale(bases).unflatten(1, (bases.shape[1], -1)) for scale in self.scales]
        return torch.cat(by_scale, dim=2).flatten(1, 2)


class Learnable(Decoder):
    """Uniform formation with learned enlargement: bilinear interpolation plus the output of a small network.

    Arguments:
        factor: cells along each side.
        channels: channels of the images.
        width: features of the network. Its weights count as stored floats.
        pad: see `Uniform`.

    Raises:
        InputError: `factor` is not from 1 to 32.

    References:
        IDC appendix D, table 9: a reduced FSRCNN (Dong et al. 2016), with layers for feature extraction, shrinking,
        mapping and expanding, and a transposed convolution that enlarges.
    Departs: the network's output is added to the bilinear enlargement, so that learning starts from IDC's uniform
        formation. The paper does not give the number of weights of its reduced network.
    """

    def __init__(self, factor: int, channels: int, width: int = 8, pad: float = 0.5):
        super().__init__()
        _check(factor)
        self.factor, self.channels, self.width, self.pad = factor, channels, width, float(pad)
        narrow = max(width // 2, 1)
        self.network = nn.Sequential(
            nn.Conv2d(channels, width, 5, padding=2),
            nn.PReLU(),
            nn.Conv2d(width, narrow, 1),
            nn.PReLU(),
            nn.Conv2d(narrow, narrow, 3, padding=1),
            nn.PReLU(),
            nn.Conv2d(narrow, width, 1),
            nn.PReLU(),
            nn.ConvTranspose2d(width, channels, 9, factor, padding=4, output_padding=factor - 1),
        )
        # as in FSRCNN: zero biases and tiny last weights, so that at first the network adds almost nothing
        for layer in self.network:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, a=0.25)
            if isinstance(layer, nn.ConvTranspose2d):
                nn.init.normal_(layer.weight, std=1e-3)
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.bias is not None:
                nn.init.zeros_(layer.bias)

    @property
    def arguments(self) -> dict[str, Any]:
        return {"factor": self.factor, "channels": self.channels, "width": self.width, "pad": self.pad}

    def base_shape(self, shape: tuple[int, int, int]) -> tuple[int, ...]:
        _cell(shape[1:], (self.factor, self.factor))
        return shape

    def initial_rows(self, images: int) -> int:
        return images * self.factor**2

    def encode(self, rows: Tensor) -> Tensor:
        return _tiled(rows, (self.factor, self.factor))

    def forward(self, bases: Tensor) -> Tensor:
        cells, (height, width) = _cells(bases, (self.factor, self.factor), self.pad), bases.shape[-2:]
        added = self.network(cells.flatten(0, 1) - self.pad)[..., :height, :width]
        return _enlarged(cells, (height, width)) + added.unflatten(0, cells.shape[:2])


class Bound(Decoder):
    """Uniform formation with one factor per base; the function `bound` chooses factors that limit the number of rows.

    Arguments:
        factors: the factors of the first base of each class, the second base, and so on.
        pad: see `Uniform`.

    Raises:
        InputError: a factor is not from 1 to 32.

    References:
        The option "bound" of IDC's program (ImageNet with factor 3 and 20 images per class).
    """

    def __init__(self, factors: Sequence[int], pad: float = 0.5):
        super().__init__()
        for factor in factors:
            _check(factor)
        self.factors, self.pad = tuple(factors), float(pad)

    @property
    def arguments(self) -> dict[str, Any]:
        return {"factors": list(self.factors), "pad": self.pad}

    @property
    def even(self) -> bool:
        return len(set(self.factors)) == 1

    def base_shape(self, shape: tuple[int, int, int]) -> tuple[int, ...]:
        for factor in set(self.factors):
            _cell(shape[1:], (factor, factor))
        return shape

    def initial_rows(self, images: int) -> int:
        return sum(factor**2 for factor in self.factors[:images])

    def _groups(self, images: int) -> list[tuple[Uniform, int]]:
        """Runs of neighboring bases with the same factor: the decoder of each run and its number of bases."""
        if images > len(self.factors):
            raise InputError(
                f"{images} stored images per class, but factors for only {len(self.factors)}; give one factor per image"
            )
        return [(Uniform(f, self.pad), len(list(same))) for f, same in groupby(self.factors[:images])]

    def encode(self, rows: Tensor) -> Tensor:
        groups, needed = self._groups(len(self.factors)), self.initial_rows(len(self.factors))
        if rows.shape[1] != needed:
            raise InputError(
                f"{rows.shape[1]} rows per class do not fill the bases; give {needed}, as decoder.initial_rows says"
            )
        parts = rows.split([uniform.initial_rows(n) for uniform, n in groups], dim=1)
        return torch.cat([uniform.encode(part) for (uniform, _), part in zip(groups, parts, strict=True)], dim=1)

    def forward(self, bases: Tensor) -> Tensor:
        groups = self._groups(bases.shape[1])
        parts = bases.split([n for _, n in groups], dim=1)
        return torch.cat([uniform(part) for (uniform, _), part in zip(groups, parts, strict=True)], dim=1)


def from_cell_major(bases: Tensor, factor: int) -> Tensor:
    """Rearrange the cells of stored images whose decoded rows are ordered by cell, so that they are ordered by image.

    MDC's released program orders rows by cell: the first cells of all images, then the second cells, and so on. The
    first m · factor² rows in its order become the rows of the first m images here.

    Arguments:
        bases: stored images, shape (C, n, channels, height, width), that `Uniform(factor)` cuts into cells.
        factor: cells along each side.

    Returns:
        The rearranged images, with the same shape.

    Raises:
        InputError: the factor does not divide the sides, so that cells differ in size.
    """
    n, (height, width) = bases.shape[1], bases.shape[-2:]
    if height % factor or width % factor:
        raise InputError(
            f"factor {factor} does not divide {height}x{width}, so cells of different sizes cannot be rearranged; "
            "use a factor that divides both sides"
        )
    cells = _cells(bases, (factor, factor), 0.0).unflatten(1, (n, -1)).transpose(1, 2).flatten(1, 2)
    grid = cells.unflatten(1, (n, factor, factor))  # (C, n, down, across, channels, s, t)
    return grid.permute(0, 1, 4, 2, 5, 3, 6).flatten(5, 6).flatten(3, 4)


def bound(images: int, factor: int, most: int = 128) -> tuple[int, ...]:
    """Choose factors for `images` bases, the largest first, so that they decode to at most `most` rows per class.

    Each base decodes to at least one row, so more than `most` bases all get factor 1 and decode to one row each. As in
    IDC's program, a base of factor f counts f² rows beside the row that is reserved for it.

    Arguments:
        images: number of bases per class.
        factor: the largest factor to use.
        most: the largest number of decoded rows per class.
    """
    factors: list[int] = []
    for f in range(factor, 0, -1):
        rows, left = sum(g * g for g in factors), images - len(factors)
        spare = most - rows - left  # one row is reserved for each base that has no factor yet
        factors += [f] * (left if f == 1 else max(min(left, spare // (f * f)), 0))
    return tuple(factors)


def _check(factor: int) -> None:
    if not 1 <= factor <= 32:
        raise InputError(f"`factor` must be 1 to 32, got {factor}")


def _cell(sides: Sequence[int], factor: Factors) -> tuple[int, int]:
    """The height and width of a cell, in pixels."""
    cell = [-(-side // f) for side, f in zip(sides, factor, strict=True)]
    for side, length, f in zip(sides, cell, factor, strict=True):
        if (f - 1) * length >= side:  # the last cell would hold only padding
            raise InputError(
                f"`factor={f}` leaves empty cells in images of {'x'.join(map(str, sides))}; "
                f"use a smaller factor, or one that divides {side}"
            )
    return cell[0], cell[1]


def _cells(bases: Tensor, factor: Factors, pad: float) -> Tensor:
    """Bases `(C, n, channels, height, width)` cut into cells `(C, n · k, channels, s, t)`, in reading order."""
    (down, across), (height, width) = factor, bases.shape[-2:]
    s, t = _cell((height, width), factor)
    if (down * s, across * t) != (height, width):
        bases = F.pad(bases, (0, across * t - width, 0, down * s - height), value=pad)
    grid = bases.unflatten(-2, (down, s)).unflatten(-1, (across, t))  # (C, n, channels, down, s, across, t)
    return grid.permute(0, 1, 3, 5, 2, 4, 6).flatten(1, 3)


def _enlarged(cells: Tensor, sides: Sequence[int]) -> Tensor:
    rows = F.interpolate(cells.flatten(0, 1), tuple(sides), mode="bilinear", align_corners=False)
    return rows.unflatten(0, cells.shape[:2])


def _tiled(rows: Tensor, factor: Factors) -> Tensor:
    """Shrink rows `(C, n · k, channels, height, width)` to cells and arrange them into bases `(C, n, ...)`.

    If the factor does not divide a side, the last cells are smaller, since padding fills the rest of them.
    """
    (down, across), (height, width) = factor, rows.shape[-2:]
    _fits(rows, down * across)
    s, t = _cell((height, width), factor)
    grid = rows.unflatten(1, (-1, down, across))
    bases = rows.new_empty(rows.shape[0], grid.shape[1], *rows.shape[2:])
    for i in range(down):
        for j in range(across):
            place = bases[..., i * s : (i + 1) * s, j * t : (j + 1) * t]
            small = F.adaptive_avg_pool2d(grid[:, :, i, j].flatten(0, 1), (place.shape[-2], place.shape[-1]))
            place.copy_(small.unflatten(0, place.shape[:2]))
    return bases


def _fits(rows: Tensor, step: int) -> None:
    if not rows.shape[1] or rows.shape[1] % step:
        raise InputError(
            f"{rows.shape[1]} rows per class do not fill stored images of {step} cells; "
            f"give a multiple of {step}, as decoder.initial_rows says"
        )
