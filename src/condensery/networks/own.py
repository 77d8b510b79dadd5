"""User-defined networks: any torch module as a `Network`."""

from contextlib import AbstractContextManager
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parameter import is_lazy

from condensery.errors import InputError
from condensery.networks.net import Factory, factory_name
from condensery.networks.network import Network

__all__ = ["Own"]


class Own(Network):
    """The module that a user's function makes.

    Arguments:
        factory: the function, called with `shape` and `classes` for each set of random weights; see `net.Factory`.
        shape: (channels, height, width) of a row.
        classes: the number of logits.

    Raises:
        InputError: `factory` does not return a module with weights, the module fails or its logits have the wrong
            shape, or the logits of a row depend on the other rows.
    """

    plain_training = True

    def __init__(self, factory: Factory, shape: tuple[int, int, int], classes: int):
        super().__init__((), nn.Identity(), compiled=True)
        self.factory, self.shape, self.classes = factory, shape, classes
        self.name = factory_name(factory)
        self.module = self._made()
        self._try()

    def _made(self) -> nn.Module:
        if isinstance(self.factory, nn.Module):
            raise InputError(
                f"{self.name}: this is a network; give a function (shape, classes) -> torch.nn.Module instead, because "
                "every restart needs new weights"
            )
        module = self.factory(self.shape, self.classes)
        if not isinstance(module, nn.Module):
            raise InputError(f"{self.name}({self.shape}, {self.classes}) must return a torch.nn.Module, not {module!r}")
        if any(is_lazy(parameter) for parameter in module.parameters()):
            with torch.no_grad():  # lazy layers, such as LazyLinear, get their sizes from the first row
                module.eval()(torch.zeros(1, *self.shape))
        return module

    @torch.no_grad()
    def _try(self) -> None:
        some = next(self.parameters(), None)
        if some is None:
            raise InputError(f"{self.name}: the module has no parameters to train; return a module with weights")
        rows = torch.linspace(-1, 1, 2 * prod(self.shape)).reshape(2, *self.shape).to(some)
        try:
            logits, first = self.module.eval()(rows), self.module(rows[:1])
        except Exception as error:  # a user's module can raise any error
            raise InputError(
                f"{self.name}: the module fails on rows of shape {self.shape} ({error}); make it accept them"
            ) from error
        if not isinstance(logits, Tensor) or logits.shape != (2, self.classes):
            got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise InputError(
                f"{self.name}: two rows must give logits of shape (2, {self.classes}), not {got}; change its last layer"
            )
        if not torch.allclose(first, logits[:1], rtol=1e-3, atol=1e-4):
            raise InputError(
                f"{self.name}: in evaluation mode, the logits of a row depend on the other rows or on chance; use "
                "norms that keep running statistics, and no random layers"
            )

    def redraw(self) -> None:
        fresh = self._made()
        with torch.no_grad():
            for mine, theirs in zip(self.module.state_dict().values(), fresh.state_dict().values(), strict=True):
                mine.copy_(theirs)

    def embed(self, x: Tensor) -> Tensor:
        with _differentiable():
            return self._embed(x)

    def _embed(self, x: Tensor) -> Tensor:
        if callable(own := getattr(self.module, "embed", None)):
            return own(x).flatten(1)
        inputs: list[Tensor] = []
        linear = [module for module in self.module.modules() if isinstance(module, nn.Linear)]
        hooks = [module.register_forward_pre_hook(lambda _, given: inputs.append(given[0])) for module in linear]
        try:
            self.module(x)
        finally:
            for hook in hooks:
                hook.remove()
        if not inputs:
            raise InputError(f"{self.name}: its forward pass uses no linear layer; give the module a method embed(x)")
        return inputs[-1].flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        with _differentiable():
            return self.module(x)


def _differentiable() -> AbstractContextManager[None]:
    """A context in which attention is computed by operations that can be differentiated twice; fused ones cannot."""
    return sdpa_kernel(SDPBackend.MATH)
