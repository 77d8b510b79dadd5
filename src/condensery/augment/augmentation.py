"""`Augmentation`, which draws the parameters of operations and applies them, and DSA's strategy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from condensery.augment.omega import Omega, Shape, applied
from condensery.augment.operations import Color, Crop, Cutout, Flip, Operation, Rotate, Scale
from condensery.data.facts import Facts
from condensery.randomness import PerClass

__all__ = ["Augmentation", "dsa_strategy"]


@dataclass(frozen=True)
class Augmentation:
    """Operations that are always applied, followed by one operation chosen at random.

    Arguments:
        always: operations that are all applied. Whatever their order, colors change first, then positions, and boxes
            are cut out last; see `omega.applied`.
        one_of: operations of which one is chosen; all are equally likely.
        choice: whether `draw` chooses from `one_of` for every row, or once for a whole minibatch, whose rows then
            differ only in the parameters of the operation.

    References:
        DSA section 3 (siamese augmentation: one ω for the real and synthetic rows of a class) and section 4 (one of
        several operations); IDC appendix C.1 (a sequence of operations).
    """

    always: tuple[Operation, ...] = ()
    one_of: tuple[Operation, ...] = ()
    choice: Literal["row", "minibatch"] = "row"

    def draw(self, rows: int, shape: Shape, generator: torch.Generator) -> Omega:
        """Draw one ω per row of a minibatch, for images of `shape` (channels, height, width)."""
        u = torch.rand(rows, self._numbers, generator=generator)
        if self.choice == "minibatch":
            u[:, 0] = u[0, 0]
        return self._drawn(u, shape)

    def siamese(self, classes: Sequence[int], shape: Shape, draw: PerClass) -> Omega:
        """Draw one ω per class. The ω of a class depends only on its own generator."""
        return self._drawn(torch.cat([torch.rand(1, self._numbers, generator=draw(c)) for c in classes]), shape)

    @property
    def _numbers(self) -> int:
        return 4 * len(self.always) + 5  # 4 per operation (one of `one_of` is used), and 1 for the choice

    def _drawn(self, u: Tensor, shape: Shape) -> Omega:
        omega = Omega.neutral(len(u), shape[0])
        *each, last = u[:, 1:].split(4, dim=1)
        for operation, numbers in zip(self.always, each, strict=True):
            omega = omega.then(operation.drawn(numbers, shape))
        if self.one_of:
            chosen, before = (u[:, 0] * len(self.one_of)).long(), omega
            for i in sorted(set(chosen.tolist())):
                omega = before.then(self.one_of[i].drawn(last, shape)).where(chosen == i, omega)
        return omega

    def __call__(self, x: Tensor, omega: Omega) -> Tensor:
        """Apply drawn parameters to rows; differentiable to any order.

        Arguments:
            x: normalized rows, `(m, channels, height, width)` with one ω per row, or `(m, n, channels, height, width)`
                if n rows share one ω.
            omega: parameters of m augmentations.
        """
        return applied(x, omega)


def dsa_strategy(facts: Facts) -> Augmentation:
    """DSA's strategy: one of color, crop, cutout, flip, scaling and rotation, chosen at random (DSA section 4).

    Arguments:
        facts: flips are among the operations only if they keep the class. Data that are not pictures are not augmented.

    References:
        DSA section 4. As in its program, a minibatch in a network's training draws one operation.
    """
    if not facts.pictures:
        return Augmentation()
    flips = (Flip(),) if facts.flip else ()
    return Augmentation(one_of=(Color(), Crop(), Cutout(), *flips, Scale(), Rotate()), choice="minibatch")
