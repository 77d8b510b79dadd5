"""Checkpoints, from which a run that was killed at any moment resumes and ends with the same bytes."""

import functools
import logging
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import msgspec
import torch
from torch import Tensor, nn

from condensery import __version__
from condensery.errors import InputError, quoted
from condensery.kernels.compiling import Mode, mode
from condensery.networks.network import Network, Point
from condensery.runs.storage import checked, code, parts, read_head, read_tensors, write_tensors

__all__ = ["Clock", "Interrupted", "Keeper", "State", "difference", "environment"]

log = logging.getLogger("condensery")


class Interrupted(Exception):
    """The run was asked to stop; its checkpoint is written."""


@dataclass(frozen=True)
class State:
    """The state of a run: the number of steps done, and the point of the next step.

    Arguments:
        step: number of steps done.
        computing: how they were computed; the run continues in the same mode.
        point: the point at which the next step matches; None: none was written.
    """

    step: int
    computing: Mode
    point: Point | None = None


def environment(device: torch.device) -> dict[str, Any]:
    """What the bytes of a result depend on besides recipe and data."""
    return {
        "torch": torch.__version__,
        "device": str(device),
        "threads": torch.get_num_threads(),
        "processor": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
    }


def _surroundings(device: torch.device) -> dict[str, Any]:
    """The environment, and the version and a hash of the library's code."""
    return {**environment(device), "condensery": f"{__version__}, code {code()}"}


