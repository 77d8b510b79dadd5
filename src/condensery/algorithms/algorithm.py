"""What a recipe returns: an algorithm, which knows how many steps it takes and performs them."""

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
    """What an observer receives after every step."""

    done: int
    total: int
    loss: float
    """The loss, summed over classes."""
    synthetic: SyntheticSet | None
    """The set after the step; None while a network is trained that only serves to choose rows."""
    said: Mapping[str, Any] = field(default_factory=dict)
    """What there is to report about the step, as JSON values, such as the norm of the gradient of the loss."""


Observe = Callable[[Step], Any]
Aside = Callable[[str, str], Keeper]
"""Called with (name of the file, which phase), returns a keeper for that phase of the run."""


class Algorithm(Interface):
    """What a recipe returns: everything that its steps need, and `run`, which performs them."""

    @property
    def synthetic(self) -> SyntheticSet:
        """The set before the first step; `run` changes it in place or returns another one."""
        ...

    @property
    def steps(self) -> int:
        """Updates of the synthetic set in a whole run; 0 if it is chosen, not learned."""
        ...

    def run(self, keeper: Keeper | None = None, observe: Observe | None = None) -> SyntheticSet:
        """Perform the remaining steps and return the set.

        Arguments:
            keeper: writes checkpoints and resumes from the last one; None: the run is in memory only.
            observe: called after every step; by default progress is shown (`console.progress`).

        Raises:
            InputError: the checkpoint is unreadable or belongs to another run, or a part of the algorithm refuses the
                real rows.
            RunError: the loss or a learned number is not finite.
            Interrupted: the keeper was asked to stop; the state is kept.
        """
        ...


class Beginning(Interface):
    """Work before the first step that prepares the synthetic set in place, such as the autoencoder of KFS."""

    def __call__(self, synthetic: SyntheticSet, aside: Aside | None) -> None:
        """Prepare `synthetic`; `aside` gives a keeper, from which the work resumes."""
        ...


@dataclass(frozen=True)
class FromRows:
    """A beginning that computes the stored bases from rows.

    Arguments:
        rows: called without arguments, returns normalized rows (C, decoder.initial_rows(ipc), channels, height, width).
    """

    rows: Callable[[], Tensor]

    def __call__(self, synthetic: SyntheticSet, aside: Aside | None) -> None:
        synthetic.start_from(self.rows())


@dataclass(frozen=True)
class Choice:
    """Choose real rows instead of learning new ones.

    Arguments:
        synthetic: a set of the size of the result.
        choose: called with a keeper and an observer for the networks that it trains; returns the set.
    """

    synthetic: SyntheticSet
    choose: Callable[[Keeper | None, Observe | None], SyntheticSet]
    steps: int = 0

    def run(self, keeper: Keeper | None = None, observe: Observe | None = None) -> SyntheticSet:
        """Choose the rows; see `Algorithm.run`."""
        return self.choose(keeper, observe)
