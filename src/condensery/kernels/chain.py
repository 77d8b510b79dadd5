"""The passes of the ConvNet as formulas: forward, backward, and both along a direction in weight space.

They are for the ConvNet of DC, DSA, DM and KFS (instance norm, ReLU, average pooling). Rows are stored with channels
last, (n, height, width, channels). The two passes along a direction V reuse intermediate results of the first two.

Let u be the result of a convolution. With means over the pixels of one row and channel:

    h = (u - m) r,  m = mean u,  r = (mean (u - m)² + eps)^-½        z = γ h + β,  o = pool(max(z, 0))
    dz = up(do) [z > 0],  s = mean dz,  t = mean dz h                du = r γ (dz - s - h t)

and along V, with a dot for the derivative:

    p = mean h u̇,  ḣ = r (u̇ - mean u̇ - h p),  ṙ = -r² p               ż = γ̇ h + γ ḣ + β̇,  ȯ = pool(ż [z > 0])
    dż = up(dȯ) [z > 0],  ṡ = mean dż,  ṫ = mean (dż h + dz ḣ)
    du̇ = (ṙ γ + r γ̇) (dz - s - h t) + r γ (dż - ṡ - ḣ t - h ṫ)

A constant added to u changes nothing; the bias of a convolution is therefore left out, and its gradient is 0.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from condensery.kernels.convolution import Columns, Convolution, Direct, Winograd, written

__all__ = ["Chain", "cross_entropy"]

Params = Mapping[str, Tensor]
EPS = 1e-5  # added to the variance in the norm, as in PyTorch


def cross_entropy(logits: Tensor, targets: Tensor, weight: Tensor) -> Tensor:
    """The sum over rows of `weight` (n,) times the cross-entropy of `logits` (n, K) and target probabilities (n, K)."""
    return -(weight * (targets * logits.log_softmax(1)).sum(1)).sum()


class _Block(NamedTuple):
    """Intermediate results of the forward and backward passes through a block, for the passes along a direction."""

    rows: Tensor  # prepared for products
    u: Tensor
    norm: Tensor  # m, r, r γ, β - m r γ: (4, n, 1, 1, channels)
    do: Tensor
    sums: Tensor  # s, t, r² γ t, r γ s: the same shape
    result_gradient: Tensor  # du, prepared for products


class Chain:
    """Passes through depth x [3 x 3 convolution, instance norm, ReLU, average pooling], then a linear classifier.

    Arguments:
        shape: (channels, height, width) of a row.
        paddings: padding of the convolution of every block.
        width: number of filters of each convolution.
        dtype: number format of the passes; Winograd products are used with float32 and float64 only.
    """

    def __init__(self, shape: tuple[int, int, int], paddings: Sequence[int], width: int, dtype: torch.dtype):
        self.convolutions = []
        channels, sides = shape[0], (shape[1], shape[2])
        for padding in paddings:
            tiled = sides[0] % 4 == sides[1] % 4 == 0 and padding == 1 and dtype in (torch.float32, torch.float64)
            way: type[Convolution] = Columns if channels < 8 else Winograd if tiled and channels >= 32 else Direct
            self.convolutions.append(way(sides, padding))
            sides, channels = (self.convolutions[-1].out[0] // 2, self.convolutions[-1].out[1] // 2), width

    @staticmethod
    def names(block: int) -> tuple[str, str, str, str]:
        """Names of the parameters of a block: filters and bias of the convolution, scale and shift of the norm."""
        return (f"stages.{block}.0.weight", f"stages.{block}.0.bias", f"stages.{block}.1.weight",
                f"stages.{block}.1.bias")  # fmt: skip

    def gradients(
        self, params: Params, x: Tensor, targets: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor, dict[str, Tensor], tuple[Tensor, ...]]:
        """The loss at rows `x` (n, channels, height, width), and its gradient with respect to every parameter.

        Returns:
            The loss (sum over rows of weight times cross-entropy), the logits, the gradients by name, and the
            intermediate results for `along`.
        """
        features, kept = self._forward(params, x.permute(0, 2, 3, 1))
        flat = _flattened(features)
        logits = F.linear(flat, params["head.weight"], params["head.bias"])
        wide = logits.to(weight.dtype)
        loss = cross_entropy(wide, targets, weight)
        gradient = ((wide.softmax(1) - targets) * weight[:, None]).to(x.dtype)
        gradients = {"head.weight": gradient.T @ flat, "head.bias": gradient.sum(0)}
        blocks = self._backward(params, kept, _unflattened(gradient @ params["head.weight"], features), gradients)
        residuals = (flat, logits, *(tensor for block in blocks for tensor in block))
        return loss, logits, {name: gradients[name] for name in params}, residuals

    def along(
        self,
        params: Params,
        direction: Params,
        x: Tensor,
        targets: Tensor,
        weight: Tensor,
        residuals: Sequence[Tensor],
        of_weights: bool = False,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The gradient of the inner product of the gradients with `direction`, with respect to `x` and to the weights.

        Arguments:
            direction: V by parameter name; a missing parameter counts as 0.
            residuals: what `gradients` returned for the same rows.
            of_weights: whether the gradients with respect to the parameters, by name, are wanted too.
        """
        flat, logits, *rest = residuals
        each = len(_Block._fields)
        blocks = [_Block(*rest[each * i : each * (i + 1)]) for i in range(len(self.convolutions))]
        features_v, moved = self._forward_along(params, direction, blocks)
        logits_v = F.linear(_flattened(features_v), params["head.weight"])
        if "head.weight" in direction:
            logits_v = logits_v + F.linear(flat, direction["head.weight"])
        if "head.bias" in direction:
            logits_v = logits_v + direction["head.bias"]
        shares = logits.to(weight.dtype).softmax(1)
        gradient_v = (shares * (logits_v - (shares * logits_v).sum(1, keepdim=True)) * weight[:, None]).to(flat.dtype)
        gradient = ((shares - targets) * weight[:, None]).to(flat.dtype)
        back = gradient_v @ params["head.weight"]
        if "head.weight" in direction:
            back = back + gradient @ direction["head.weight"]
        do_v = _unflattened(back, features_v)
        along = {}
        if of_weights:
            along["head.weight"] = gradient_v.T @ flat + gradient.T @ _flattened(features_v)
            along["head.bias"] = gradient_v.sum(0)
        x_v = self._backward_along(params, direction, blocks, moved, do_v, along if of_weights else None)
        return x_v.permute(0, 3, 1, 2), along

    def embed(self, params: Params, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Embeddings (n, d) of rows `x` (n, channels, height, width), and the results for `embed_back`."""
        features, kept = self._forward(params, x.permute(0, 2, 3, 1))
        return _flattened(features), tuple(tensor for _, u, norm in kept for tensor in (u, norm))

    def embed_back(self, params: Params, gradient: Tensor, residuals: Sequence[Tensor]) -> Tensor:
        """The gradient with respect to the rows, given the `gradient` (n, d) with respect to the result of `embed`."""
        height, width = (side // 2 for side in self.convolutions[-1].out)
        do = gradient.unflatten(1, (-1, height, width)).permute(0, 2, 3, 1)
        for i, convolution in reversed(list(enumerate(self.convolutions))):
            u, norm = residuals[2 * i : 2 * i + 2]
            du, _ = _through(u, norm, do)
            prepared = convolution.result_gradient(du.to(u.dtype))
            do = convolution.back([(prepared, convolution.filters_back(params[self.names(i)[0]]))])
        return do.permute(0, 3, 1, 2)

    def _forward(self, params: Params, x: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor, Tensor]]]:
        """The output of the last block; for every block the prepared rows, u, and (m, r, r γ, β - m r γ)."""
        dtype, kept = x.dtype, []
        for i, convolution in enumerate(self.convolutions):
            w, _, scale, shift = self.names(i)
            rows = convolution.rows(x)
            u = convolution.apply([(rows, convolution.filters(params[w]))])
            m = _written(_mean(_wide(u)))[0]
            r = (_mean((_wide(u) - m).square()) + EPS).rsqrt()
            factor = r * params[scale]
            norm = _written(m, r, factor, params[shift] - m * factor)
            x = _pooled((_wide(u) * norm[2] + norm[3]).relu()).to(dtype)
            kept.append((rows, u, norm))
        return x, kept

    def _backward(
        self, params: Params, kept: Sequence[tuple[Tensor, Tensor, Tensor]], do: Tensor, gradients: dict[str, Tensor]
    ) -> list[_Block]:
        """The intermediate results of both passes; the gradients of the blocks are added to `gradients`."""
        blocks: list[_Block] = []
        for i, convolution in reversed(list(enumerate(self.convolutions))):
            w, bias, scale, shift = self.names(i)
            rows, u, norm = kept[i]
            du, sums = _through(u, norm, do)
            du = convolution.stored(du.to(rows.dtype))
            pixels = u.shape[1] * u.shape[2]
            gradients[bias] = torch.zeros_like(params[bias])
            gradients[shift], gradients[scale] = (v.sum((0, 1, 2)) * pixels for v in sums[:2])
            gradients[w] = convolution.filters_gradient(rows, du)
            prepared = convolution.result_gradient(du)
            blocks.insert(0, _Block(rows, u, norm, do, sums, prepared))
            if i:
                do = convolution.back([(prepared, convolution.filters_back(params[w]))])
        return blocks

    def _forward_along(
        self, params: Params, direction: Params, blocks: Sequence[_Block]
    ) -> tuple[Tensor, list[tuple[Tensor | None, Tensor, Tensor]]]:
        """The output of the last block along V; for every block the prepared rows along V, u̇, and p and mean u̇."""
        x_v: Tensor | None = None
        moved: list[tuple[Tensor | None, Tensor, Tensor]] = []
        for i, (convolution, block) in enumerate(zip(self.convolutions, blocks, strict=True)):
            w, _, scale, shift = self.names(i)
            m, r, factor, constant = block.norm
            pairs, rows_v = [], None if x_v is None else convolution.rows(x_v)
            if w in direction:
                pairs.append((block.rows, convolution.filters(direction[w])))
            if rows_v is not None:
                pairs.append((rows_v, convolution.filters(params[w])))
            u_v = convolution.apply(pairs) if pairs else torch.zeros_like(block.u)
            p, mean = r * _mean((block.u - m) * u_v), _mean(_wide(u_v))
            # ż = γ̇ h + γ ḣ + β̇ as a sum of multiples of u̇, u - m and 1; these are the factors of the last two
            on_u, on_1 = -factor * r * p, -factor * mean
            if scale in direction:
                on_u = on_u + r * direction[scale]
            if shift in direction:
                on_1 = on_1 + direction[shift]
            numbers = _written(on_u, on_1, p, mean)
            z_v = factor * u_v + (block.u - m) * numbers[0] + numbers[1]
            x_v = _pooled(torch.where(block.u * factor + constant > 0, z_v, 0.0)).to(block.u.dtype)
            moved.append((rows_v, u_v, numbers[2:]))
        assert x_v is not None
        return x_v, moved

    def _backward_along(
        self,
        params: Params,
        direction: Params,
        blocks: Sequence[_Block],
        moved: Sequence[tuple[Tensor | None, Tensor, Tensor]],
        do_v: Tensor,
        along: dict[str, Tensor] | None,
    ) -> Tensor:
        """The derivative along V of the gradient with respect to the rows, (n, height, width, channels).

        That of the gradients of the blocks is added to `along`, unless that is None.
        """
        for i, (convolution, block) in reversed(list(enumerate(zip(self.convolutions, blocks, strict=True)))):
            w, bias, scale, shift = self.names(i)
            m, r, factor, constant = block.norm
            s, t = block.sums[0], block.sums[1]
            rows_v, u_v, (p, mean) = moved[i]
            mask = block.u * factor + constant > 0
            dz, dz_v = (torch.where(mask, _wide(_spread(d, u_v)), 0.0) for d in (block.do, do_v))
            s_v = _mean(dz_v)
            # ṫ = mean (dż h + dz ḣ), with mean dz ḣ = r (mean dz u̇ - s mean u̇ - t p)
            t_v = r * (_mean(dz_v * (block.u - m)) + _mean(dz * u_v) - s * mean - t * p)
            factor_v = -r * r * p * params[scale]
            if scale in direction:
                factor_v = factor_v + r * direction[scale]
            # du̇ as a sum of multiples of dż, dz, u - m, 1 and u̇; `numbers` has the factors of the last four
            on_u = -factor_v * r * t - factor * (r * t_v - r * r * p * t)
            on_1 = -factor_v * s - factor * (s_v - r * mean * t)
            numbers = _written(factor_v, on_u, on_1, -factor * r * t)
            # computed again, as in `_through`
            mask = block.u * factor + constant > 0
            dz, dz_v = (torch.where(mask, _wide(_spread(d, u_v)), 0.0) for d in (block.do, do_v))
            du_v = factor * dz_v + numbers[0] * dz + (block.u - m) * numbers[1] + numbers[2] + numbers[3] * u_v
            du_v = convolution.stored(du_v.to(u_v.dtype))
            if along is not None:
                pixels = u_v.shape[1] * u_v.shape[2]
                along[bias] = torch.zeros_like(params[bias])
                along[shift], along[scale] = (v.sum((0, 1, 2)) * pixels for v in (s_v, t_v))
                along[w] = convolution.filters_gradient(block.rows, du_v)
                if rows_v is not None:
                    du = factor * dz - (block.u - m) * block.sums[2] - block.sums[3]
                    along[w] = along[w] + convolution.filters_gradient(rows_v, du.to(u_v.dtype))
            pairs = [(convolution.result_gradient(du_v), convolution.filters_back(params[w]))]
            if w in direction:
                pairs.append((block.result_gradient, convolution.filters_back(direction[w])))
            do_v = convolution.back(pairs)
        return do_v


def _through(u: Tensor, norm: Tensor, do: Tensor) -> tuple[Tensor, Tensor]:
    """The backward pass from the output of a block to u: du, and (s, t, r² γ t, r γ s)."""
    m, r, factor, constant = norm
    dz = torch.where(_wide(u) * factor + constant > 0, _wide(_spread(do, u)), 0.0)
    s, t = _mean(dz), r * _mean(dz * (_wide(u) - m))
    # du = r γ (dz - s - h t) as a sum of multiples of dz, u - m and 1; `sums` ends with the factors of the last two
    sums = _written(s, t, factor * r * t, factor * s)
    # computed again, since the compiler would write dz to memory if both loops shared it
    dz = torch.where(_wide(u) * factor + constant > 0, _wide(_spread(do, u)), 0.0)
    return factor * dz - (_wide(u) - m) * sums[2] - sums[3], sums


def _wide(u: Tensor) -> Tensor:
    """The tensor in float32, or in its own format if that is more precise."""
    return u.to(torch.promote_types(u.dtype, torch.float32))


def _written(*parts: Tensor) -> Tensor:
    """Numbers per row and channel, stacked so that the compiler must write them to memory.

    Otherwise it computes them again for every pixel, with divisions and roots in the innermost loop.
    """
    return written(torch.stack(parts))


def _mean(a: Tensor) -> Tensor:
    """The mean over the pixels of each row, (n, 1, 1, channels)."""
    return a.mean((1, 2), keepdim=True)


def _pooled(a: Tensor) -> Tensor:
    """Average pooling by 2 x 2 pixels; an odd last row or column is dropped."""
    height, width = a.shape[1] // 2, a.shape[2] // 2
    return a[:, : 2 * height, : 2 * width].unflatten(2, (width, 2)).unflatten(1, (height, 2)).mean((2, 4))


def _spread(do: Tensor, u: Tensor) -> Tensor:
    """The gradient with respect to the input of the pooling, in the shape of `u`."""
    n, height, width, channels = do.shape
    even = (do / 4)[:, :, None, :, None].expand(n, height, 2, width, 2, channels)
    even = even.reshape(n, 2 * height, 2 * width, channels)
    return F.pad(even, (0, 0, 0, u.shape[2] - 2 * width, 0, u.shape[1] - 2 * height))


def _flattened(features: Tensor) -> Tensor:
    """Features in the order of the classifier: channels first."""
    return features.permute(0, 3, 1, 2).flatten(1)


def _unflattened(flat: Tensor, like: Tensor) -> Tensor:
    """The inverse of `_flattened`, for features with the shape of `like`."""
    _, height, width, channels = like.shape
    return flat.unflatten(1, (channels, height, width)).permute(0, 2, 3, 1)
