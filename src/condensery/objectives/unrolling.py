"""Unrolled training: real rows should be classified well by a network that has just been trained on synthetic rows."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from condensery.augment import Augmentation, CutMix
from condensery.data import Batch
from condensery.errors import bounded
from condensery.evaluation.training import Training
from condensery.kernels.compiling import mode
from condensery.kernels.passes import Passes, Residuals, chunked, evenly, passes
from condensery.networks.network import Network, Point, outputs
from condensery.objectives.objective import Objective
from condensery.randomness import repeated, rng

__all__ = ["Unrolling"]

State = Mapping[str, Tensor]
Minibatches = tuple[Tensor, Tensor]
"""The rows (window, batch size, channels, height, width) of all updates, and their label probabilities."""


class Unrolling(Objective):
    """The cross-entropy of real rows after `window` updates of a network on synthetic rows.

    Several networks take turns, each going on from where it was; one that has had `lifetime` updates starts anew. The
    first ones end early, one after another, so that networks of all ages take turns from then on.

    The gradient goes back through the updates: at each of them, with the loss's gradients a in the weights w and b in
    the momenta m that the update has made, v = b - lr a is the gradient in the update's own gradient g. It gives
    ∇_x <v, g> to the minibatch, and to the weights before the update a + decay v + ∇_w <v, g>; the momenta before it
    have momentum · v.

    Arguments:
        network: the architecture.
        window: number of updates in a step.
        how: how the weights are updated, with a constant learning rate; its `dtype` is also that of the real rows.
        seed: seed of the order of the rows.
        networks: number of networks that take turns.
        lifetime: updates before a network starts anew, rounded down to whole windows, but at least one; it starts at
            the point at which the loss is then asked for.
        augmented: number of networks, the first ones, whose minibatches are augmented and mixed.
        augment: augmentation, drawn for each row; None: none.
        mix: applied to each augmented minibatch; None: nothing is mixed.

    Raises:
        InputError: the networks would take more memory than `errors.bounded` allows.

    References:
        Wang et al., Dataset Distillation (2018), algorithm 1, with the loss at the end. Deng and Russakovsky, Remember
        the Past (2022), for momentum. Feng et al., Embarrassingly Simple Dataset Distillation (2024),
        https://arxiv.org/abs/2311.07025, for windows that begin at different times of training.
    """

    all_classes = True  # networks are trained on the whole set

    def __init__(
        self,
        network: Network,
        window: int,
        how: Training,
        seed: int,
        networks: int = 1,
        lifetime: int | None = None,
        augmented: int = 0,
        augment: Augmentation | None = None,
        mix: CutMix | None = None,
    ):
        self.window, self.how, self.seed = window, how, seed
        self.networks, self.lifetime = networks, lifetime or window
        self.augmented, self.augment, self.mix = augmented, augment, mix
        self._ended: Point | None = None
        params = {name: p.detach() for name, p in network.named_parameters()}
        size = 2 * networks * sum(p.numel() * p.element_size() for p in params.values())
        bounded(size, f"the weights and momenta of {networks:,} networks")
        device = next(iter(params.values())).device
        # steps before the next start of each network; the first lives are shorter
        self._left = torch.zeros(networks, dtype=torch.int64, device=device)
        self._weights, self._momenta = (
            {name: p.new_zeros(networks, *p.shape) for name, p in params.items()} for _ in range(2)
        )

    @property
    def state(self) -> Mapping[str, Tensor]:  # type: ignore[override]
        """The networks: their weights and momenta, and how many steps they have left."""
        weights = {f"weights.{name}": tensor for name, tensor in self._weights.items()}
        return {"left": self._left, **weights, **{f"momenta.{name}": each for name, each in self._momenta.items()}}

    def forwards(self, real: float, synthetic: int) -> float:
        """The cost of a step: minibatches pass forward, back, and both along a direction; real rows the first two."""
        return 3 * real + 9 * self.window * min(self.how.batch_size, synthetic)

    def target(self, point: Point, real: Batch) -> Sequence[Tensor]:
        """The real rows (n, channels, height, width) and their labels, by which the trained network is judged."""
        return real.detach().flat()

    def loss(self, point: Point, synthetic: Batch, target: Sequence[Tensor]) -> Tensor:
        """The cross-entropy, a single number.

        Arguments:
            point: where the network starts if it starts anew.
            synthetic: the rows of all classes.
        """
        x, y = synthetic.flat()
        point = self._reached(point, target[0])
        classes = outputs(point.network, x.shape[1:])
        targets, wanted = (each if each.is_floating_point() else F.one_hot(each, classes) for each in (y, target[1]))
        targets, wanted = targets.to(x.dtype), wanted.to(x.dtype)
        minibatches = self._minibatches(point, x, targets)
        # the passes compute the gradient with respect to rows only, not to labels
        if mode() == "plain" or point.network.plain_training or targets.requires_grad:
            with torch.autocast(x.device.type, self.how.dtype, enabled=self.how.dtype is not None):
                weights, momenta = _by_autograd(point, self.how, minibatches)
                loss = F.cross_entropy(point.logits(target[0], weights).to(x.dtype), wanted)
        else:
            made = passes(point.network, self.how.dtype or x.dtype)
            ended, count = _Trained.apply(*minibatches, made, point, self.how), len(made.names)
            loss = _Judged.apply(target[0], wanted, made, point, *ended[:count])
            weights = dict(zip(made.names, ended[:count], strict=True))
            momenta = dict(zip(made.names, ended[count:], strict=True))
        self._ended = replace(point, params=weights, momenta=momenta)
        return loss

    def after(self) -> dict[str, Any]:
        """The network of the step goes on from where it is now."""
        assert self._ended
        which = self._ended.outer % self.networks
        for there, now in ((self._weights, self._ended.params), (self._momenta, self._ended.momenta)):
            for name, tensor in now.items():
                there[name][which] = tensor.detach()
        if not self._left[which]:
            lives, steps = self._ended.outer // self.networks, max(1, self.lifetime // self.window)
            self._left[which] = steps if lives else max(1, steps * (which + 1) // self.networks)
        self._left[which] -= 1
        self._ended = None
        return {}

    def _reached(self, point: Point, rows: Tensor) -> Point:
        """The network whose turn it is, which starts at `point` if it starts anew."""
        which = point.outer % self.networks
        if not self._left[which]:
            return point
        weights = {name: tensor[which] for name, tensor in self._weights.items()}
        momenta = {name: tensor[which] for name, tensor in self._momenta.items()}
        return replace(point, params=weights, momenta=momenta).with_statistics_of(rows)

    def _minibatches(self, point: Point, x: Tensor, targets: Tensor) -> Minibatches:
        """The rows of every minibatch: all in random order, again and again; augmented for some of the networks."""
        size = min(self.how.batch_size, len(x))
        order = repeated(len(x), self.window * size, rng(self.seed, "window", point.outer)).to(x.device)
        rows, labels = (each.index_select(0, order).unflatten(0, (self.window, size)) for each in (x, targets))
        if point.outer % self.networks >= self.augmented:
            return rows, labels
        changed = [self._changed(*each, point.outer, i) for i, each in enumerate(zip(rows, labels, strict=True))]
        rows, labels = (torch.stack(each) for each in zip(*changed, strict=True))
        return rows, labels

    def _changed(self, x: Tensor, targets: Tensor, *key: int) -> tuple[Tensor, Tensor]:
        """A minibatch after augmentation and mixing, with its label probabilities."""
        shape = (x.shape[1], x.shape[2], x.shape[3])
        if self.augment:
            x = self.augment(x, self.augment.draw(len(x), shape, rng(self.seed, "augment", *key)))
        if self.mix and (cut := self.mix.draw(len(x), *shape[1:], rng(self.seed, "mix", *key))):
            x, targets = cut(x), cut.labels(targets)
        return x, targets


def _by_autograd(point: Point, how: Training, minibatches: Minibatches) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The weights and momenta after training, with a graph of all updates.

    This is the readable version, against which the way back by passes is tested.
    """
    weights = {k: v.detach().requires_grad_() for k, v in point.params.items()}
    momenta = {k: point.momenta.get(k, torch.zeros_like(v)) for k, v in weights.items()}
    for x, targets in zip(*minibatches, strict=True):
        loss = F.cross_entropy(point.logits(x, weights).to(x.dtype), targets)
        gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True, materialize_grads=True)
        for (name, w), gradient in zip(list(weights.items()), gradients, strict=True):
            momenta[name] = how.momentum * momenta[name] + gradient + how.weight_decay * w
            weights[name] = w - how.lr * momenta[name]
    return weights, momenta


