"""Our steps, for comparison with those of `baseline.py`."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from baseline import CLASSES, WIDTH, Step
from torch import Tensor

from condensery.augment import Augmentation, Color, Crop, CutMix, Cutout, Flip, Rotate, Scale
from condensery.data import Batch, RealSet
from condensery.decoders import Factorized, Uniform
from condensery.evaluation.training import TensorRows, Training, fit
from condensery.networks.convnet import ConvNet
from condensery.networks.net import build
from condensery.networks.network import initial
from condensery.objectives import DistributionMatching, GradientMatching, Objective, convolutions
from condensery.objectives.distances import squared_euclidean
from condensery.randomness import rng
from condensery.synthetic import SyntheticSet, noise, random_real


def cases(
    shape: tuple[int, int, int],
    ipc: int,
    classes: int = CLASSES,
    width: int = WIDTH,
    dtype: torch.dtype | None = None,
) -> dict[str, Step]:
    """One function per step: matches by DC, DSA, IDC, DM and KFS, a network update, an evaluation epoch.

    KFS is 8 decoders x 16 codes per class, with the means of real rows given.

    Arguments:
        shape: channels, height and width of a row.
        ipc: stored images per class.
        classes: number of classes.
        width: channels of the ConvNet.
        dtype: number format of the gradients of real rows, of all embeddings, and of the training of networks.
    """
    torch.manual_seed(0)
    images, labels = torch.rand(classes * 256, *shape), torch.arange(classes).repeat_interleave(256)
    real = RealSet.measured(images, labels, classes)
    point = initial(build(ConvNet(width=width), shape, classes), rng(0, "weights"))
    pixels = SyntheticSet.from_rows(noise(real, ipc, 0), real.space)
    decoder = Uniform(2)
    formed = SyntheticSet.from_rows(random_real(real, ipc, 0, decoder), replace(real.space, stored="unit"), decoder)
    strategy = Augmentation(one_of=(Color(), Crop(), Cutout(), Flip(), Scale(), Rotate()))
    sequence = Augmentation((Color(), Crop(), Cutout()))
    update, how = Augmentation((Color(), Crop())), Training(0.01, 0.9, 5e-4, 64, dtype=dtype)

    decoders = Factorized(shape, (12, 9, 6) if shape[0] == 3 else (6, 5, 4), 8)
    factorized = SyntheticSet(torch.randn(classes, 16, *decoders.code_shape), formed.space, decoders)
    learners: dict[SyntheticSet, torch.optim.Optimizer] = {
        pixels: torch.optim.SGD(pixels.parameters(), 0.1, 0.5),
        formed: torch.optim.SGD(formed.parameters(), 0.1, 0.5),
        factorized: torch.optim.Adam(factorized.parameters(), 0.01),
    }

    def match(synthetic: SyntheticSet, objective: Objective, rows: int, augment: Augmentation) -> None:
        optimizer = learners[synthetic]
        optimizer.zero_grad()
        for c in range(classes):
            a = partial(augment, omega=augment.siamese([c], shape, partial(rng, 0, "augment")))
            target: Sequence[Tensor] = means[c]
            if rows:
                target = objective.target(point, real.sample(rows, [c], partial(rng, 0, "real")).map(a))
            objective.loss(point, synthetic([c]).map(a), target).sum().backward()
        optimizer.step()

    cosine = GradientMatching(real_dtype=dtype)
    squares = GradientMatching(squared_euclidean, convolutions, real_dtype=dtype)
    embeddings = DistributionMatching(real_dtype=dtype, synthetic_dtype=dtype)
    means = [[torch.rand(1, point.embeddings(images[:1]).shape[1])] for _ in range(classes)]
    some = real.sample(1280 // classes, range(classes), partial(rng, 0, "update"))
    few = formed()

    def trained(batch: Batch) -> None:
        rows = TensorRows(batch)
        fit(point, rows, how, how.steps(1, len(rows)), 0, (), update, CutMix(0.5))

    return {
        "dc": lambda: match(pixels, cosine, 256, Augmentation()),
        "dsa": lambda: match(pixels, cosine, 256, strategy),
        "idc": lambda: match(formed, squares, 64, sequence),
        "dm": lambda: match(pixels, embeddings, 256, strategy),
        "kfs": lambda: match(factorized, embeddings, 0, Augmentation()),
        "network update": lambda: trained(some),
        "evaluation epoch": lambda: trained(few),
    }
