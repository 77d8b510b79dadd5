"""What a recipe returns: an algorithm, which knows its steps and does them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from typing import Protocol as Interface

from torch import Tensor

from condensery.runs.checkpoint import Keeper
from condensery.synthetic import SyntheticSet

__all__ = ["Algorithm", "Aside", "Beginning", "Choice", "FromRows", "Observe", "Step"]


@dataclass(frozen=True)
class Step:
    """What an observer is told after every step."""

    done: int
    total: int
    loss: float
    """The sum over classes."""
    synthetic: SyntheticSet | None
    """The set as it is now; None while a network is trained that only chooses."""
    said: Mapping[str, Any] = field(default_factory=dict)
    """What the objective reports of the step, as JSON: usually nothing."""


Observe = Callable[[Step], Any]
Aside = Callable[[str, str], Keeper]
"""(The file's name, which phase it is) to a keeper for that phase of the run."""


class Algorithm(Interface):
    """What a recipe returns: everything that its steps need, and the steps themselves."""

    @property
    def synthetic(self) -> SyntheticSet:
        """The set as it starts; `run` changes it in place or returns another."""
        ...

    @property
    def steps(self) -> int:
        """Updates of the synthetic set in a whole run; 0 where it is chosen, not learned."""
        ...

    def run(self, keeper: Keeper | None = None, observe: Observe | None = None) -> SyntheticSet:
        """Do all steps that are left and return the set.

        Arguments:
            keeper: keeps checkpoints and picks up from the last one; None runs in memory only.
            observe: called after every step; by default progress is shown (`console.progress`).

        Raises:
            InputError: the checkpoint is unreadable or another run's; what the parts refuse of the real rows.
            RunError: the loss, or what was learned, is not finite.
            Interrupted: the keeper was asked to stop; the state is kept.
        """
        ...


class Beginning(Interface):
    """What takes long before the first step and prepares the synthetic set in place, such as KFS's autoencoder."""

    def __call__(self, synthetic: SyntheticSet, aside: Aside | None) -> None:
        """Prepare `synthetic`; `aside` gives a keeper, with which it resumes."""
        ...


@dataclass(frozen=True)
class FromRows:
    """A beginning: the stored bases are made of rows.

    Arguments:
        rows: called for the normalized rows (C, decoder.initial_rows(ipc), channels, height, width).
    """

    rows: Callable[[], Tensor]

    def __call__(self, synthetic: SyntheticSet, aside: Aside | None) -> None:
        synthetic.start_from(self.rows())


@dataclass(frozen=True)
class Choice:
    """Choose real rows instead of learning new ones.

    Arguments:
        synthetic: a set of the size that will be chosen.
        choose: called with the keeper and the observer, of networks that are trained to choose by; returns the set.
    """

    synthetic: SyntheticSet
    choose: Callable[[Keeper | None, Observe | None], SyntheticSet]
    steps: int = 0

    def run(self, keeper: Keeper | None = None, observe: Observe | None = None) -> SyntheticSet:
        """Choose; see `Algorithm.run`."""
        return self.choose(keeper, observe)
