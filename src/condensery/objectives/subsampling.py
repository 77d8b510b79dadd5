"""How subsampling changes the gradient of distribution matching (KFS section 3.2).

Drawing some of the synthetic rows makes it biased; drawing some of the real rows gives it variance.
"""

from typing import Literal

import torch
from torch import Tensor

from condensery.data import Batch
from condensery.errors import InputError
from condensery.networks.network import Point
from condensery.synthetic import SyntheticSet

__all__ = ["bias", "variance"]


def bias(
    point: Point, synthetic: SyntheticSet, size: int, of: Literal["rows", "bases", "decoders"] = "rows"
) -> list[Tensor]:
    """The expected gradient of the loss if `size` are drawn, minus the gradient if all enter the mean.

    The loss is that of `DistributionMatching`, summed over classes. Draws are without repetition; whether classes share
    a draw does not matter. The expected loss exceeds the loss over all by the variance of a mean of `size`:
    Σ_c (n - size) / (size (n - 1)) · Var_c, with Var_c the mean squared distance of the n embeddings from their mean.
    At `size` 1 that is eq. 2.

    Arguments:
        size: how many are drawn, 1 to n.
        of: what is drawn: rows, bases (codes) with all their rows, or decoders with all codes (the k-th row of every
            base).

    Returns:
        One tensor for each learned parameter of `synthetic`, in their order.

    Raises:
        InputError: a size outside 1 to n, or bases that give different numbers of rows.

    References:
        KFS eq. 2, which is 1 / (2 C) of this.
    """
    if not synthetic.decoder.even:
        raise InputError("the decoder makes different numbers of rows from different bases; use another decoder")
    embeddings = point.embeddings(synthetic().flat()[0]).unflatten(
        0, (synthetic.classes, synthetic.bases_per_class, -1)
    )
    match of:
        case "rows":
            drawn = embeddings.flatten(1, 2)
        case "bases":
            drawn = embeddings.mean(2)
        case "decoders":
            drawn = embeddings.mean(1)
    n = drawn.shape[1]
    _check(size, n)
    spread = (drawn - drawn.mean(1, keepdim=True)).square().sum(2).mean(1).sum()
    return _gradients(spread * ((n - size) / (size * max(n - 1, 1))), synthetic)


def variance(point: Point, synthetic: SyntheticSet, real: Batch, size: int) -> float:
    """The trace of the covariance of the gradient if `size` real rows are drawn for each class, without repetition.

    The loss is that of `DistributionMatching`, summed over classes; classes are drawn independently.

    Arguments:
        real: C classes of n rows, of which `size` are drawn.
        size: 1 to n.

    Raises:
        InputError: a size outside 1 to n.

    References:
        KFS eq. 3, whose trace at `size` 1 is 1 / (2 C)² of this.
    """
    _check(size, real.y.shape[1])
    total = 0.0
    for c, rows in enumerate(real.x):
        with torch.no_grad():
            embeddings = point.embeddings(rows)
        mean = point.embeddings(synthetic([int(real.y[c, 0])]).x[0]).mean(0)
        spread = 0.0
        for away in embeddings - embeddings.mean(0):
            # a mean that is moved by `away` changes the gradient by -2 times the product with the Jacobian
            moved = _gradients(2 * (mean * away).sum(), synthetic, again=True)
            spread += sum(float(part.square().sum()) for part in moved)
        n = len(rows)
        total += spread / n * (n - size) / (size * max(n - 1, 1))
    return total


def _check(size: int, n: int) -> None:
    if not 1 <= size <= n:
        raise InputError(f"`size` must be from 1 to {n}, the number that can be drawn, got {size}")


def _gradients(of: Tensor, synthetic: SyntheticSet, again: bool = False) -> list[Tensor]:
    parameters = [p for p in synthetic.parameters() if p.requires_grad]
    found = torch.autograd.grad(of, parameters, retain_graph=again, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for g, p in zip(found, parameters, strict=True)]
