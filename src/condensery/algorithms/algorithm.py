"""What a recipe returns: an algorithm, which knows how many steps it takes and performs them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from typing import Protocol as Interface

import torch
from torch import Tensor

from condensery.runs.checkpoint import Keeper
from condensery.synthetic import SyntheticSet

__all__ = ["Algorithm", "Aside", "Beginning", "Choice", "FromRows", "FromSet", "Observe", "Rare", "Step"]


@dataclass(frozen=True)
class Rare:
    """Work that few steps include, and that a plan therefore times separately.

    Arguments:
        what: what it is, for a message.
        count: how many times a run does it.
        some: called with n, does it n times.
    """

    what: str
    count: int
    some: Callable[[int], None]


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
"""Called with (name of the file, what is done), it returns a keeper for a phase of a run. If steps have begun, it first
writes a checkpoint of the run."""


class Algorithm(Interface):
    """What a recipe returns: everything that its steps need, and `run`, which performs them."""

    @property
    def synthetic(self) -> SyntheticSet:
        """The set before the first step; `run` changes it in place or returns another one."""
        ...

    @property
    def steps(self) -> int:
        """Updates of the synthetic set after all beginnings; 0 if it is chosen, not learned."""
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

    def rare(self, synthetic: SyntheticSet) -> Rare | None:
        """The part of the work that takes long, of which a plan times a few repetitions."""
        ...

    def steady(self) -> "Beginning":
        """The same work without most of its `rare` part."""
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

    def rare(self, synthetic: SyntheticSet) -> Rare | None:
        return None

    def steady(self) -> "FromRows":
        return self


@dataclass(frozen=True)
class FromSet:
    """A beginning that copies what an earlier set stores: the first bases of its classes, their labels, its decoder.

    Arguments:
        earlier: the set, which has the same decoder and stored pixel space.
        places: for every class of the new set, which class of the earlier one it is; None: it was not there.
    """

    earlier: SyntheticSet
    places: Sequence[int | None]

    def covers(self, synthetic: SyntheticSet) -> bool:
        """Whether it replaces all bases of `synthetic`, so that earlier beginnings have no effect."""
        return None not in self.places and self.earlier.bases_per_class == synthetic.bases_per_class

    @torch.no_grad()
    def __call__(self, synthetic: SyntheticSet, aside: Aside | None) -> None:
        bases, labels = self.earlier.bases.detach(), self.earlier.labels
        if self.earlier.space.stored == "normalized":  # perhaps with other statistics
            bases = synthetic.space.normalize(self.earlier.space.unit(bases))
        for c, place in enumerate(self.places):
            if place is not None:
                synthetic.bases[c, : bases.shape[1]] = bases[place].to(synthetic.bases)
                if synthetic.labels is not None and labels is not None:
                    synthetic.labels[c, : labels.shape[1]] = labels[place][:, list(self.places)].to(synthetic.labels)
        synthetic.decoder.load_state_dict(self.earlier.decoder.state_dict())

    def rare(self, synthetic: SyntheticSet) -> Rare | None:
        return None

    def steady(self) -> "FromSet":
        return self


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
