"""Randomness is a function, not a state.

Every random draw of the library comes from `rng(seed, purpose, step, ...)`. Nothing is carried from one draw to
the next, so a run that is killed and resumed draws what the uninterrupted run would have drawn, and a class draws
the same rows in whatever order or grouping the classes are visited.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

__all__ = ["PerClass", "global_rng", "rng"]

PerClass = Callable[[int], torch.Generator]
"""One independent generator a class, e.g. `partial(rng, seed, "real", outer, inner)`."""


def rng(seed: int, *key: str | int) -> torch.Generator:
    """A CPU generator seeded by a hash of `seed` and `key` (purpose, outer, inner, class, ...)."""
    digest = hashlib.blake2b(repr((seed, *key)).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


@contextmanager
def global_rng(generator: torch.Generator) -> Iterator[None]:
    """Lend `generator`'s seed to code that draws from torch's global generator (module initialization).

    The global generator is put back afterwards.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(generator.initial_seed())
        yield
