"""Checkpoints: a run that is killed at any moment goes on where it was, to the same bytes."""

import functools
import logging
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from condensery.compiling import Mode, mode
from condensery.errors import InputError
from condensery.networks import Network, Point
from condensery.storage import read_tensors, write_tensors

__all__ = ["Interrupted", "Keeper", "State", "difference", "environment"]

log = logging.getLogger("condensery")


class Interrupted(Exception):
    """The run was asked to stop; its checkpoint is written."""


@dataclass(frozen=True)
class State:
    """Where a run stands: `step` steps are done and `point`, where there is one, is the next to match at.

    `computing` is how they were computed; the run goes on so.
    """

    step: int
    computing: Mode
    point: Point | None = None


def environment(device: torch.device) -> dict[str, Any]:
    """What the bytes of a result depend on beside recipe and data."""
    return {
        "torch": torch.__version__,
        "device": str(device),
        "threads": torch.get_num_threads(),
        "processor": _processor(),
    }


@functools.cache
def _processor() -> str:
    """The processor's name, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


class Keeper:
    """Keeps the last state of a run in one safetensors file (no pickle).

    Arguments:
        path: the file.
        identity: what the run is (recipe, data, ...), as JSON; a checkpoint of another run is refused.
        every: seconds between two checkpoints.
        stop: asked before every step; when true the state is written and `Interrupted` raised.
        strict: whether another run's checkpoint is refused; otherwise it is passed over and replaced.
    """

    def __init__(
        self,
        path: Path,
        identity: dict[str, Any],
        every: float = 30.0,
        stop: Callable[[], bool] = lambda: False,
        strict: bool = True,
    ):
        self.path, self.identity, self.every, self.stop, self.strict = path, identity, every, stop, strict
        self._last = time.monotonic()

    def beside(self, name: str, which: str) -> "Keeper":
        """A keeper for a phase of this run, such as a network's training, in a file of its own.

        Arguments:
            name: of the file.
            which: tells phases apart that use the same file one after the other.
        """
        path = self.path.with_name(f"{self.path.stem}-{name}{self.path.suffix}")
        return Keeper(path, {**self.identity, "phase": f"{name} {which}"}, self.every, self.stop, strict=False)

    def remove(self) -> None:
        """Delete the checkpoint, and those beside it."""
        for path in self.path.parent.glob(f"{self.path.stem}*{self.path.suffix}"):
            path.unlink(missing_ok=True)

    def check(self) -> None:
        """Refuse a checkpoint that is unreadable or another run's, one of a phase too, before anything is written.

        Raises:
            InputError: the checkpoint is unreadable or belongs to another run.
        """
        if self.path.exists():
            self._read()
        for path in self.path.parent.glob(f"{self.path.stem}-*{self.path.suffix}"):
            try:
                phase = read_tensors(path)[0].get("identity", {}).get("phase")
            except InputError:  # its phase begins anew
                continue
            Keeper(path, {**self.identity, "phase": phase})._read()

    def _read(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        try:
            head, tensors = read_tensors(self.path)
        except InputError as error:
            raise InputError(f"{error}, or remove it to start over") from error
        if "identity" not in head:
            raise InputError(f"{self.path}: not a checkpoint; remove it to start over")
        if head["identity"] != self.identity:
            raise InputError(
                f"{self.path.parent} holds another run ({difference(head['identity'], self.identity)}); "
                "choose another --out, or repeat that run's command to resume it"
            )
        return head, tensors

    def offer(
        self,
        step: int,
        learned: nn.Module,
        optimizer: torch.optim.Optimizer,
        point: Point | None = None,
        more: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> None:
        """Write the state before step `step + 1` if it is time to; see `write`.

        Raises:
            Interrupted: after writing, where the run was asked to stop.
        """
        stop = self.stop()
        if not stop and time.monotonic() - self._last < self.every:
            return
        self.write(step, learned, optimizer, point, more)
        if stop:
            phase = self.identity.get("phase", "").strip()
            raise Interrupted(f"stopped after step {step}{phase and f' of the phase {phase}'}")

    def write(
        self,
        step: int,
        learned: nn.Module,
        optimizer: torch.optim.Optimizer,
        point: Point | None = None,
        more: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> None:
        """Write the state after `step` steps.

        Arguments:
            step: steps done.
            learned: what the optimizer changes: a synthetic set, or a network in training.
            optimizer: over `learned.parameters()`.
            point: where the next step matches.
            more: tensors that the steps change otherwise.
        """
        state = optimizer.state_dict()
        parts: dict[str, Mapping[str, Tensor]] = {"learned": learned.state_dict(), "more": more}
        parts |= {f"optimizer.{i}": tensors for i, tensors in state["state"].items()}
        if point is not None:
            parts |= {"params": point.params, "buffers": point.buffers, "momenta": point.momenta}
        head = {
            "step": step,
            "computing": mode(),
            "point": point and {"key": point.key, "outer": point.outer, "inner": point.inner},
            "param_groups": state["param_groups"],
            "identity": self.identity,
            "environment": environment(next(learned.parameters()).device),
        }
        tensors = {f"{part}.{k}": v for part, named in parts.items() for k, v in named.items() if v is not None}
        write_tensors(self.path, tensors, head)
        self._last = time.monotonic()

    def resume(
        self,
        learned: nn.Module,
        optimizer: torch.optim.Optimizer,
        network: Network | None = None,
        more: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> State | None:
        """Put the last state back into `learned`, `optimizer` and `more`; None where there is no checkpoint.

        Arguments:
            network: the architecture of the point, where one was kept.

        Raises:
            InputError: the checkpoint is unreadable or belongs to another run.
        """
        if not self.path.exists():
            return None
        device = next(learned.parameters()).device
        try:
            head, tensors = self._read()
        except InputError:
            if self.strict:
                raise
            return None
        if head["environment"] != (now := environment(device)):
            log.warning(
                f"resuming on another set-up ({difference(head['environment'], now)}): the result will not be "
                "byte-identical to an uninterrupted run's"
            )

        def part(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v.to(device) for k, v in tensors.items() if k.startswith(prefix)}

        learned.load_state_dict(part("learned."))
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in part("optimizer.").items():
            i, _, entry = name.partition(".")
            state.setdefault(int(i), {})[entry] = tensor
        optimizer.load_state_dict({"state": state, "param_groups": head["param_groups"]})
        for name, tensor in part("more.").items():
            more[name].copy_(tensor)
        if network is None or head["point"] is None:
            return State(head["step"], head["computing"])
        # in the network's own order, not the file's: the order in which layers are summed is part of the result
        kept = part("params.") | part("buffers.")
        params = {name: kept[name] for name, _ in network.named_parameters()}
        buffers = {name: kept[name] for name, _ in network.named_buffers()}
        momenta = part("momenta.")
        return State(head["step"], head["computing"], Point(network, params, buffers, **head["point"], momenta=momenta))


def difference(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> str:
    """The first entry in which two nested dictionaries differ, in words."""
    for key in sorted(before.keys() | now.keys()):
        a, b = before.get(key), now.get(key)
        if isinstance(a, dict) and isinstance(b, dict) and a != b:
            return difference(a, b, f"{prefix}{key}.")
        if a != b:
            return f"{prefix}{key} is {a} there, {b} here"
    return "no difference"
