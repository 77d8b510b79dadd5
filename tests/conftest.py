import itertools
from dataclasses import replace
from functools import partial

import pytest
import torch

from condensery.data import RealSet
from condensery.data.pixels import PixelSpace
from condensery.evaluation import protocols

torch.set_num_threads(1)  # the networks here are too small to share


def blobs(shape=(1, 8, 8), sizes=(9, 5, 7), seed=0) -> RealSet:
    """A toy real set in float64: every class is a random picture plus noise; classes are unbalanced."""
    generator = torch.Generator().manual_seed(seed)
    images, labels = [], []
    for c, size in enumerate(sizes):
        center = torch.rand(1, *shape, generator=generator)
        images.append((center + 0.2 * torch.rand(size, *shape, generator=generator)).clamp(0, 1))
        labels += [c] * size
    mean, std = (0.4, 0.5, 0.6)[: shape[0]], (0.3, 0.2, 0.25)[: shape[0]]
    return RealSet(torch.cat(images), torch.tensor(labels), len(sizes), PixelSpace(mean, std), torch.float64)


@pytest.fixture
def real() -> RealSet:
    return blobs()


@pytest.fixture(autouse=True)
def isolated(tmp_path, monkeypatch):
    """A test is the same alone, in any order and beside others.

    Torch's generator starts in the same state, and nothing is kept from one test to the next, nor from one evaluation
    of a set to the next: each has other code. Plans take the fewest steps, however short these are.
    """
    torch.manual_seed(0)
    monkeypatch.setattr("condensery.runs.planning.SECONDS", 0.0)
    monkeypatch.setenv("CONDENSERY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("condensery.evaluation.evaluate.code", partial(next, itertools.count()))


@pytest.fixture
def brief(monkeypatch):
    """The protocols fixed-steps and dsa2021 take few steps, where they are asked for by name."""

    def shortened(whole):
        return lambda *given: replace(whole(*given), steps=30)

    for name in ("fixed-steps", "dsa2021"):
        monkeypatch.setitem(protocols.PROTOCOLS, name, shortened(protocols.PROTOCOLS[name]))


@pytest.fixture
def stopped_at_the_second(monkeypatch):
    """`compare` is stopped, as by Ctrl-C, when it measures the second set."""
    from condensery.evaluation import compare as module

    evaluate, calls = module.evaluate, []

    def stopped(*args, **more):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return evaluate(*args, **more)

    monkeypatch.setattr(module, "evaluate", stopped)


def pytest_collection_modifyitems(items):
    """The tests that take longest begin first, so that no process is left with one of them at the end."""
    long = ("test_tutorials", "test_programs", "test_architectures", "test_docs")
    items.sort(key=lambda item: item.module.__name__ not in long)
