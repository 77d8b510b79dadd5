"""`Network`, the interface of all networks, and `Point`, a network with given weights."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from condensery.randomness import global_rng

__all__ = ["Network", "Point", "embedded", "initial", "operations", "outputs", "rows_at_once"]

State = dict[str, Tensor]


class Network(nn.Module):
    """A classifier in two parts: stages that compute features, and a head that computes logits.

    The results of a row must not depend on the other rows. Batch norm is allowed, since `Point` freezes its statistics.

    Arguments:
        stages: each maps (n, ...) to (n, ...).
        head: maps flattened features to (n, classes).
        chain: (shape, paddings, width) if `kernels.chain` has hand-written passes for this ConvNet, else None.
        compiled: whether long work is done by compiled passes (`kernels.passes`); otherwise, it is done by autograd.
    """

    plain_training: bool = False
    """Whether only autograd may be used to train it: training and evaluation mode may differ in unknown ways."""

    def __init__(
        self,
        stages: Iterable[nn.Module],
        head: nn.Module,
        chain: tuple[tuple[int, int, int], tuple[int, ...], int] | None = None,
        compiled: bool = False,
    ):
        super().__init__()
        self.stages, self.head, self.chain, self.compiled = nn.ModuleList(stages), head, chain, compiled

    def embed(self, x: Tensor) -> Tensor:
        """Embeddings (n, d) of normalized rows `x` (n, channels, height, width): the last stage's output, flattened."""
        for stage in self.stages:
            x = stage(x)
        return x.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes) of normalized rows `x` (n, channels, height, width)."""
        return self.head(self.embed(x))

    def redraw(self) -> None:
        """Draw new random weights from torch's global generator, with the `reset_parameters` of every layer."""
        for module in self.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()


@dataclass(frozen=True)
class Point:
    """A point in weight space: a network together with given weights.

    Arguments:
        network: the architecture. The weights that it holds itself are never read.
        params: the weights, by name.
        buffers: the running statistics of batch norm, by name (empty for other norms).
        key: identifier of the weights, from which random draws at the point follow.
        outer, inner: the outer and inner step of the schedule that the point belongs to.
        momenta: momentum buffers of the optimizer, by name, if training continues from here. Empty for new weights.
    """

    network: Network
    params: State
    buffers: State
    key: str = ""
    outer: int = 0
    inner: int = 0
    momenta: State = field(default_factory=dict)

    def to(self, dtype: torch.dtype) -> "Point":
        """The same point with weights and running statistics in another number format."""
        params, buffers = (
            {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}
            for state in (self.params, self.buffers)
        )
        return replace(self, params=params, buffers=buffers)

    def logits(self, x: Tensor, params: State | None = None) -> Tensor:
        """Logits (n, classes) of normalized rows `x`, with `params` as weights. None: the weights of this point."""
        self.network.eval()  # batch norm then uses the frozen statistics, so that splitting rows into chunks is exact
        return functional_call(self.network, {**(params or self.params), **self.buffers}, (x,))

    def embeddings(self, x: Tensor) -> Tensor:
        """Embeddings (n, d) of normalized rows `x` at this point."""
        return embedded(self.network, {**self.params, **self.buffers}, x)

    def classified(self, embeddings: Tensor) -> Tensor:
        """Logits (n, classes) of embeddings (n, d) at this point: the head, with weights to which no gradient flows."""
        state = self.params | self.buffers
        head = {k.removeprefix("head."): v for k, v in state.items() if k.startswith("head.")}
        result: Tensor = functional_call(self.network.head, head, (embeddings,))
        return result

    def placed(self) -> Network:
        """Write the weights and buffers of this point into the network, in place, and return it."""
        with torch.no_grad():
            for name, parameter in self.network.named_parameters():
                parameter.copy_(self.params[name])
            for name, buffer in self.network.named_buffers():
                buffer.copy_(self.buffers[name])
        return self.network

    def with_statistics_of(self, rows: Tensor) -> "Point":
        """The point with the running statistics of batch norm set to those of `rows` (n, ...).

        If the network has no such statistics, the point itself is returned.

        References:
            DC appendix A: the statistics are estimated on real rows, then frozen, before matching.
        """
        if not self.buffers:
            return self
        network = self.placed()
        norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        momenta = [m.momentum for m in norms]
        for m in norms:
            m.reset_running_stats()
            m.momentum = None  # averages over forward passes; there is only one here
        network.eval()
        for m in norms:
            m.train()  # and nothing else: dropout before a norm would draw from torch's global generator
        with torch.no_grad():
            network(rows)
        for m, momentum in zip(norms, momenta, strict=True):
            m.momentum = momentum
        return replace(self, buffers={k: v.detach().clone() for k, v in network.named_buffers()})


def initial(network: Network, generator: torch.Generator, key: str = "", outer: int = 0) -> Point:
    """A point with new random weights from `Network.redraw`, which uses PyTorch's defaults in the library's networks.

    Departs: the text of DC says Kaiming initialization; its program, and so its results, use PyTorch's defaults.
    """
    device = next(network.parameters()).device
    with global_rng(generator):
        network.cpu().redraw()  # on the CPU, so that the weights are the same on every device
    network.to(device)
    params = {k: v.detach().clone() for k, v in network.named_parameters()}
    buffers = {k: v.detach().clone() for k, v in network.named_buffers()}
    return Point(network, params, buffers, key, outer)


class _Embedding(nn.Module):
    def __init__(self, network: Network):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network.embed(x)


def embedded(network: Network, state: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Embeddings (n, d) of normalized rows `x`, with the weights and buffers in `state`."""
    network.eval()
    result: Tensor = functional_call(_Embedding(network), {f"network.{k}": v for k, v in state.items()}, (x,))
    return result


def operations(network: Network, shape: tuple[int, int, int]) -> float:
    """The number of floating-point operations for one row (channels, height, width) in the forward pass."""
    with FlopCounterMode(display=False) as counter:
        _of_zeros(network, shape)
    return float(counter.get_total_flops())


_outputs: WeakKeyDictionary[Network, int] = WeakKeyDictionary()


def outputs(network: Network, shape: Sequence[int]) -> int:
    """The number of logits per row (channels, height, width). It is cached, since it takes a forward pass."""
    if network not in _outputs:
        _outputs[network] = _of_zeros(network, shape).shape[1]
    return _outputs[network]


@torch.no_grad()
def _of_zeros(network: Network, shape: Sequence[int]) -> Tensor:
    training, some = network.training, next(network.parameters())
    logits: Tensor = network.eval()(some.new_zeros(1, *shape))
    network.train(training)
    return logits


def rows_at_once(device: torch.device, shape: Sequence[int]) -> int:
    """The best number of rows (..., height, width) per forward pass if the results of a row do not depend on others.

    It is small on a CPU, where allocating new memory is the main cost, and large on a GPU: 4096 rows of up to 32 x 32
    pixels, and fewer larger ones, so that what networks compute of them fits into its memory.
    """
    return 32 if device.type == "cpu" else max(1, min(4096, 2**22 // (shape[-2] * shape[-1])))
