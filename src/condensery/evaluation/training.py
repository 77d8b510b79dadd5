"""Training a network on rows, and measuring its accuracy."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import Protocol as Interface

import torch
from torch import Tensor
from torch.nn import functional as F

from condensery.augment import Augmentation, Cut, CutMix
from condensery.data import Batch, TestSet
from condensery.errors import InputError
from condensery.kernels.compiling import Mode, mode, worthwhile
from condensery.kernels.passes import chunked, evenly, passes
from condensery.networks.network import Network, Point, operations, outputs, rows_at_once
from condensery.randomness import global_rng, rng
from condensery.runs.checkpoint import Keeper
from condensery.synthetic import SyntheticSet

__all__ = [
    "USUAL", "DecodedRows", "Rows", "TensorRows", "Training", "accuracy", "classifying", "computing", "fit", "guesses",
]  # fmt: skip


class Rows(Interface):
    """Rows that a network can be trained on: a `RealSet`, or the `TensorRows` of a synthetic set."""

    def __len__(self) -> int: ...

    def minibatches(self, size: int, generator: torch.Generator) -> Iterable[tuple[Tensor, Tensor, Tensor]]: ...


class TensorRows:
    """The decoded rows of a synthetic set, in memory."""

    def __init__(self, batch: Batch, device: torch.device | None = None, dtype: torch.dtype | None = None):
        x, y = batch.flat()
        self.x, self.y = x.detach().to(device, dtype), y.detach().to(device)
        if y.is_floating_point():
            self.y = self.y.to(self.x.dtype)

    def __len__(self) -> int:
        return len(self.x)

    def minibatches(self, size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Every row once, in random order; see `RealSet.minibatches`."""
        for index in torch.randperm(len(self.x), generator=generator).to(self.x.device).split(size):
            yield self.x[index], self.y[index], index


