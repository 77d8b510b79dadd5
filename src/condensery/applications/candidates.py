"""What a search can choose from: grids of networks, and settings for training one."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from condensery.errors import InputError
from condensery.fields import whole_number
from condensery.networks.convnet import ConvNet
from condensery.networks.net import Architecture, described

if TYPE_CHECKING:
    import optuna

__all__ = ["Candidate", "dc_grid", "settings", "small_grid", "usual_space"]


def dc_grid() -> list[ConvNet]:
    """The 720 ConvNets among which DC searches (appendix A): 4 widths, 4 depths, 5 norms, 3 activations, 3 poolings."""
    norms, activations = ("none", "batch", "layer", "instance", "group"), ("sigmoid", "relu", "leaky_relu")
    return _grid((32, 64, 128, 256), (1, 2, 3, 4), norms, activations, ("none", "max", "avg"))


def small_grid() -> list[ConvNet]:
    """24 ConvNets that a CPU can train: 2 widths, 3 depths, with and without instance norm, 2 poolings."""
    return _grid((16, 32), (1, 2, 3), ("none", "instance"), ("relu",), ("max", "avg"))


def _grid(widths: Any, depths: Any, norms: Any, activations: Any, poolings: Any) -> list[ConvNet]:
    return [ConvNet(*fields) for fields in product(widths, depths, norms, activations, poolings)]


@dataclass(frozen=True)
class Candidate:
    """A network and how it is trained, where this differs from the protocol.

    Arguments:
        net: the architecture.
        lr, momentum, weight_decay, batch_size: see `Training`. None: as the protocol says.
    """

    net: Architecture
    lr: float | None = None
    momentum: float | None = None
    weight_decay: float | None = None
    batch_size: int | None = None

    @property
    def how(self) -> dict[str, Any]:
        """What differs from the protocol."""
        names = ("lr", "momentum", "weight_decay", "batch_size")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def __str__(self) -> str:
        return ", ".join([described(self.net), *(f"{name} {value:.3g}" for name, value in self.how.items())])


def usual_space(trial: "optuna.Trial") -> dict[str, Any]:
    """Learning rates from 0.0003 to 0.3, momentum up to 0.95, weight decay from 1e-6 to 0.01, batches of 16 to 256."""
    return {
        "lr": trial.suggest_float("lr", 3e-4, 0.3, log=True),
        "momentum": trial.suggest_float("momentum", 0.0, 0.95),
        "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-2, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [16, 32, 64, 128, 256]),
    }


def settings(
    count: int,
    net: Architecture = ConvNet(),
    space: "Callable[[optuna.Trial], dict[str, Any]]" = usual_space,
    seed: int = 0,
) -> list[Candidate]:
    """Random settings for training a network, drawn by Optuna; `architecture_search` finds the best of them.

    The same settings are tried on every proxy, so that their orders can be compared.

    Arguments:
        count: number of settings.
        net: the network.
        space: suggests the fields of a `Candidate`, by an Optuna trial.
        seed: seed of the draws.

    Raises:
        InputError: Optuna is not installed, or `count` is below 2.
    """
    try:
        import optuna
    except ImportError as error:
        raise InputError("Optuna is not installed; install condensery[search]") from error
    whole_number("settings", count, 2)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    return [Candidate(net, **space(study.ask())) for _ in range(count)]
