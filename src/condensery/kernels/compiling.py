"""How steps are computed: by autograd, or by passes that are written for speed and compiled.

Compiling takes about 15 seconds per pass on a CPU and changes the last bits of results. The mode is therefore chosen
once per run, by the amount of work, and stored in the checkpoints of the run.
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

__all__ = ["Kernel", "Mode", "Work", "during", "mode", "seconds_spent", "torch_dtype", "worthwhile"]

log = logging.getLogger("condensery")

Mode = Literal["plain", "passes", "compiled"]
"""plain: by autograd alone; passes: by the passes of `kernels.passes`, not compiled (for tests); compiled."""

Work = Literal["matching", "training", "testing"]
WORTH: dict[Work, float] = {"matching": 6e12, "training": 5e12, "testing": 2e12}
"""The floating-point operations above which compiling saves time. They take minutes on two cores. The
numbers differ because matching compiles several passes, training one, and testing one without gradients."""

_spent: list[float] = []

_mode: ContextVar[Mode] = ContextVar("mode", default="plain")


def mode() -> Mode:
    """The mode in which steps are currently computed."""
    return _mode.get()


@contextlib.contextmanager
def during(mode: Mode) -> Iterator[None]:
    """Compute steps in `mode` inside the block, and make room for other processes (`cores.shared`).

    "compiled" falls back to "plain" if nothing can be compiled on this machine.
    """
    token = _mode.set("plain" if mode == "compiled" and not _works() else mode)
    try:
        with shared():
            yield
    finally:
        _mode.reset(token)


def worthwhile(work: Work, operations: float, device: torch.device) -> Mode:
    """The mode for work of `operations` floating-point operations: compiled on a CPU if there are enough.

    Otherwise it is the current mode.
    """
    return "compiled" if operations >= WORTH[work] and device.type == "cpu" else mode()


def seconds_spent() -> float:
    """Seconds that this process has spent on compiling."""
    return sum(_spent)


def torch_dtype(name: str | None) -> torch.dtype | None:
    """The torch dtype called `name`, for example "bfloat16"; None for None."""
    return None if name is None else getattr(torch, name)


class Kernel:
    """A function of tensors that is compiled once for each combination of shapes, number formats and devices.

    Compiled code stays on disk in PyTorch's cache, where a later process finds it within a second.

    Arguments:
        name: name of the function in log messages.
        function: maps tensors to tensors without autograd; the result may depend on nothing else.
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
            log.info(f"compiling {self.name}: up to half a minute, or a second if it was compiled before")
            start = time.perf_counter()
            self._compiled[key] = _compiled(self.function, tensors) or self.function
            _spent.append(time.perf_counter() - start)
        return self._compiled[key](*tensors)


def _compiled(
    function: Callable[..., Sequence[Tensor]], tensors: Sequence[Tensor]
) -> Callable[..., Sequence[Tensor]] | None:
    """The compiled function, or None and a warning if it cannot be compiled."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's warnings about its own code
            import torch._inductor
            from torch._guards import TracingContext, tracing
            from torch._subclasses.fake_tensor import FakeTensorMode
            from torch.fx.experimental.proxy_tensor import make_fx
            from torch.fx.experimental.symbolic_shapes import ShapeEnv

            # traced here, not by torch.compile: shapes are fixed, so nothing needs a guard or is compiled twice
            traced = make_fx(function)(*tensors)
            # without this context Inductor would ignore its cache on disk, which later processes need
            with tracing(TracingContext(FakeTensorMode(shape_env=ShapeEnv(), static_shapes=True))):
                compiled: Callable[..., Sequence[Tensor]] = torch._inductor.compile(traced, list(tensors))
            compiled(*tensors)
    except Exception as error:  # a compiler can fail in many ways
        log.warning(f"computing without compiling ({_first_line(error)})")
        return None
    return compiled


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


@functools.cache
def _works() -> bool:
    """Whether a small function can be compiled on this machine: PyTorch needs a C++ compiler and Python's headers."""
    return _compiled(lambda x: [x + 1], [torch.zeros(8)]) is not None
