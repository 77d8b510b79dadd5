"""The memory that this process uses, and an allocator setting for Linux."""

import ctypes
import os
import sys

__all__ = ["forget_peak", "peak", "resident", "tune_allocator"]

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # parameters of mallopt in glibc


def tune_allocator() -> bool:
    """Make glibc keep freed memory instead of returning it to the system page by page.

    In small steps, getting new pages from the system takes a large part of the time. In exchange, the process never
    gives memory back. Call it before anything else; the command line does so if CONDENSERY_TUNE_ALLOCATOR is set.
    Another allocator, such as tcmalloc by LD_PRELOAD, does as well or better.

    Returns:
        Whether the setting was accepted (Linux with glibc); on other systems nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, 2**31 - 1) and mallopt(_TOP_PAD, 64 * 2**20))


def peak() -> int:
    """The largest amount of memory, in bytes, that this process has used at a time since `forget_peak`."""
    return _status("VmHWM")


def resident() -> int:
    """The memory, in bytes, that this process uses now."""
    return _status("VmRSS")


def forget_peak() -> None:
    """Reset the value of `peak` (Linux)."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def _status(name: str) -> int:
    """A field of /proc/self/status in bytes; there it is in KiB."""
    with open(f"/proc/{os.getpid()}/status") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith(name))
