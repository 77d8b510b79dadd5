"""Multi-formation: a base is cut into cells, and every cell enlarged to a row (IDC).

More rows for the same storage, each of lower resolution. Cells run row by row; the rows of a base stay together.
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
    """A base is a grid of equal cells, each enlarged bilinearly to a row: k = down x across.

    Sides that the factor does not divide are padded at the bottom and the right.

    Arguments:
        factor: cells along each side, or (down, across): (1, f) cuts a spectrogram along time only.
        pad: what the sides are padded with; gray in the unit range.

    References:
        IDC section 3.2; padding and interpolation are the released program's.
    Departs: the program's decoded rows come cell by cell, all bases' first cells first; here base by base, so that
        the first n bases are the first rows. Initial tiles are shrunk by averaging (the program takes the nearest
        pixel).
    """

    def __init__(self, factor: int | Sequence[int], pad: float = 0.5):
        super().__init__()
        down, across = (factor, factor) if isinstance(factor, int) else factor
        for f in (down, across):
            _check(f)
        self.factor, self.pad = (down, across), pad

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
    """A base's uniform formations by all factors 1 to f together, which share its pixels: k = 1 + 4 + ... + f².

    Arguments:
        factor: f, the largest.
        pad: see `Uniform`.

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
        return self.scales[-1].base_shape(shape)

    def initial_rows(self, images: int) -> int:
        return self.scales[-1].initial_rows(images)

    def encode(self, rows: Tensor) -> Tensor:
        return self.scales[-1].encode(rows)

    def forward(self, bases: Tensor) -> Tensor:
        by_scale = [scale(bases).unflatten(1, (bases.shape[1], -1)) for scale in self.scales]
        return torch.cat(by_scale, dim=2).flatten(1, 2)


class Learnable(Decoder):
    """Uniform formation whose enlargement is learned: bilinear plus what a small network adds.

    Arguments:
        factor: cells along each side.
        channels: of the images.
        width: the network's features; its weights count as stored floats.
        pad: see `Uniform`.

    References:
        IDC appendix D, table 9: a reduced FSRCNN (Dong et al. 2016): features, shrinking, mapping, expanding, and a
        transposed convolution that enlarges.
    Departs: the network adds to the bilinear enlargement, so that learning starts from IDC's own formation; the
        paper does not say how many weights are left.
    """

    def __init__(self, factor: int, channels: int, width: int = 8, pad: float = 0.5):
        super().__init__()
        _check(factor)
        self.factor, self.channels, self.width, self.pad = factor, channels, width, pad
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
        for (
            layer
        ) in self.network:  # as FSRCNN: no bias, and almost no difference from the bilinear enlargement at first
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
    """Uniform formation with a factor for every base; `bound` chooses them so that not too many rows come out.

    Arguments:
        factors: the factor of the first base of every class, of the second, ...
        pad: see `Uniform`.

    References:
        The option "bound" of IDC's program (ImageNet at factor 3 and 20 images a class).
    """

    def __init__(self, factors: Sequence[int], pad: float = 0.5):
        super().__init__()
        for factor in factors:
            _check(factor)
        self.factors, self.pad = tuple(factors), pad

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
        """Neighboring bases of one factor: how they are formed, and how many they are."""
        if images > len(self.factors):
            raise InputError(f"{images} stored images a class, but factors for {len(self.factors)}")
        return [(Uniform(f, self.pad), len(list(same))) for f, same in groupby(self.factors[:images])]

    def encode(self, rows: Tensor) -> Tensor:
        groups, needed = self._groups(len(self.factors)), self.initial_rows(len(self.factors))
        if rows.shape[1] != needed:
            raise InputError(f"{rows.shape[1]} rows a class; decoder.initial_rows says {needed}")
        parts = rows.split([uniform.initial_rows(n) for uniform, n in groups], dim=1)
        return torch.cat([uniform.encode(part) for (uniform, _), part in zip(groups, parts, strict=True)], dim=1)

    def forward(self, bases: Tensor) -> Tensor:
        groups = self._groups(bases.shape[1])
        parts = bases.split([n for _, n in groups], dim=1)
        return torch.cat([uniform(part) for (uniform, _), part in zip(groups, parts, strict=True)], dim=1)


def from_cell_major(bases: Tensor, factor: int) -> Tensor:
    """Stored images laid out anew, for sets whose rows were counted cell by cell: the first cells of all images, then
    the second ones.

    Such are the subsets of MDC's released program. The first n · factor² of its rows are the rows of the first n images
    here.

    Arguments:
        bases: (C, n, channels, height, width), cut into cells by `Uniform(factor)`.

    Raises:
        InputError: the factor does not divide the sides, so that cells differ in size.
    """
    n, (height, width) = bases.shape[1], bases.shape[-2:]
    if height % factor or width % factor:
        raise InputError(f"factor {factor} does not divide {height}x{width}: cells of other sizes cannot change places")
    cells = _cells(bases, (factor, factor), 0.0).unflatten(1, (n, -1)).transpose(1, 2).flatten(1, 2)
    grid = cells.unflatten(1, (n, factor, factor))  # (C, n, down, across, channels, s, t)
    return grid.permute(0, 1, 4, 2, 5, 3, 6).flatten(5, 6).flatten(3, 4)


def bound(images: int, factor: int, most: int = 128) -> tuple[int, ...]:
    """The factors of `images` bases, from `factor` downwards: as many as go into `most` rows a class.

    Every base gives at least one row, so that more than `most` bases give as many rows as they are.
    """
    factors: list[int] = []
    for f in range(factor, 0, -1):
        rows, left = sum(g * g for g in factors), images - len(factors)
        spare = most - rows - left  # a row is set aside for every base still to come
        factors += [f] * (left if f == 1 else max(min(left, spare // (f * f - 1)), 0))
    return tuple(factors)


def _check(factor: int) -> None:
    if not 1 <= factor <= 32:
        raise InputError(f"`factor` must be 1 to 32, got {factor}")


def _cell(sides: Sequence[int], factor: Factors) -> tuple[int, int]:
    """The sides of a cell."""
    cell = [-(-side // f) for side, f in zip(sides, factor, strict=True)]
    for side, length, f in zip(sides, cell, factor, strict=True):
        if (f - 1) * length >= side:  # the last cell would be padding and nothing else
            raise InputError(
                f"`factor={f}` leaves empty cells in images of {'x'.join(map(str, sides))}; "
                f"take a smaller one, or one that divides {side}"
            )
    return cell[0], cell[1]


def _cells(bases: Tensor, factor: Factors, pad: float) -> Tensor:
    """Bases `(C, n, channels, height, width)` cut into cells `(C, n · k, channels, s, t)`, row by row."""
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
    """Rows `(C, n · k, channels, height, width)` shrunk to cells and laid side by side: bases `(C, n, ...)`.

    Where the factor does not divide a side, the last cells are smaller, since what lies beyond the side is padding.
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
            f"{rows.shape[1]} rows a class do not fill stored images of {step} cells; "
            f"give a multiple of {step}, as decoder.initial_rows says"
        )