class DecodedRows:
    """The rows of a synthetic set, decoded minibatch by minibatch, for sets whose rows do not fit into memory.

    Arguments:
        synthetic: the set. Its decoder makes the same number of rows from every base.
        device, dtype: where the rows are put, and their number format. None: those of the set.
    """

    AT_ONCE = 1024  # rows that are decoded at a time, or those of a base if it has more

    def __init__(self, synthetic: SyntheticSet, device: torch.device | None = None, dtype: torch.dtype | None = None):
        self.synthetic, self.device, self.dtype = synthetic, device, dtype
        self.each = synthetic.rows_per_class // synthetic.bases_per_class  # rows of a base

    def __len__(self) -> int:
        return self.synthetic.classes * self.synthetic.bases_per_class * self.each

    @torch.no_grad()
    def minibatches(self, size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Every row once, in random order; see `RealSet.minibatches`. The order is that of `TensorRows`."""
        for index in torch.randperm(len(self), generator=generator).split(size):
            parts, back = [], index.argsort().argsort()
            for some in index.sort().values.split(max(1, self.AT_ONCE // self.each)):
                needed, place = torch.unique(some // self.each, return_inverse=True)
                rows = self.synthetic.rows_of(needed)
                parts.append((rows.x[place, some % self.each], rows.labels[place, some % self.each]))
            x = torch.cat([x for x, _ in parts])[back].to(self.device, self.dtype)
            y = torch.cat([y for _, y in parts])[back].to(self.device)
            yield x, y.to(x.dtype) if y.is_floating_point() else y, index


@dataclass(frozen=True)
class Training:
    """How the weights of a network are updated: SGD and its settings.

    Arguments:
        lr: learning rate, which is multiplied by `schedule(progress)`.
        momentum, weight_decay: as in `torch.optim.SGD`.
        batch_size: rows per step; all rows if there are fewer.
        schedule: maps the progress in [0, 1) to a factor on the learning rate.
        restart_at: values of the progress at which momentum is reset.
        dtype: number format of the rows in the network, forward and backward; weights keep their own. None: that of
            the weights.
    """

    lr: float = 0.01
    momentum: float = 0.0
    weight_decay: float = 0.0
    batch_size: int = 256
    schedule: Callable[[float], float] = lambda progress: 1.0
    restart_at: tuple[float, ...] = ()
    dtype: torch.dtype | None = None

    @property
    def number_format(self) -> str:
        """What the name of a protocol says of `dtype`, such as ", trained in bfloat16"; nothing if it is None."""
        return "" if self.dtype is None else f", trained in {str(self.dtype).removeprefix('torch.')}"

    def steps(self, epochs: int, rows: int) -> int:
        """Updates in `epochs` passes over `rows` rows."""
        return epochs * -(-rows // self.batch_size)


USUAL = Training(0.01, 0.9, 5e-4, 64)
"""How networks are trained in most papers' evaluations, where the learning rate drops in addition."""


def fit(
    point: Point,
    rows: Rows,
    how: Training,
    steps: int,
    seed: int,
    key: tuple[str | int, ...],
    augment: Augmentation | None = None,
    mix: CutMix | None = None,
    observe: Callable[[Tensor, Tensor, Tensor], None] | None = None,
    keeper: Keeper | None = None,
    observed: Mapping[str, Tensor] = MappingProxyType({}),
    report: Callable[[int, int, float], None] | None = None,
    regularizer: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Point:
    """The point after `steps` steps of SGD on the mean cross-entropy of minibatches of `rows`.

    Arguments:
        point: where training starts, with its momenta if it has any; it is not changed.
        rows: the training rows, in a new random order in every epoch.
        how: how the weights are updated.
        steps: number of updates.
        seed, key: seed and key of the random numbers (order of rows, augmentation, mixing).
        augment: augmentation, drawn for each row or minibatch, as its `choice` says.
        mix: applied to each augmented minibatch.
        observe: called with (indices, logits, labels) of every minibatch, before its update.
        keeper: writes checkpoints, one of them at the end, and resumes from the last one. None: no checkpoints.
        observed: tensors that `observe` changes in place; they are part of checkpoints.
        report: called with (steps done, steps, loss) after every update.
        regularizer: called with the rows and the logits of a minibatch; its result is added to the loss.

    Raises:
        Interrupted: the keeper was asked to stop; the state is kept.
        InputError: batch norm in a network of the user's cannot be trained on a minibatch of one row.
    """
    network = point.placed().train()
    # the passes compute in evaluation mode, in which batch norm, for example, would not update its statistics
    by_autograd = mode() == "plain" or point.buffers or network.plain_training or regularizer
    gradient = partial(_plainly, regularizer=regularizer) if by_autograd else _by_passes
    optimizer = _optimizer(network, how, point.momenta)
    state = keeper.resume(network, optimizer, more=observed) if keeper else None
    step = state.step if state else 0
    per_epoch, most = -(-len(rows) // how.batch_size), min(how.batch_size, len(rows))
    while step < steps:
        epoch, begun = divmod(step, per_epoch)
        order = rows.minibatches(how.batch_size, rng(seed, "order", *key, epoch))
        for x, y, index in islice(order, begun, begun + steps - step):
            if keeper:
                keeper.offer(step, network, optimizer, more=observed)
            if any((step - 1) / steps < at <= step / steps for at in how.restart_at):
                optimizer = _optimizer(network, how)
            for group in optimizer.param_groups:
                group["lr"] = how.lr * how.schedule(step / steps)
            if augment is not None:
                shape = (x.shape[1], x.shape[2], x.shape[3])
                x = augment(x, augment.draw(len(x), shape, rng(seed, "augment", *key, step)))
            cut = None if mix is None else mix.draw(len(x), x.shape[2], x.shape[3], rng(seed, "mix", *key, step))
            optimizer.zero_grad()
            # layers of a user's network, such as dropout, draw from torch's global generator
            layers = global_rng(rng(seed, "layers", *key, step), x.device) if network.plain_training else nullcontext()
            with layers:
                try:
                    loss, logits = gradient(network, cut(x) if cut else x, y, cut, how.dtype or x.dtype, most)
                except ValueError as error:
                    if "more than 1 value per channel" not in str(error):
                        raise
                    raise InputError(
                        f"batch norm cannot be trained on a minibatch of one row, and {len(rows)} rows in minibatches "
                        f"of {how.batch_size} leave one; give a network with another norm, or another number of rows"
                    ) from error
            if observe is not None:
                observe(index, logits, y)
            optimizer.step()
            step += 1
            if report is not None:
                report(step, steps, loss.item())
    if keeper:
        keeper.write(step, network, optimizer, more=observed)
    momenta = {k: optimizer.state[p].get("momentum_buffer") for k, p in network.named_parameters()}
    return replace(
        point,
        params={k: v.detach().clone() for k, v in network.named_parameters()},
        buffers={k: v.detach().clone() for k, v in network.named_buffers()},
        momenta={k: v.clone() for k, v in momenta.items() if v is not None},
    )


def _plainly(
    network: Network,
    x: Tensor,
    y: Tensor,
    cut: Cut | None,
    dtype: torch.dtype,
    most: int,
    regularizer: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Loss and logits of a minibatch by autograd; gradients are added to the parameters."""
    with torch.autocast(x.device.type, dtype, enabled=dtype != x.dtype):
        logits = network(x).to(x.dtype)
    loss = cut.loss(logits, y) if cut else F.cross_entropy(logits, y)
    if regularizer is not None:
        loss = loss + regularizer(x, logits)
    loss.backward()
    return loss.detach(), logits.detach()


@torch.no_grad()
def _by_passes(
    network: Network, x: Tensor, y: Tensor, cut: Cut | None, dtype: torch.dtype, most: int
) -> tuple[Tensor, Tensor]:
    """Loss and logits of a minibatch by compiled passes; gradients are added to the parameters."""
    made, state = passes(network, dtype), dict(network.named_parameters())
    targets = y if y.is_floating_point() else F.one_hot(y, outputs(network, x.shape[1:])).to(x.dtype)
    if cut:
        targets = cut.labels(targets)
    weight = x.new_full((len(x),), 1 / len(x))
    losses, all_logits = [], []
    for part in chunked([evenly(most, made.rows)], x, targets, weight):
        loss, logits, gradients, _ = made.gradients(state, *part)
        losses.append(loss)
        all_logits.append(logits)
        for name, grad in zip(made.names, gradients, strict=True):
            parameter = state[name]
            parameter.grad = grad if parameter.grad is None else parameter.grad + grad
    return torch.stack(losses).sum(), torch.cat(all_logits)[: len(x)]


def _optimizer(
    network: torch.nn.Module, how: Training, momenta: Mapping[str, Tensor] = MappingProxyType({})
) -> torch.optim.Optimizer:
    optimizer = torch.optim.SGD(network.parameters(), lr=how.lr, momentum=how.momentum, weight_decay=how.weight_decay)
    for name, parameter in network.named_parameters():
        if name in momenta:
            optimizer.state[parameter]["momentum_buffer"] = momenta[name].clone()
    return optimizer


def computing(network: Network, shape: tuple[int, int, int], rows: int) -> Mode:
    """The fastest mode for training on `rows` rows, counted over all epochs."""
    device = next(network.parameters()).device
    return worthwhile("training", 3 * rows * operations(network, shape), device) if network.compiled else mode()


def classifying(network: Network, shape: tuple[int, int, int], rows: int) -> Mode:
    """The fastest mode for testing on `rows` rows, counted over all networks."""
    device = next(network.parameters()).device
    return worthwhile("testing", rows * operations(network, shape), device) if network.compiled else mode()


def accuracy(point: Point, test: TestSet) -> float:
    """The fraction, in [0, 1], of test rows whose largest logit is that of their label."""
    return int((guesses(point, test) == test.labels).sum()) / len(test)


@torch.no_grad()
def guesses(point: Point, test: TestSet) -> Tensor:
    """The class with the largest logit for each test row, shape (N,)."""
    network = point.placed().eval()
    if mode() == "plain" or network.plain_training:
        return torch.cat([network(x).argmax(1) for x, _ in test.slices(rows_at_once(test.device, test.shape))])
    made, state, found = passes(network, test.dtype), point.params | point.buffers, []
    for x, _ in test.slices(made.rows * 64):
        for (part,) in chunked([made.rows], x):
            found.append(network.head(made.embeddings(state, part)).argmax(1))
    return torch.cat(found)[: len(test)]
