"""Coresets: rows chosen from the real set, as the baselines of every condensation paper.

Each function takes a real set and returns a synthetic set of real rows (base = image), so that artifact and
evaluation are the same for a chosen set and for a learned one.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from condensery.data import RealSet
from condensery.errors import RunError
from condensery.evaluation.training import Training, computing, fit
from condensery.formats import PIXELS
from condensery.kernels.compiling import during
from condensery.networks.network import Point, rows_at_once
from condensery.runs.checkpoint import Keeper
from condensery.synthetic import SyntheticSet, check_ipc, random_real

__all__ = ["forgetting", "herding", "k_center", "random"]


def random(real: RealSet, ipc: int, seed: int) -> SyntheticSet:
    """Choose `ipc` different random rows of every class.

    Raises:
        InputError: a class has fewer than `ipc` rows. All functions of this module raise it.
    """
    return _chosen(real, random_real(real, ipc, seed))


def herding(real: RealSet, ipc: int, features: Point) -> SyntheticSet:
    """Choose rows whose running mean in feature space follows the class mean.

    Row i + 1 is the one closest to (i + 1) · mean - sum of the i rows chosen, each row at most once.

    Arguments:
        features: a trained point, whose embedding is the feature space.

    Raises:
        RunError: a feature is not finite, because the training of the network diverged (`k_center` raises it too).

    References:
        Welling 2009; DC section 3.1. The order follows the authors' description of their baseline: greedy on the
        residual of the mean.
    """
    return _choose(real, ipc, features, _herd)


def k_center(real: RealSet, ipc: int, features: Point) -> SyntheticSet:
    """Choose rows by farthest-first traversal in feature space, from the row nearest to the class mean.

    References:
        Wolf 2011, Sener & Savarese 2018; DC appendix C for the first row.
    """
    return _choose(real, ipc, features, _spread)


def forgetting(
    real: RealSet,
    ipc: int,
    start: Point,
    how: Training,
    steps: int,
    seed: int,
    keeper: Keeper | None = None,
    report: Callable[[int, int, float], None] | None = None,
) -> SyntheticSet:
    """Choose the rows that training forgets most often: classified correctly at one visit and wrongly at the next.

    Rows that are never classified correctly count as forgotten at every visit; the earlier row wins ties.

    Arguments:
        start: new weights, which are trained on `real` with `how` for `steps` steps while forgetting is counted.
        keeper, report: passed to this training; see `fit`.

    Raises:
        RunError: the training diverged.

    References:
        Toneva et al. 2019, algorithm 1.
    """
    check_ipc(real, ipc)
    right, ever = torch.zeros(2, len(real), dtype=torch.bool)
    forgotten, visits = torch.zeros(2, len(real))
    counts = {"right": right, "ever": ever, "forgotten": forgotten, "visits": visits}

    def observe(index: Tensor, logits: Tensor, y: Tensor) -> None:
        now = (logits.argmax(1) == y).cpu()
        forgotten[index] += (right[index] & ~now).float()
        right[index] = now
        ever[index] |= now
        visits[index] += 1
        if not torch.isfinite(logits).all():
            raise RunError("the outputs of the network in training are not finite; give another network")

    with during(computing(start.network, real.shape, steps * how.batch_size)):
        fit(start, real, how, steps, seed, ("forgetting",), None, None, observe, keeper, counts, report)
    score = torch.where(ever, forgotten, visits)
    picks = [
        score[real.rows(c)].sort(descending=True, stable=True).indices[:ipc] + real.rows(c).start
        for c in range(real.classes)
    ]
    return _chosen(real, real.at(torch.stack(picks)).x)


def _chosen(real: RealSet, rows: Tensor) -> SyntheticSet:
    """The set of some real rows; if these are 8-bit images, it stores them as they are."""
    if real.bytes_per_value > 1:
        return SyntheticSet.from_rows(rows, real.space)
    space = replace(real.space, stored="unit")
    chosen = SyntheticSet(space.encode(rows), space, format="uint8")
    chosen.quantize({"bases": PIXELS})
    return chosen


def _choose(real: RealSet, ipc: int, features: Point, rule: Callable[[Tensor, int], Tensor]) -> SyntheticSet:
    check_ipc(real, ipc)
    network, picks = features.placed().eval(), []
    for c in range(real.classes):
        index = torch.arange(real.rows(c).start, real.rows(c).stop)
        parts = index.split(rows_at_once(real.device, real.shape))
        with torch.no_grad():
            embedded = torch.cat([network.embed(real.read(part)) for part in parts])
        if not torch.isfinite(embedded).all():
            raise RunError("the features of the trained network are not finite; give another network")
        picks.append(index[rule(embedded, ipc)])
    return _chosen(real, real.at(torch.stack(picks)).x)


def _herd(x: Tensor, ipc: int) -> Tensor:
    """Indices (ipc,) into rows `x` (n, d)."""
    mean, chosen, total = x.mean(0), [], torch.zeros_like(x[0])
    free = torch.ones(len(x), dtype=torch.bool, device=x.device)
    for i in range(ipc):
        gap = torch.linalg.vector_norm(mean * (i + 1) - total - x, dim=1)
        pick = int(torch.where(free, gap, torch.inf).argmin())
        free[pick] = False
        chosen.append(pick)
        total = total + x[pick]
    return torch.tensor(chosen)


def _spread(x: Tensor, ipc: int) -> Tensor:
    """Indices (ipc,) into rows `x` (n, d)."""
    chosen = [int(torch.linalg.vector_norm(x - x.mean(0), dim=1).argmin())]
    nearest = torch.full((len(x),), torch.inf, dtype=x.dtype, device=x.device)
    for _ in range(ipc - 1):
        nearest = torch.minimum(nearest, torch.linalg.vector_norm(x - x[chosen[-1]], dim=1))
        nearest[chosen] = -1  # a chosen row is not chosen again, even if other rows are equal to it
        chosen.append(int(nearest.argmax()))
    return torch.tensor(chosen)
