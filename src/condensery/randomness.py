"""Random draws as a function of seed and purpose, without a random state.

Every random draw of the library comes from `rng(seed, purpose, step, ...)`. No state is carried from one draw to the
next, so a run that is killed and resumed makes the same draws as an uninterrupted run, and a class draws the same rows
regardless of the order and grouping in which classes are processed.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

__all__ = ["PerClass", "global_rng", "repeated", "rng"]

PerClass = Callable[[int], torch.Generator]
"""A function from a class to its own generator, for example `partial(rng, seed, "real", outer, inner)`."""


def rng(seed: int, *key: str | int) -> torch.Generator:
    """A CPU generator seeded by a hash of `seed` and `key` (purpose, outer, inner, class, ...)."""
    digest = hashlib.blake2b(repr((seed, *key)).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def repeated(size: int, count: int, generator: torch.Generator) -> torch.Tensor:
    """The first `count` numbers (count,) of random permutations of 0 to `size` - 1, one permutation after another."""
    rounds = [torch.randperm(size, generator=generator) for _ in range(-(-count // size))]
    return torch.cat(rounds)[:count]


@contextmanager
def global_rng(generator: torch.Generator, device: torch.device | None = None) -> Iterator[None]:
    """A context in which torch's global generators have the seed of `generator`, for layers that draw from them.

    Their states are restored at the end.

    Arguments:
        generator: gives the seed.
        device: a GPU whose generator is seeded, too.
    """
    gpus = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        torch.default_generator.manual_seed(generator.initial_seed())
        for gpu in gpus:
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(generator.initial_seed())
        yield
