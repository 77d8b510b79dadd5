"""The same steps in the manner of the released programs, with which our speed is compared.

Plain PyTorch: rows channel by channel in memory (NCHW), class by class, whole batches at once, gradients of gradients
by autograd through every parameter, DC's losses of all classes summed before one backward pass, IDC's images updated
class by class, one `.item()` per class or minibatch. Written for this comparison; it imports nothing of condensery.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES, WIDTH = 10, 128

Step = Callable[[], object]


def network(channels: int, side: int, classes: int, width: int = WIDTH) -> nn.Sequential:
    """ConvNet-3 with instance norm, ReLU and average pooling; images of 28 pixels are padded to 32."""
    layers: list[nn.Module] = []
    for block in range(3):
        padding = 3 if block == 0 and side == 28 else 1
        layers += [nn.Conv2d(channels, width, 3, padding=padding), nn.GroupNorm(width, width), nn.ReLU()]
        layers += [nn.AvgPool2d(2)]
        channels = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(width * 16, classes))


def _nodes(gradient: Tensor) -> Tensor:
    return gradient.reshape(len(gradient), -1)


def cosine(a: list[Tensor], b: list[Tensor]) -> Tensor:
    """DC's distance: 1 - cosine, summed over layers and output nodes; vectors are left out."""
    total = torch.zeros(())
    for x, y in zip(a, b, strict=True):
        if x.ndim > 1:
            x, y = _nodes(x), _nodes(y)
            total = total + (1 - (x * y).sum(1) / (x.norm(dim=1) * y.norm(dim=1) + 1e-6)).sum()
    return total


def squares(a: list[Tensor], b: list[Tensor]) -> Tensor:
    """IDC's distance: squared differences of the convolutions' gradients."""
    return torch.stack([(x - y).square().sum() for x, y in zip(a, b, strict=True) if x.ndim == 4]).sum()


def color(x: Tensor, shared: bool) -> Tensor:
    """Brightness, saturation and contrast, one draw for all rows or one per row."""
    u = torch.rand(3, 1 if shared else len(x), 1, 1, 1)
    x = x + (u[0] - 0.5)
    gray = x.mean(1, keepdim=True)
    x = (x - gray) * (2 * u[1]) + gray
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * (u[2] + 0.5) + mean


def crop(x: Tensor, shared: bool) -> Tensor:
    """A shift of up to an eighth of the side, by padding and indexing."""
    n, _, height, width = x.shape
    most = height // 8
    moves = torch.randint(0, 2 * most + 1, (2, 1 if shared else n)).expand(2, n)
    rows = (torch.arange(height) + moves[0, :, None])[:, :, None]
    columns = (torch.arange(width) + moves[1, :, None])[:, None, :]
    padded = F.pad(x, (most, most, most, most)).permute(0, 2, 3, 1)
    return padded[torch.arange(n)[:, None, None], rows, columns].permute(0, 3, 1, 2)


def cutout(x: Tensor, shared: bool) -> Tensor:
    """A square of half the side is set to 0."""
    n, _, height, width = x.shape
    at = torch.randint(0, height, (2, 1 if shared else n, 1)).expand(2, n, 1)
    down = (torch.arange(height) - at[0]).abs() < height // 4
    across = (torch.arange(width) - at[1]).abs() < width // 4
    mask = 1 - (down[:, :, None] & across[:, None, :]).float()
    return x * mask[:, None]


def flip(x: Tensor, shared: bool) -> Tensor:
    return torch.where(torch.rand(1 if shared else len(x), 1, 1, 1) < 0.5, x.flip(3), x)