class _Trained(torch.autograd.Function):
    """The same weights and momenta by compiled passes, with the way back that `Unrolling` describes."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, labels: Tensor, made: Passes, point: Point, how: Training
    ) -> tuple[Tensor, ...]:
        weights = {k: v.detach() for k, v in point.params.items()}
        momenta = {k: point.momenta.get(k, torch.zeros_like(v)) for k, v in weights.items()}
        ctx.updates = []
        for x, targets in zip(rows, labels, strict=True):
            state = weights | point.buffers
            _, gradients, kept = _gradients(made, state, x, targets, keep=True)
            ctx.updates.append((state, kept))
            for name, gradient in gradients.items():
                momenta[name] = how.momentum * momenta[name] + gradient + how.weight_decay * weights[name]
            weights = {k: v - how.lr * momenta[k] for k, v in weights.items()}
        ctx.made, ctx.how, ctx.size = made, how, rows.shape[1]
        ended = [momenta[name] for name in made.names]
        ctx.mark_non_differentiable(*ended)
        return *(weights[name] for name in made.names), *ended

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        made, how = ctx.made, ctx.how
        of_weights = dict(zip(made.names, gradients, strict=False))  # none in the momenta
        of_momenta = {name: torch.zeros_like(v) for name, v in of_weights.items()}
        of_minibatches: list[Tensor] = []
        while ctx.updates:
            state, kept = ctx.updates.pop()  # frees the intermediate results of the update
            v = {name: of_momenta[name] - how.lr * of_weights[name] for name in made.names}
            found = []
            for part, residuals in kept:
                rows, hessian = made.back_through(state, v, *part, residuals)
                found.append(rows)
                for name, product in zip(made.names, hessian, strict=True):
                    of_weights[name] = of_weights[name] + product
            of_minibatches.insert(0, torch.cat(found)[: ctx.size])
            of_weights = {name: a + how.weight_decay * v[name] for name, a in of_weights.items()}
            of_momenta = {name: how.momentum * each for name, each in v.items()}
        return torch.stack(of_minibatches), None, None, None, None


class _Judged(torch.autograd.Function):
    """The cross-entropy of rows by compiled passes, differentiable with respect to the weights."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, targets: Tensor, made: Passes, point: Point, *weights: Tensor) -> Tensor:
        state = dict(zip(made.names, weights, strict=True)) | point.buffers
        loss, gradients, _ = _gradients(made, state, x, targets)
        ctx.gradients = [gradients[name] for name in made.names]
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, None, None, *(gradient * each for each in ctx.gradients)


def _gradients(
    made: Passes, state: State, x: Tensor, targets: Tensor, keep: bool = False
) -> tuple[Tensor, dict[str, Tensor], list[tuple[tuple[Tensor, ...], Residuals]]]:
    """The mean cross-entropy, its gradients by name, and the chunks of the rows with what `back_through` needs."""
    total, sums = x.new_zeros(()), {name: torch.zeros_like(state[name]) for name in made.names}
    kept = []
    for part in chunked([evenly(len(x), made.rows)], x, targets, x.new_full((len(x),), 1 / len(x))):
        loss, _, gradients, residuals = made.gradients(state, *part, keep=keep)
        total += loss
        for name, gradient in zip(made.names, gradients, strict=True):
            sums[name] += gradient
        if keep:
            kept.append((part, residuals))
    return total, sums, kept
