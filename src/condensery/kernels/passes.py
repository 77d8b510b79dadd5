"""The passes of a network as functions of weights and rows, which can be compiled.

Distribution matching needs embeddings and the way back from them; gradient matching needs gradients, and their
derivative along a direction. With g = ∇_θ ℓ(x, θ) and V the gradient of the distance with respect to g, the gradient
with respect to the rows is ∇_x ⟨V, g⟩ = d/dε ∇_x ℓ(x, θ + εV): one pass forward and one backward along V, without a
graph of the gradients. The same two passes give ∇_θ ⟨V, g⟩ = d/dε ∇_θ ℓ(x, θ + εV), the product of V with the Hessian,
for unrolled training.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations
from math import ceil
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor
from torch.func import functional_call, grad, grad_and_value, jvp, vjp
from torch.nn import functional as F

from condensery.kernels.chain import Chain, cross_entropy
from condensery.kernels.compiling import Kernel
from condensery.networks.network import Network, embedded

__all__ = ["Passes", "chunked", "evenly", "jointly", "passes"]

# The cost of chunks, measured with rows of 28 x 28 at width 64 on two cores.
OVERHEAD = 4  # cost of a chunk in addition to its rows, in rows
LARGEST = 12  # rows of the largest chunk that stays in the cache of a core
SECOND = 1.05  # a second size is compiled if one size alone costs more than this many times as much

State = Mapping[str, Tensor]
Residuals = Sequence[Tensor]
Batch = tuple[Tensor, Tensor, Tensor]
"""Rows, their label probabilities, and their weights in the loss."""
Along = tuple[Tensor, State]
"""Derivatives along a direction of the gradients with respect to the rows and, if asked for, to the parameters."""


class Passes(ABC):
    """The passes of one architecture.

    Arguments:
        names: names of its parameters.
        buffers: names of its buffers (batch norm's frozen statistics).
        dtype: number format of the computation; weights and results keep their own.
        rows: number of rows in a chunk for which the passes are fastest.
    """

    def __init__(self, names: Sequence[str], buffers: Sequence[str], dtype: torch.dtype, rows: int):
        self.names, self.buffers, self.dtype, self.rows = tuple(names), tuple(buffers), dtype, rows
        self._gradients = Kernel("the gradient", lambda *tensors: self._results(tensors)[0])
        self._kept = Kernel("the gradient of synthetic rows", self._all_results)
        self._along: dict[tuple[str, ...], Kernel] = {}
        self._back_through = Kernel(
            "the way back through an update", lambda *tensors: self._along_all(self.names, True, tensors)
        )
        self._features = Kernel("the embeddings", lambda *tensors: self._embedded(*tensors)[:1])
        self._features_kept = Kernel("the embeddings of synthetic rows", self._embedded)
        self._back = Kernel("the gradient of the embeddings", self._embedded_back)

    def gradients(
        self, state: State, x: Tensor, targets: Tensor, weight: Tensor, *, keep: bool = False
    ) -> tuple[Tensor, Tensor, list[Tensor], Residuals]:
        """The loss, which is the sum over rows of weight times cross-entropy, and its gradients.

        Arguments:
            state: parameters and buffers by name.
            x: rows (n, channels, height, width).
            targets: label probabilities (n, K).
            weight: weight of each row in the loss, (n,).
            keep: whether to keep the intermediate results for `along`.

        Returns:
            The loss, the logits (n, K), the gradients in the order of `names`, and the results for `along`.
        """
        tensors = (*self._listed(state), x, targets, weight)
        loss, logits, *rest = (self._kept if keep else self._gradients)(*tensors)
        count = len(self.names)
        return loss, logits, list(rest[:count]), rest[count:]

    def along(
        self, state: State, direction: State, x: Tensor, targets: Tensor, weight: Tensor, residuals: Residuals
    ) -> Tensor:
        """The gradient with respect to `x` of the inner product of the gradients with `direction`.

        Arguments:
            direction: V by parameter name; a missing parameter counts as 0.
            residuals: the intermediate results that `gradients` returned for the same arguments with `keep`.
        """
        named = tuple(name for name in self.names if name in direction)
        if named not in self._along:
            self._along[named] = Kernel(
                "the second pass of synthetic rows", lambda *t: self._along_all(named, False, t)
            )
        tensors = (*self._listed(state), *(direction[name] for name in named), x, targets, weight, *residuals)
        return self._along[named](*tensors)[0]

    def back_through(
        self, state: State, direction: State, x: Tensor, targets: Tensor, weight: Tensor, residuals: Residuals
    ) -> tuple[Tensor, list[Tensor]]:
        """The gradients of the inner product of the gradients with `direction`: with respect to `x` and each parameter.

        Arguments are those of `along`, but `direction` has all parameters. The parameters are in the order of `names`.
        """
        tensors = (*self._listed(state), *(direction[name] for name in self.names), x, targets, weight, *residuals)
        rows, *weights = self._back_through(*tensors)
        return rows, weights

    def embeddings(self, state: State, x: Tensor) -> Tensor:
        """The embeddings (n, d) of rows `x` (n, channels, height, width), in the number format of the rows."""
        return self._features(*self._listed(state), x)[0]

    def embeddings_kept(self, state: State, x: Tensor) -> tuple[Tensor, Residuals]:
        """The same embeddings, and the intermediate results for `embeddings_back`."""
        features, *residuals = self._features_kept(*self._listed(state), x)
        return features, residuals

    def embeddings_back(self, state: State, gradient: Tensor, residuals: Residuals) -> Tensor:
        """The gradient with respect to the rows, given the `gradient` (n, d) with respect to their embeddings."""
        return self._back(*self._listed(state), gradient, *residuals)[0]

    def _embedded(self, *tensors: Tensor) -> list[Tensor]:
        x = tensors[-1]
        features, residuals = self.embed(self._state(tensors), x.to(self.dtype))
        return [features.to(x.dtype), *residuals]

    def _embedded_back(self, *tensors: Tensor) -> list[Tensor]:
        gradient, *residuals = tensors[len(self.names) + len(self.buffers) :]
        back = self.embed_back(self._state(tensors), gradient.to(self.dtype), residuals)
        return [back.to(gradient.dtype)]

    def _listed(self, state: State) -> list[Tensor]:
        return [state[name] for name in (*self.names, *self.buffers)]

    def _state(self, tensors: Sequence[Tensor]) -> dict[str, Tensor]:
        named = zip((*self.names, *self.buffers), tensors, strict=False)
        return {k: v.to(self.dtype) if v.is_floating_point() else v for k, v in named}

    def _results(self, tensors: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        *_, x, targets, weight = tensors
        loss, logits, gradients, residuals = self.first(self._state(tensors), x.to(self.dtype), targets, weight)
        return [loss, logits, *(gradients[name].to(weight.dtype) for name in self.names)], list(residuals)

    def _all_results(self, *tensors: Tensor) -> list[Tensor]:
        results, residuals = self._results(tensors)
        return results + residuals

    def _along_all(self, named: Sequence[str], of_weights: bool, tensors: Sequence[Tensor]) -> list[Tensor]:
        count = len(self.names) + len(self.buffers)
        direction = {name: v.to(self.dtype) for name, v in zip(named, tensors[count:], strict=False)}
        x, targets, weight, *residuals = tensors[count + len(named) :]
        batch = (x.to(self.dtype), targets, weight)
        rows, weights = self.second(self._state(tensors), direction, batch, residuals, of_weights)
        return [rows.to(x.dtype), *(weights[name].to(x.dtype) for name in self.names if of_weights)]

    @abstractmethod
    def first(
        self, state: State, x: Tensor, targets: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor, State, Residuals]:
        """Loss, logits, gradients by name, and the results for `second`: one pass forward and one backward."""

    @abstractmethod
    def second(self, state: State, direction: State, batch: Batch, residuals: Residuals, of_weights: bool) -> Along:
        """The derivatives of the gradients along a direction, those of the parameters only if `of_weights`."""

    @abstractmethod
    def embed(self, state: State, x: Tensor) -> tuple[Tensor, Residuals]:
        """Embeddings (n, d), and the intermediate results for `embed_back`."""

    @abstractmethod
    def embed_back(self, state: State, gradient: Tensor, residuals: Residuals) -> Tensor:
        """The gradient with respect to the rows, given the `gradient` (n, d) with respect to their embeddings."""


class _Chain(Passes):
    """The passes of the ConvNet as formulas; see `kernels.chain`."""

    def __init__(self, chain: Chain, names: Sequence[str], dtype: torch.dtype):
        super().__init__(names, (), dtype, 32 if dtype == torch.bfloat16 else 16)
        self.chain = chain

    def first(
        self, state: State, x: Tensor, targets: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor, State, Residuals]:
        return self.chain.gradients(state, x, targets, weight)

    def second(self, state: State, direction: State, batch: Batch, residuals: Residuals, of_weights: bool) -> Along:
        return self.chain.along(state, direction, *batch, residuals, of_weights)

    def embed(self, state: State, x: Tensor) -> tuple[Tensor, Residuals]:
        return self.chain.embed(state, x)

    def embed_back(self, state: State, gradient: Tensor, residuals: Residuals) -> Tensor:
        return self.chain.embed_back(state, gradient, residuals)


class _Generic(Passes):
    """The passes of any network, by function transforms."""

    def __init__(self, network: Network, dtype: torch.dtype):
        names, buffers = ([k for k, _ in named] for named in (network.named_parameters(), network.named_buffers()))
        super().__init__(names, buffers, dtype, 32)
        self._network = ref(network)  # the passes are kept as long as the network, which they must not keep

    @property
    def network(self) -> Network:
        network = self._network()
        assert network is not None
        return network

    def _loss(self, params: State, rest: State, x: Tensor, targets: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        logits = functional_call(self.network, {**params, **rest}, (x,)).to(weight.dtype)
        return cross_entropy(logits, targets, weight), logits

    def _parts(self, state: State) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        self.network.eval()  # batch norm then uses the frozen statistics
        return {k: state[k] for k in self.names}, {k: state[k] for k in self.buffers}

    def first(
        self, state: State, x: Tensor, targets: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor, State, Residuals]:
        params, rest = self._parts(state)
        gradients, (loss, logits) = grad_and_value(self._loss, has_aux=True)(params, rest, x, targets, weight)
        return loss, logits, gradients, ()

    def second(self, state: State, direction: State, batch: Batch, residuals: Residuals, of_weights: bool) -> Along:
        (params, rest), (x, targets, weight) = self._parts(state), batch

        def gradient(params: State) -> Along:
            if of_weights:
                return grad(lambda x, params: self._loss(params, rest, x, targets, weight)[0], (0, 1))(x, params)
            return grad(lambda x: self._loss(params, rest, x, targets, weight)[0])(x), {}

        moved = {k: direction[k] if k in direction else torch.zeros_like(v) for k, v in params.items()}
        along: Along = jvp(gradient, (params,), (moved,))[1]
        return along

    def embed(self, state: State, x: Tensor) -> tuple[Tensor, Residuals]:
        return embedded(self.network, state, x), (x,)

    def embed_back(self, state: State, gradient: Tensor, residuals: Residuals) -> Tensor:
        back: Tensor = vjp(lambda x: embedded(self.network, state, x), residuals[0])[1](gradient)[0]
        return back


_generic: WeakKeyDictionary[Network, dict[torch.dtype, Passes]] = WeakKeyDictionary()


def passes(network: Network, dtype: torch.dtype) -> Passes:
    """The passes of a network in the number format `dtype`; networks of the same kind share compiled code."""
    if network.chain is not None:
        return _chain(*network.chain, tuple(name for name, _ in network.named_parameters()), dtype)
    known = _generic.setdefault(network, {})
    if dtype not in known:
        known[dtype] = _Generic(network, dtype)
    return known[dtype]


@cache
def _chain(
    shape: tuple[int, int, int], paddings: tuple[int, ...], width: int, names: tuple[str, ...], dtype: torch.dtype
) -> Passes:
    return _Chain(Chain(shape, paddings, width, dtype), names, dtype)


def evenly(n: int, most: int) -> int:
    """The size of chunks, at most `most`, into which n rows divide most evenly."""
    return ceil(n / ceil(n / most))


def jointly(ends: Sequence[int]) -> tuple[int, ...]:
    """The one or two sizes of chunks that cost least when a batch is divided in two at each of several places.

    Arguments:
        ends: 0, the places in ascending order, and the number of rows.
    """

    def total(sizes: tuple[int, ...]) -> float:
        sides = [side for end in ends[1:-1] for side in (end, ends[-1] - end)]
        return sum(_cost(_parted(side, sizes)) for side in sides) * (SECOND if len(sizes) > 1 else 1)

    counts = range(1, min(LARGEST, ends[-1]) + 1)
    return min([*((size,) for size in counts), *combinations(counts, 2)], key=total)


def _parted(n: int, sizes: Sequence[int]) -> list[int]:
    """Sizes of the chunks for n rows: the largest of `sizes`, and for the remainder the smallest if it is cheaper."""
    small, large = min(sizes), max(sizes)
    whole, left = divmod(n, large)
    rest = [small] * ceil(left / small) if _cost([small]) * ceil(left / small) < _cost([large]) else [large]
    return [large] * whole + (rest if left else [])


def _cost(chunks: Sequence[int]) -> int:
    """The cost, in rows, of chunks with the given numbers of rows."""
    return sum(chunks) + OVERHEAD * len(chunks)


def chunked(sizes: Sequence[int], *columns: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Split tensors (n, ...) into chunks of the given sizes (see `_parted`); the last one is padded with zeros.

    Padding keeps the number of shapes to compile small. Rows with weight 0 do not change results.
    """
    start = 0
    for size in _parted(len(columns[0]), sizes):
        parts = [column[start : start + size] for column in columns]
        missing = size - len(parts[0])
        yield tuple(F.pad(part, (0, 0) * (part.ndim - 1) + (0, missing)) if missing else part for part in parts)
        start += size
