"""Rows that represent clusters: those nearest to the centers."""

import torch
from torch import Tensor

from condensery.errors import RunError
from condensery.randomness import repeated

__all__ = ["representatives"]


def representatives(x: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Indices (count,) of the rows of `x` (n, d) nearest to the centers of `count` clusters, each row once.

    If there are no more rows than clusters, all rows are taken, in new permutations until there are `count`.

    Raises:
        RunError: a row is not finite.

    References:
        DREAM section 3.2: k-means (here with minibatches), and one row per cluster.
    """
    if len(x) <= count:
        return repeated(len(x), count, generator)
    if not torch.isfinite(x).all():
        raise RunError("embeddings of real images are not finite; a lower learning rate of the network may help")
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_limits

    seed = int(torch.randint(2**31, (), generator=generator))
    with threadpool_limits(1):  # the order of sums must not depend on the number of threads
        found = MiniBatchKMeans(count, n_init=1, random_state=seed).fit(x.double().cpu().numpy())
    distances = torch.cdist(torch.as_tensor(found.cluster_centers_), x.double().cpu())
    chosen = []
    for center in distances:
        chosen.append(int(center.argmin()))
        distances[:, chosen[-1]] = torch.inf
    return torch.tensor(chosen)
