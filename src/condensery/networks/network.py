"""What every network offers, and a network at a place in weight space."""

from collections.abc import Mapping, Sequence
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
    """A classifier in two parts: stages that make features, a head that makes logits.

    Subclasses set `stages` (each maps (n, ...) to (n, ...)) and `head` (maps flattened features to (n, classes)), or
    override `embed` and `forward`. Rows must not see each other in a stage, but for batch norm, whose statistics a
    `Point` freezes.
    """

    stages: nn.ModuleList
    head: nn.Module
    plain_training: bool = False
    """Whether only autograd may train it, since training and evaluation mode may differ in unknown ways."""

    def embed(self, x: Tensor) -> Tensor:
        """The embedding (n, d) of normalized rows `x` (n, channels, height, width): the last stage's output."""
        for stage in self.stages:
            x = stage(x)
        return x.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes)."""
        return self.head(self.embed(x))

    def redraw(self) -> None:
        """Draw new random weights from torch's global generator: every layer's own `reset_parameters`."""
        for module in self.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()


@dataclass(frozen=True)
class Point:
    """One place in weight space.

    Arguments:
        network: the architecture; its own weights are never read.
        params: the weights, by name.
        buffers: batch norm's running statistics, by name (empty for other norms).
        key: identity of the weights, for caches and messages.
        outer, inner: where in its schedule the point lies.
        momenta: the optimizer's, by name, where training goes on from here; empty at a start.
    """

    network: Network
    params: State
    buffers: State
    key: str = ""
    outer: int = 0
    inner: int = 0
    momenta: State = field(default_factory=dict)

    def logits(self, x: Tensor, params: State | None = None) -> Tensor:
        """Logits (n, classes) of normalized rows `x`, at this point or at other weights of the same network."""
        self.network.eval()  # batch norm reads the frozen statistics, so that any chunking of rows is exact
        return functional_call(self.network, {**(params or self.params), **self.buffers}, (x,))

    def embeddings(self, x: Tensor) -> Tensor:
        """Embeddings (n, d) of normalized rows `x` at this point."""
        return embedded(self.network, {**self.params, **self.buffers}, x)

    def placed(self) -> Network:
        """The network itself with this point's weights written into it (in place; for training and embedding)."""
        with torch.no_grad():
            for name, parameter in self.network.named_parameters():
                parameter.copy_(self.params[name])
            for name, buffer in self.network.named_buffers():
                buffer.copy_(self.buffers[name])
        return self.network

    def with_statistics_of(self, rows: Tensor) -> "Point":
        """This point with batch norm's running statistics set to those of `rows` (n, ...); a copy of itself
        where the network has none.

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
            m.momentum = None  # a plain mean over forwards: here, of one
        with torch.no_grad():
            network.train()(rows)
        for m, momentum in zip(norms, momenta, strict=True):
            m.momentum = momentum
        return replace(self, buffers={k: v.detach().clone() for k, v in network.named_buffers()})


def initial(network: Network, generator: torch.Generator, key: str = "", outer: int = 0) -> Point:
    """A point with freshly drawn weights (`Network.redraw`; PyTorch's defaults in the library's own networks).

    Departs: DC's text says Kaiming initialization; its program, and so its figures, use PyTorch's defaults.
    """
    device = next(network.parameters()).device
    with global_rng(generator):
        network.cpu().redraw()  # drawn on the CPU: the same weights on every device
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
    """Embeddings (n, d) of normalized rows `x` at other weights than the network's own."""
    network.eval()
    result: Tensor = functional_call(_Embedding(network), {f"network.{k}": v for k, v in state.items()}, (x,))
    return result


def operations(network: Network, shape: tuple[int, int, int]) -> float:
    """Floating-point operations of one row (channels, height, width) on its way forward."""
    with FlopCounterMode(display=False) as counter:
        _of_zeros(network, shape)
    return float(counter.get_total_flops())


_outputs: WeakKeyDictionary[Network, int] = WeakKeyDictionary()


def outputs(network: Network, shape: Sequence[int]) -> int:
    """How many logits a row (channels, height, width) gets; asked once, since asking costs a pass."""
    if network not in _outputs:
        _outputs[network] = _of_zeros(network, shape).shape[1]
    return _outputs[network]


@torch.no_grad()
def _of_zeros(network: Network, shape: Sequence[int]) -> Tensor:
    training, some = network.training, next(network.parameters())
    logits: Tensor = network.eval()(some.new_zeros(1, *shape))
    network.train(training)
    return logits


def rows_at_once(device: torch.device) -> int:
    """Rows that best go through a network together where rows do not see each other.

    Few on a CPU, where touching fresh memory is what costs; many on a GPU.
    """
    return 32 if device.type == "cpu" else 4096
