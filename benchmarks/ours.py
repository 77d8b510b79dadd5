"""Our steps, beside those of `baseline.py`."""

from dataclasses import replace
from functools import partial

import torch
from baseline import CLASSES, Step

from condensery.augment import Augmentation, Colour, Crop, CutMix, Cutout, Flip, Rotate, Scale
from condensery.data import Batch, RealSet
from condensery.decoders import Uniform
from condensery.distances import squared_euclidean
from condensery.networks import ConvNet, initial
from condensery.objectives import GradientMatching, convolutions
from condensery.randomness import rng
from condensery.synthetic import SyntheticSet, noise, random_real
from condensery.training import SGD, TensorRows, fit


def cases(
    shape: tuple[int, int, int], ipc: int, classes: int = CLASSES, dtype: torch.dtype | None = None
) -> dict[str, Step]:
    """One call each: a match of all classes by DC, DSA and IDC, a network update, an evaluation epoch.

    Arguments:
        dtype: of the real rows' gradients, and of the networks' training.
    """
    torch.manual_seed(0)
    images, labels = torch.rand(classes * 256, *shape), torch.arange(classes).repeat_interleave(256)
    real = RealSet.measured(images, labels, classes)
    point = initial(ConvNet(shape, classes), rng(0, "weights"))
    pixels = SyntheticSet.from_rows(noise(real, ipc, 0), real.space)
    decoder = Uniform(2)
    formed = SyntheticSet.from_rows(random_real(real, ipc, 0, decoder), replace(real.space, stored="unit"), decoder)
    strategy = Augmentation(one_of=(Colour(), Crop(), Cutout(), Flip(), Scale(), Rotate()))
    sequence = Augmentation((Colour(), Crop(), Cutout()))
    update, how = Augmentation((Colour(), Crop())), SGD(0.01, 0.9, 5e-4, 64, dtype=dtype)

    learners = {s: torch.optim.SGD(s.parameters(), 0.1, 0.5) for s in (pixels, formed)}

    def match(synthetic: SyntheticSet, objective: GradientMatching, rows: int, augment: Augmentation) -> None:
        optimizer = learners[synthetic]
        optimizer.zero_grad()
        for c in range(classes):
            a = partial(augment, omega=augment.siamese([c], shape, partial(rng, 0, "augment")))
            target = objective.target(point, real.sample(rows, [c], partial(rng, 0, "real")).map(a))
            objective.loss(point, synthetic([c]).map(a), target).sum().backward()
        optimizer.step()

    cosine = GradientMatching(real_dtype=dtype)
    squares = GradientMatching(squared_euclidean, convolutions, real_dtype=dtype)
    some = real.sample(1280 // classes, range(classes), partial(rng, 0, "update"))
    few = formed()

    def trained(batch: Batch) -> None:
        rows = TensorRows(batch)
        fit(point, rows, how, how.steps(1, len(rows)), 0, (), update, CutMix(0.5))

    return {
        "dc": lambda: match(pixels, cosine, 256, Augmentation()),
        "dsa": lambda: match(pixels, cosine, 256, strategy),
        "idc": lambda: match(formed, squares, 64, sequence),
        "network update": lambda: trained(some),
        "evaluation epoch": lambda: trained(few),
    }
