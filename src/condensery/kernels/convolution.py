"""3 x 3 convolutions and the products in their gradients, in three ways: direct, one matrix product, Winograd.

Rows are stored with channels last, (n, height, width, channels). Operands are prepared once (`rows`, `filters`,
`result_gradient`) and used in several products: rows, for example, in the forward pass, in the gradient of the filters
and in the forward pass along a direction.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Columns", "Convolution", "Direct", "Winograd", "written"]

Pair = tuple[Tensor, Tensor]

_LIBRARY = torch.library.Library("condensery", "DEF")
_LIBRARY.define("kept(Tensor x) -> Tensor")
_LIBRARY.impl("kept", lambda x: x.clone(), "CompositeExplicitAutograd")


def written(x: Tensor) -> Tensor:
    """A copy of `x` that the compiler must write to memory as it is.

    Otherwise the compiler may compute `x` again wherever it is used, or store it in another order of axes.
    """
    copy: Tensor = torch.ops.condensery.kept(x)
    return copy


class Convolution(ABC):
    """The products of a 3 x 3 convolution; each is linear in both operands.

    Arguments:
        sides: (height, width) of the input, h and w below; h' and w' are those of the result.
        padding: pixels of zeros added on every side of the input.
    """

    def __init__(self, sides: tuple[int, int], padding: int):
        self.sides, self.padding = sides, padding
        self.out = (sides[0] + 2 * padding - 2, sides[1] + 2 * padding - 2)

    @abstractmethod
    def rows(self, x: Tensor) -> Tensor:
        """Prepare rows (n, h, w, i) for `apply` and `filters_gradient`."""

    @abstractmethod
    def filters(self, w: Tensor) -> Tensor:
        """Prepare filters (o, i, 3, 3) for `apply`."""

    @abstractmethod
    def apply(self, pairs: Sequence[Pair]) -> Tensor:
        """The sum (n, h', w', o) of the convolutions of pairs of prepared rows and filters."""

    def stored(self, du: Tensor) -> Tensor:
        """The gradient (n, h', w', o) of a loss with respect to the result, before its first use in a product."""
        return du

    @abstractmethod
    def result_gradient(self, du: Tensor) -> Tensor:
        """Prepare the gradient (n, h', w', o) of a loss with respect to the result, for `back`."""

    @abstractmethod
    def filters_back(self, w: Tensor) -> Tensor:
        """Prepare filters (o, i, 3, 3) for `back`."""

    @abstractmethod
    def back(self, pairs: Sequence[Pair]) -> Tensor:
        """The sum (n, h, w, i) of gradients with respect to the rows, from pairs of prepared gradients and filters."""

    @abstractmethod
    def filters_gradient(self, rows: Tensor, du: Tensor) -> Tensor:
        """The gradient (o, i, 3, 3) with respect to the filters, from prepared rows and an unprepared gradient."""


class Direct(Convolution):
    """PyTorch's own convolution.

    Its operands are written to memory first. Otherwise, the compiler would store them in another order of axes and copy
    them number by number into the order that the convolution needs.
    """

    def rows(self, x: Tensor) -> Tensor:
        return written(x)

    def filters(self, w: Tensor) -> Tensor:
        return w.contiguous(memory_format=torch.channels_last)

    def apply(self, pairs: Sequence[Pair]) -> Tensor:
        x, w = _side_by_side(pairs, 1)
        return F.conv2d(x.permute(0, 3, 1, 2), w, padding=self.padding).permute(0, 2, 3, 1)

    def stored(self, du: Tensor) -> Tensor:
        return written(du)

    def result_gradient(self, du: Tensor) -> Tensor:
        return du

    def filters_back(self, w: Tensor) -> Tensor:
        return self.filters(w)

    def back(self, pairs: Sequence[Pair]) -> Tensor:
        du, w = _side_by_side(pairs, 0)
        return F.conv_transpose2d(du.permute(0, 3, 1, 2), w, padding=self.padding).permute(0, 2, 3, 1)

    def filters_gradient(self, rows: Tensor, du: Tensor) -> Tensor:
        w = rows.new_empty(du.shape[3], rows.shape[3], 3, 3)
        gradient: Tensor = torch.ops.aten.convolution_backward(
            du.permute(0, 3, 1, 2), rows.permute(0, 3, 1, 2), w, None, [1, 1], [self.padding] * 2, [1, 1], False,
            [0, 0], 1, [False, True, False],
        )[1]  # fmt: skip
        return gradient


def _side_by_side(pairs: Sequence[Pair], axis: int) -> Pair:
    """Pairs of rows and filters as one pair with more channels, which are an `axis` of the filters.

    One convolution with twice as many channels is faster than the sum of two.
    """
    rows, filters = zip(*pairs, strict=True)
    if len(pairs) == 1:
        return rows[0], filters[0]
    return written(torch.cat(rows, 3)), torch.cat(filters, axis)


class Columns(Convolution):
    """One matrix product over the neighborhoods of all pixels, for few input channels."""

    def rows(self, x: Tensor) -> Tensor:
        (height, width), p = self.out, self.padding
        x = F.pad(x, (0, 0, p, p, p, p))
        return torch.cat([x[:, i : i + height, j : j + width] for i in range(3) for j in range(3)], 3)

    def filters(self, w: Tensor) -> Tensor:
        return w.permute(2, 3, 1, 0).reshape(-1, len(w))

    def apply(self, pairs: Sequence[Pair]) -> Tensor:
        return _sum_of_products([(x.flatten(0, 2), w) for x, w in pairs]).unflatten(0, (-1, *self.out))

    def result_gradient(self, du: Tensor) -> Tensor:
        return du.flatten(0, 2)

    def filters_back(self, w: Tensor) -> Tensor:
        return self.filters(w).T

    def back(self, pairs: Sequence[Pair]) -> Tensor:
        columns = _sum_of_products(list(pairs)).unflatten(0, (-1, *self.out)).unflatten(3, (9, -1))
        p, (height, width) = self.padding, self.sides
        # the transpose of the shifts in `rows`: each pixel sums the gradients from the neighborhoods that contain it
        parts = [
            F.pad(columns[:, :, :, 3 * i + j], (0, 0, j, 2 - j, i, 2 - i))[:, p : p + height, p : p + width]
            for i in range(3)
            for j in range(3)
        ]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def filters_gradient(self, rows: Tensor, du: Tensor) -> Tensor:
        product = rows.flatten(0, 2).T @ du.flatten(0, 2)
        return product.unflatten(0, (3, 3, -1)).permute(3, 2, 0, 1)


def _sum_of_products(pairs: Sequence[Pair]) -> Tensor:
    (a, b), *others = pairs
    total = a @ b
    for a, b in others:
        total = total + a @ b
    return total


# The transforms of F(4 x 4, 3 x 3) with the interpolation points 0, ±1, ±2 and infinity.
_ROWS = ((4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0), (0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0),
         (0, 4, 0, -5, 0, 1))  # fmt: skip
_FILTERS = ((1 / 4, 0, 0), (-1 / 6, -1 / 6, -1 / 6), (-1 / 6, 1 / 6, -1 / 6), (1 / 24, 1 / 12, 1 / 6),
            (1 / 24, -1 / 12, 1 / 6), (0, 0, 1))  # fmt: skip
_RESULT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))

Matrix = Sequence[Sequence[float]]


class Winograd(Convolution):
    """Tiles of 4 x 4 results with a quarter of the multiplications, for sides divisible by 4 and padding 1.

    Results differ from those of `Direct` in the last digits (2e-6 relative in float32).

    References:
        Lavin & Gray 2016, "Fast algorithms for convolutional neural networks".
    """

    def rows(self, x: Tensor) -> Tensor:
        height, width = self.sides
        x = F.pad(x, (0, 0, 1, 1, 1, 1))
        x = _combined(_ROWS, [x[:, i : i + height : 4] for i in range(6)])
        x = _combined(_ROWS, [x[:, :, :, j : j + width : 4] for j in range(6)])
        return x.flatten(2, 4).flatten(0, 1)

    def filters(self, w: Tensor) -> Tensor:
        w = _combined(_FILTERS, w.unbind(2))
        w = _combined(_FILTERS, w.unbind(3))
        return w.flatten(0, 1).transpose(1, 2)

    def apply(self, pairs: Sequence[Pair]) -> Tensor:
        points = _sum_of_products(list(pairs)).unflatten(0, (6, 6))
        tiles = _combined(_RESULT, points.unbind(1))
        tiles = _combined(_RESULT, tiles.unbind(1))
        height, width = self.sides
        tiles = tiles.unflatten(2, (-1, height // 4, width // 4)).permute(2, 3, 1, 4, 0, 5)
        return tiles.reshape(len(tiles), height, width, -1)

    def result_gradient(self, du: Tensor) -> Tensor:
        return self.rows(du)

    def filters_back(self, w: Tensor) -> Tensor:
        return self.filters(w.transpose(0, 1).flip(2, 3))

    def back(self, pairs: Sequence[Pair]) -> Tensor:
        return self.apply(pairs)

    def filters_gradient(self, rows: Tensor, du: Tensor) -> Tensor:
        tiles = du.unflatten(2, (-1, 4)).unflatten(1, (-1, 4))
        gradients = _combined(_transposed(_RESULT), tiles.unbind(2))
        gradients = _combined(_transposed(_RESULT), gradients.unbind(4))
        products = (rows.transpose(1, 2) @ gradients.flatten(2, 4).flatten(0, 1)).unflatten(0, (6, 6))
        taps = _combined(_transposed(_FILTERS), products.unbind(1))
        taps = _combined(_transposed(_FILTERS), taps.unbind(1))
        return taps.permute(3, 2, 1, 0)


def _transposed(matrix: Matrix) -> Matrix:
    return tuple(zip(*matrix, strict=True))


def _combined(matrix: Matrix, parts: Sequence[Tensor]) -> Tensor:
    """The product of `matrix` with the vector of `parts`, along a new first axis."""
    results = []
    for factors in matrix:
        terms = [part if f == 1 else part * f for f, part in zip(factors, parts, strict=True) if f]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        results.append(total)
    return torch.stack(results)
