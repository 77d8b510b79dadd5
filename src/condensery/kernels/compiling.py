"""How steps are computed: plainly, or by passes written for speed and compiled.

Compiling costs some 15 seconds a pass on a CPU and changes the last bits, so it is decided once for a run, from the
work ahead, and kept with the run's checkpoints.
"""

import contextlib
import functools
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Literal

import torch
from torch import Tensor

from condensery.kernels.cores import shared

__all__ = ["Kernel", "Mode", "during", "mode", "seconds_spent", "torch_dtype", "worthwhile"]

log = logging.getLogger("condensery")

Mode = Literal["plain", "passes", "compiled"]
"""By autograd alone; by the passes of `networks.passes` as they are written (for tests); by those, compiled."""

WORTH = 2e13  # floating-point operations, from which on compiling pays: minutes on two cores

_spent: list[float] = []

_mode: ContextVar[Mode] = ContextVar("mode", default="plain")


def mode() -> Mode:
    """How steps are computed here."""
    return _mode.get()


@contextlib.contextmanager
def during(mode: Mode) -> Iterator[None]:
    """Compute steps so inside the block, making room for other processes (`cores.shared`).

    "compiled" falls back to "plain" where nothing can be compiled.
    """
    token = _mode.set("plain" if mode == "compiled" and not _works() else mode)
    try:
        with shared():
            yield
    finally:
        _mode.reset(token)


def worthwhile(operations: float, device: torch.device) -> Mode:
    """How to compute work of so many floating-point operations: compiled where there is much, and on a CPU."""
    return "compiled" if operations >= WORTH and device.type == "cpu" else mode()


def seconds_spent() -> float:
    """Seconds that this process has compiled for."""
    return sum(_spent)


def torch_dtype(name: str | None) -> torch.dtype | None:
    """The precision of that name."""
    return None if name is None else getattr(torch, name)


class Kernel:
    """A function of tensors that is compiled for every set of shapes it meets.

    What is compiled stays on disk (PyTorch's cache), where a later process finds it within a second.

    Arguments:
        name: for the log.
        function: tensors to tensors, without autograd; its result depends on nothing else.
    """

    def __init__(self, name: str, function: Callable[..., Sequence[Tensor]]):
        self.name, self.function = name, function
        self._compiled: dict[tuple[object, ...], Callable[..., Sequence[Tensor]]] = {}

    @torch.no_grad()
    def __call__(self, *tensors: Tensor) -> Sequence[Tensor]:
        if mode() != "compiled":
            return self.function(*tensors)
        tensors = tuple(t.detach().contiguous() for t in tensors)
        key = tuple((t.shape, t.dtype, t.device) for t in tensors)
        if key not in self._compiled:
            log.info(f"compiling {self.name}, up to half a minute (a second where it was compiled before)")
            start = time.perf_counter()
            self._compiled[key] = _compiled(self.function, tensors) or self.function
            _spent.append(time.perf_counter() - start)
        return self._compiled[key](*tensors)


def _compiled(
    function: Callable[..., Sequence[Tensor]], tensors: Sequence[Tensor]
) -> Callable[..., Sequence[Tensor]] | None:
    """The compiled function, or None (said aloud) where it cannot be."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's about itself
            import torch._inductor
            from torch._guards import TracingContext, tracing
            from torch._subclasses.fake_tensor import FakeTensorMode
            from torch.fx.experimental.proxy_tensor import make_fx
            from torch.fx.experimental.symbolic_shapes import ShapeEnv

            # traced here and not by torch.compile: shapes are fixed by `Kernel`, nothing is guarded or compiled again
            traced = make_fx(function)(*tensors)
            # without this context Inductor would not look into its cache on disk, which serves later processes
            with tracing(TracingContext(FakeTensorMode(shape_env=ShapeEnv(), static_shapes=True))):
                compiled: Callable[..., Sequence[Tensor]] = torch._inductor.compile(traced, list(tensors))
            compiled(*tensors)
    except Exception as error:  # whatever a compiler can fail with
        log.warning(f"computing without compiling ({_first_line(error)})")
        return None
    return compiled


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


@functools.cache
def _works() -> bool:
    """Whether something small can be compiled here: PyTorch needs a C++ compiler and Python's headers."""
    return _compiled(lambda x: [x + 1], [torch.zeros(8)]) is not None