@functools.cache
def _processor() -> str:
    """The name of the processor; empty if the system does not tell it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class _Place(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    outer: Count
    inner: Count


class _Head(msgspec.Struct, forbid_unknown_fields=True):
    """Schema of the head of a checkpoint, its JSON."""

    step: Count
    seconds: Annotated[float, msgspec.Meta(ge=0)]
    computing: Mode
    point: _Place | None
    identity: dict[str, Any]
    environment: dict[str, Any]


class Clock:
    """The seconds of a run: those of this session, and those before the checkpoint from which it resumed."""

    def __init__(self) -> None:
        self.before, self._start = 0.0, time.perf_counter()

    def seconds(self) -> float:
        """All seconds until now."""
        return self.before + time.perf_counter() - self._start


class Keeper:
    """Keeps the last state of a run in one safetensors file (no pickle).

    Arguments:
        path: path of the file.
        identity: what identifies the run (recipe, data, ...), as JSON.
        seconds: seconds between two checkpoints.
        stop: called before every step; if it returns True, the state is written and `Interrupted` raised.
        strict: whether a checkpoint of another run is refused; otherwise it is ignored and replaced.
        clock: counts the seconds of the run over all its sessions. None: a new clock, which begins now.
    """

    def __init__(
        self,
        path: Path,
        identity: dict[str, Any],
        seconds: float = 30.0,
        stop: Callable[[], bool] = lambda: False,
        strict: bool = True,
        clock: Clock | None = None,
    ):
        self.path, self.identity, self.seconds, self.stop, self.strict = path, identity, seconds, stop, strict
        self.clock = clock or Clock()
        self._last = time.monotonic()

    def beside(self, name: str, doing: str) -> "Keeper":
        """A keeper for a phase of this run, with its own file.

        Arguments:
            name: suffix of the file name.
            doing: what is done, such as "training network 1"; it distinguishes phases that use the same file one after
                the other.
        """
        path = self.path.with_name(f"{self.path.stem}-{name}{self.path.suffix}")
        return Keeper(path, {**self.identity, "phase": doing}, self.seconds, self.stop, strict=False, clock=self.clock)

    def remove(self) -> None:
        """Delete the checkpoints of this run and its phases, and partly written ones that a kill left; nothing else."""
        for path in self._all():
            if self._mine(path):
                path.unlink(missing_ok=True)
        for path in parts(self.path.parent, rf"{self.path.stem}(-\w+)*\{self.path.suffix}"):
            path.unlink(missing_ok=True)

    def check(self) -> None:
        """Check, before anything is written, that existing checkpoints belong to this run.

        Raises:
            InputError: the checkpoint is unreadable or belongs to another run, or one of a phase belongs to another
                run.
        """
        for path in self._all():
            if path == self.path:
                self._read()
            elif not self._mine(path):
                try:
                    phase = read_head(path).get("identity", {}).get("phase")
                except (InputError, AttributeError):  # of an unknown run; if the phase is ours, it starts over
                    continue
                Keeper(path, {**self.identity, "phase": phase})._read()

    def _all(self) -> list[Path]:
        """The paths of the existing checkpoints, of the run and of phases."""
        phases = sorted(self.path.parent.glob(f"{self.path.stem}-*{self.path.suffix}"))
        return [path for path in (self.path, *phases) if path.exists()]

    def _mine(self, path: Path) -> bool:
        """Whether a checkpoint belongs to this run or to one of its phases."""
        try:
            identity = read_head(path).get("identity")
        except InputError:
            return False
        return isinstance(identity, dict) and {k: v for k, v in identity.items() if k != "phase"} == self.identity

    def _read(self) -> tuple[_Head, dict[str, Tensor]]:
        try:
            head, tensors = read_tensors(self.path)
        except InputError as error:
            raise InputError(f"{error}, or remove it to start over") from error
        try:
            known = checked(head, _Head)
        except ValueError as error:
            raise InputError(f"{self.path}: not a checkpoint ({quoted(error)}); remove it to start over") from error
        if known.identity != self.identity:
            raise InputError(
                f"{self.path.parent} contains another run ({difference(known.identity, self.identity)}); "
                "choose another folder (`out`), or repeat the command of that run to resume it"
            )
        return known, tensors

    def offer(
        self,
        step: int,
        learned: nn.Module,
        optimizer: torch.optim.Optimizer,
        point: Point | None = None,
        more: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> None:
        """Write the state after `step` steps if a checkpoint is due or `stop` asks for it; arguments as in `write`.

        Raises:
            Interrupted: the run was asked to stop; the state is written.
        """
        stop = self.stop()
        if not stop and time.monotonic() - self._last < self.seconds:
            return
        self.write(step, learned, optimizer, point, more)
        if stop:
            doing = self.identity.get("phase", "")
            raise Interrupted(f"stopped after step {step}{doing and f' of {doing}'}")

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
            step: number of steps done.
            learned: the module that the optimizer updates: a synthetic set, or a network in training.
            optimizer: optimizer of `learned.parameters()`.
            point: the point at which the next step matches.
            more: further tensors that steps change.
        """
        state = optimizer.state_dict()
        parts: dict[str, Mapping[str, Tensor]] = {"learned": learned.state_dict(), "more": more}
        parts |= {f"optimizer.{i}": tensors for i, tensors in state["state"].items()}
        if point is not None:
            parts |= {"params": point.params, "buffers": point.buffers, "momenta": point.momenta}
        head = {
            "step": step,
            "seconds": self.clock.seconds(),
            "computing": mode(),
            "point": point and {"key": point.key, "outer": point.outer, "inner": point.inner},
            "identity": self.identity,
            "environment": _surroundings(next(learned.parameters()).device),
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
        """Restore the last state of `learned`, `optimizer` and `more` in place, and return it.

        Arguments:
            learned: the module that was passed to `write`, with any values.
            optimizer: optimizer of `learned.parameters()`.
            network: the architecture of the point, if one was written.
            more: the further tensors that were passed to `write`.

        Returns:
            The state; None: there is no checkpoint, or it was ignored (see `strict`).

        Raises:
            InputError: the checkpoint is unreadable or belongs to another run.
        """
        if not os.path.exists(self.path):  # Path.exists would fail in a folder that is closed to this user
            return None
        device = next(learned.parameters()).device
        try:
            head, tensors = self._read()
        except InputError:
            if self.strict:
                raise
            return None
        if head.environment != (now := _surroundings(device)):
            log.warning(
                f"resuming in another environment ({difference(head.environment, now)}): the result may not have the "
                "same bytes as that of an uninterrupted run"
            )
        parts: dict[str, dict[str, Tensor]] = {name: {} for name in _PARTS}
        try:
            for name, tensor in tensors.items():
                part, _, entry = name.partition(".")
                parts[part][entry] = tensor.to(device)
            _fill(learned.state_dict(), parts["learned"])
            _fill(more, parts["more"])
            _restore(optimizer, parts["optimizer"])
            point = _point(network, head.point, parts) if network and head.point else None
        except (LookupError, ValueError) as error:
            raise InputError(
                f"{self.path}: does not fit its run ({error}), perhaps of another version; remove it to start over"
            ) from error
        self.clock.before = max(self.clock.before, head.seconds)  # a phase has the latest checkpoint
        return State(head.step, head.computing, point)


_PARTS = ("learned", "more", "optimizer", "params", "buffers", "momenta")


@torch.no_grad()
def _fill(there: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> None:
    """Copy the values of `kept` into the tensors of `there`.

    Raises:
        ValueError: names, shapes or types differ.
    """
    if (mine := _shapes(there)) != (theirs := _shapes(kept)):
        raise ValueError(difference(theirs, mine))
    for name, tensor in there.items():
        tensor.copy_(kept[name])


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    return {name: f"{tensor.dtype} {tuple(tensor.shape)}" for name, tensor in tensors.items()}


def _restore(optimizer: torch.optim.Optimizer, kept: Mapping[str, Tensor]) -> None:
    """Restore the state of an optimizer, but not its settings, which come from the recipe.

    Raises:
        ValueError: `kept` is not the state of such an optimizer.
    """
    groups = optimizer.state_dict()["param_groups"]
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in kept.items():
        i, _, entry = name.partition(".")
        like = parameters[int(i)]
        if tensor.shape not in (like.shape, ()) or entry not in _ENTRIES.get(type(optimizer), ()):
            raise ValueError(f"unexpected optimizer state {name} of shape {tuple(tensor.shape)}")
        state.setdefault(int(i), {})[entry] = tensor
    if len({tuple(sorted(entries)) for entries in state.values()}) > 1:
        raise ValueError("the optimizer state of some parameters is incomplete")
    optimizer.load_state_dict({"state": state, "param_groups": groups})


_ENTRIES = {torch.optim.SGD: {"momentum_buffer"}, torch.optim.Adam: {"step", "exp_avg", "exp_avg_sq"}}


def _point(network: Network, place: _Place, parts: Mapping[str, Mapping[str, Tensor]]) -> Point:
    """The point that was written, with the weights in `parts`.

    Raises:
        ValueError: the tensors are not those of `network`.
    """
    # in the order of the network, not of the file, because the order in which layers are summed changes rounding
    params, buffers = (
        {name: t.clone() for name, t in named} for named in (network.named_parameters(), network.named_buffers())
    )
    _fill(params, parts["params"])
    _fill(buffers, parts["buffers"])
    momenta = dict(parts["momenta"])
    if not _shapes(momenta).items() <= _shapes(params).items():  # a weight that the network does not use has none
        raise ValueError("the momenta are those of another network")
    return Point(network, params, buffers, place.key, place.outer, place.inner, momenta=momenta)


def difference(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> str:
    """Describe the first entry in which two nested dictionaries differ; names, such as that of a method, come first."""
    nothing = object()
    for key in sorted(before.keys() | now.keys(), key=lambda key: (key != "name", key)):
        a, b = before.get(key, nothing), now.get(key, nothing)
        if isinstance(a, dict) and isinstance(b, dict) and a != b:
            return difference(a, b, f"{prefix}{key}.")
        if a != b and f"{prefix}{key}" == "data.fingerprint":
            return "of other images"
        if a != b:
            return f"{prefix}{key} is {'missing' if a is nothing else a} there, {'missing' if b is nothing else b} here"
    raise AssertionError("equal dictionaries have no difference")
