"""What PyTorch's memory costs on Linux, how to keep freed pages, and how much a file may ask for."""

import ctypes
import os
import sys

from condensery.errors import InputError

__all__ = ["bounded", "tune_allocator"]

LIMIT = "CONDENSERY_LIMIT_GB"
LIMIT_GB = 4.0

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # names of glibc's mallopt


def tune_allocator() -> bool:
    """Have glibc keep freed memory instead of handing it back to the system page by page.

    Touching fresh pages is a large part of a CPU's time in small steps. The process stays as large as it has once
    been. Call it before anything else; the command line does where CONDENSERY_TUNE_ALLOCATOR is set. An allocator of
    the system's own choice (LD_PRELOAD of tcmalloc, say) does as well or better.

    Returns:
        whether the C library took it (Linux with glibc); elsewhere nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, 2**31 - 1) and mallopt(_TOP_PAD, 64 * 2**20))


def bounded(size: int, what: str) -> None:
    """Refuse what would take too much memory, before it is taken.

    The limit is 4 GB for what one file, folder or command asks for; CONDENSERY_LIMIT_GB sets another.

    Arguments:
        size: bytes.
        what: takes them, in words.

    Raises:
        InputError: more than the limit, or a limit that is no number.
    """
    told = os.environ.get(LIMIT)
    try:
        limit = float(told) if told else LIMIT_GB
    except ValueError:
        raise InputError(f"{LIMIT} is {told!r}; give a number of GB") from None
    if size > limit * 2**30:
        raise InputError(
            f"{what} would take {size / 2**30:,.1f} GB of memory, more than the limit of {limit:g} GB; "
            f"where that is meant, set {LIMIT}={max(1, -(-size // 2**30))}"
        )


def peak() -> int:
    """The most memory, in bytes, that this process has had at a time; since `forget_peak` where that works."""
    return _status("VmHWM")


def resident() -> int:
    """The memory, in bytes, that this process has now."""
    return _status("VmRSS")


def forget_peak() -> None:
    """Count the peak anew (Linux)."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def _status(name: str) -> int:
    with open(f"/proc/{os.getpid()}/status") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith(name))
