"""Cores that other processes need too: how OpenMP's threads wait for each other.

PyTorch's OpenMP lets a thread that waits for another one turn in a loop for some milliseconds, since sleeping and
waking cost more than that where kernels are tiny. Beside another busy process the thread that is waited for may not be
running at all, and the one that waits keeps the core that it needs: a step gets several times slower. OpenMP gives up
such loops by itself as soon as it has more threads than there are cores (GCC's manual, GOMP_SPINCOUNT), so while
others are busy one more team of threads is kept, asleep. How many threads compute never changes, and so no result.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["shared"]

SECONDS = 0.5  # between two looks
BUSY, FREE = 0.3, 0.15  # cores used by others, from which on they are made room for, and under which no more


@contextmanager
def shared() -> Iterator[None]:
    """Inside the block, OpenMP's threads sleep while they wait whenever other processes keep the cores busy.

    Nothing happens where OMP_WAIT_POLICY or GOMP_SPINCOUNT say how to wait, with one thread, or not on Linux.
    """
    told = os.environ.get("OMP_WAIT_POLICY") or os.environ.get("GOMP_SPINCOUNT")
    if told or not sys.platform.startswith("linux") or torch.get_num_threads() < 2 or not _one.acquire(blocking=False):
        yield
        return
    end = threading.Event()
    watcher = threading.Thread(target=_watch, args=(end,), name="condensery-cores", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        end.set()
        watcher.join()
        _one.release()


_one = threading.Lock()  # a block inside another has nothing to add


def _watch(end: threading.Event) -> None:
    crowd: threading.Event | None = None
    before = _seconds_of_others()
    while before and not end.wait(SECONDS):
        if (now := _seconds_of_others()) is None:
            break
        busy = (now[1] - before[1]) / (now[0] - before[0])
        before = now
        if crowd is None and busy > BUSY:
            crowd = threading.Event()
            threading.Thread(target=_crowd, args=(crowd,), name="condensery-crowd", daemon=True).start()
        elif crowd and busy < FREE:
            crowd.set()
            crowd = None
    if crowd:
        crowd.set()


def _crowd(end: threading.Event) -> None:
    """One more team of OpenMP threads, which goes with this thread."""
    torch.zeros(2**20).add_(1)  # large enough for all threads of a team
    end.wait()


def _seconds_of_others() -> tuple[float, float] | None:
    """The time, and the seconds that other processes have had so far of the cores that this one may use."""
    try:
        mine = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        with open("/proc/stat") as file:
            lines = [line.split() for line in file if line.startswith("cpu")]
        ticks = sum(int(n) for line in lines if line[0] in mine for n in (*line[1:4], *line[6:8]))
    except (OSError, ValueError):  # not to be read here
        return None
    return time.monotonic(), ticks / os.sysconf("SC_CLK_TCK") - time.process_time()