def turn_or_scale(x: Tensor, shared: bool) -> Tensor:
    """An affine map by `grid_sample`."""
    n, m = len(x), 1 if shared else len(x)
    angle, zeros = (torch.rand(m) - 0.5) * 0.5, torch.zeros(m)
    maps = [angle.cos(), -angle.sin(), zeros, angle.sin(), angle.cos(), zeros]
    grid = F.affine_grid(torch.stack(maps, 1).reshape(m, 2, 3).expand(n, 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


def cells(images: Tensor, factor: int) -> Tensor:
    """Multi-formation: the cells of every image, enlarged bilinearly."""
    side = images.shape[-1] // factor
    parts = [images[..., i * side : (i + 1) * side, j * side : (j + 1) * side]
             for i in range(factor) for j in range(factor)]  # fmt: skip
    return F.interpolate(torch.cat(parts), size=images.shape[-2:], mode="bilinear")


def cases(shape: tuple[int, int, int], ipc: int, classes: int = CLASSES, width: int = WIDTH) -> dict[str, Step]:
    """One function per step: matches by DC, DSA, IDC, DM and KFS, a network update, an evaluation epoch."""
    torch.manual_seed(0)
    net = network(shape[0], shape[1], classes, width)
    params = list(net.parameters())
    real = torch.randn(classes, 256, *shape)
    images = torch.randn(classes * ipc, *shape, requires_grad=True)
    image_optimizer = torch.optim.SGD([images], 0.1, 0.5)
    kinds = [color, crop, cutout, flip, turn_or_scale, turn_or_scale]

    def gradient(x: Tensor, c: int, graph: bool = False) -> list[Tensor]:
        loss = F.cross_entropy(net(x), torch.full((len(x),), c))
        found = torch.autograd.grad(loss, params, create_graph=graph)
        return list(found) if graph else [g.detach().clone() for g in found]

    def dc(siamese: bool = False) -> None:
        loss, total = torch.zeros(()), 0.0
        for c in range(classes):
            x, s = real[c], images[c * ipc : (c + 1) * ipc]
            if siamese:
                kind, seed = kinds[c % len(kinds)], int(torch.randint(2**31, ()))
                torch.manual_seed(seed)
                x = kind(x, True)
                torch.manual_seed(seed)
                s = kind(s, True)
            loss = loss + cosine(gradient(s, c, graph=True), gradient(x, c))
        image_optimizer.zero_grad()
        loss.backward()
        image_optimizer.step()
        total += loss.item()

    def idc() -> None:
        total = 0.0
        for c in range(classes):
            x = real[c, torch.randperm(256)[:64]]
            s = cells(images[c * ipc : (c + 1) * ipc], 2)
            both = cutout(crop(color(torch.cat([x, s]), True), True), True)
            loss = squares(gradient(both[64:], c, graph=True), gradient(both[:64], c))
            image_optimizer.zero_grad()
            loss.backward()
            image_optimizer.step()
            total += loss.item()

    embed = net[:-1]

    def learning(weights: bool) -> None:
        for parameter in params:
            parameter.requires_grad_(weights)

    def dm() -> None:
        learning(False)
        loss = torch.zeros(())
        for c in range(classes):
            x, s, kind = real[c], images[c * ipc : (c + 1) * ipc], kinds[c % len(kinds)]
            seed = int(torch.randint(2**31, ()))
            torch.manual_seed(seed)
            x = kind(x, True)
            torch.manual_seed(seed)
            s = kind(s, True)
            loss = loss + (embed(x).detach().mean(0) - embed(s).mean(0)).square().sum()
        image_optimizer.zero_grad()
        loss.backward()
        image_optimizer.step()
        loss.item()
        learning(True)

    widths = (12, 9, 6) if shape[0] == 3 else (6, 5, 4)
    decoders = [
        nn.Sequential(*(nn.ConvTranspose2d(i, o, 2, 2) for i, o in pairwise((*widths, shape[0]))), nn.Sigmoid())
        for _ in range(8)
    ]
    codes = torch.randn(classes, 16, widths[0], 4, 4, requires_grad=True)
    code_optimizer = torch.optim.Adam([codes, *(p for decoder in decoders for p in decoder.parameters())], 0.01)
    means, cut = torch.rand(classes, width * 16), (32 - shape[1]) // 2

    def kfs() -> None:
        learning(False)
        code_optimizer.zero_grad()
        total = 0.0
        for c in range(classes):
            rows = torch.cat([decoder(codes[c]) for decoder in decoders])
            rows = (rows[..., cut : 32 - cut, cut : 32 - cut] - 0.5) / 0.25
            loss = (means[c] - embed(rows).mean(0)).square().sum()
            loss.backward()
            total += loss.item()
        code_optimizer.step()
        learning(True)

    def trained(rows: Tensor, labels: Tensor, augmented: bool = True, mix: float = 0.5, size: int = 64) -> None:
        net.train()
        optimizer = torch.optim.SGD(params, 0.01, 0.9, weight_decay=5e-4)
        for index in torch.randperm(len(rows)).split(size):
            x, y = rows[index], labels[index]
            if augmented:
                x = crop(color(x, False), False)
            other, share = y, 1.0
            if augmented and mix and torch.rand(()) < mix:
                order = torch.randperm(len(x))
                half = shape[1] // 2
                x = x.clone()
                x[:, :, :half, :half] = x[order, :, :half, :half]
                other, share = y[order], 0.75
            logits = net(x)
            loss = share * F.cross_entropy(logits, y) + (1 - share) * F.cross_entropy(logits, other)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()

    def labeled(rows: Tensor) -> tuple[Tensor, Tensor]:
        return rows, torch.arange(classes).repeat_interleave(len(rows) // classes)

    update = labeled(real[:, : 1280 // classes].flatten(0, 1))
    with torch.no_grad():
        formed = cells(images, 2).reshape(4, classes, ipc, *shape).transpose(0, 1).flatten(0, 2).clone()
    return {
        "dc": dc,
        "dsa": lambda: dc(siamese=True),
        "idc": idc,
        "dm": dm,
        "kfs": kfs,
        "network update": lambda: trained(*update),
        "evaluation epoch": lambda: trained(*labeled(formed)),
    }
