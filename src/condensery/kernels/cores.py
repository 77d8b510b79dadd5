"""How OpenMP's threads wait for each other on cores that other processes need too.

In PyTorch's OpenMP, a thread that waits for another one runs in a loop for some milliseconds, since going to sleep and
waking up take longer than a small kernel. If another process is busy, the thread that is waited for may not be running
at all while the waiting thread occupies its core, and a step becomes several times slower. OpenMP stops such loops by
itself as soon as it has more threads than there are cores (GCC's manual, GOMP_SPINCOUNT). While others are busy, an
additional team of sleeping threads is therefore kept. The number of threads that compute, and with it every result,
stays the same.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["shared"]

SECONDS = 0.5  # between two measurements of how busy other processes are
BUSY, FREE = 0.3, 0.15  # cores used by others, above which the team is started and below which it is ended


@contextmanager
def shared() -> Iterator[None]:
    """Inside the block, waiting OpenMP threads sleep whenever other processes keep the cores busy.

    Nothing happens if OMP_WAIT_POLICY or GOMP_SPINCOUNT is set, if there is one thread only, or if this is not Linux.
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


_one = threading.Lock()  # an inner block has nothing to add to an outer one


def _watch(end: threading.Event) -> None:
    """Keep an additional team of threads while other processes are busy, until `end` is set."""
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
    """Keep an additional team of OpenMP threads for as long as this thread lives."""
    torch.zeros(2**20).add_(1)  # large enough for all threads of a team
    end.wait()


def _seconds_of_others() -> tuple[float, float] | None:
    """The time, and the CPU seconds that other processes have used so far on the cores of this process.

    None: the system does not report them.
    """
    try:
        mine = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        with open("/proc/stat") as file:
            lines = [line.split() for line in file if line.startswith("cpu")]
        ticks = sum(int(n) for line in lines if line[0] in mine for n in (*line[1:4], *line[6:8]))
    except (OSError, ValueError):
        return None
    return time.monotonic(), ticks / os.sysconf("SC_CLK_TCK") - time.process_time()
