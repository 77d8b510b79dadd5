"""Files that are either the old ones or the new ones, never half of each; tensors in them without pickle."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from condensery.errors import InputError

__all__ = ["cache", "locked", "read_tensors", "without_cache", "write", "write_tensors"]

_KEY = "condensery"
_caching: ContextVar[bool] = ContextVar("caching", default=True)


@contextmanager
def without_cache() -> Iterator[None]:
    """Inside the block nothing is kept for later runs or found from earlier ones."""
    token = _caching.set(False)
    try:
        yield
    finally:
        _caching.reset(token)


def cache(name: str) -> Path | None:
    """The folder of what later runs may use again: under CONDENSERY_CACHE, or the system's place for such things.

    Nothing is kept where CONDENSERY_CACHE is empty.
    """
    if not _caching.get():
        return None
    own = os.environ.get("CONDENSERY_CACHE")
    if own is not None:
        return Path(own) / name if own else None
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "condensery" / name
    except RuntimeError:  # nobody's home
        return None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder against other processes; a kill lets go of it.

    Raises:
        InputError: another process holds it.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows: nothing is held
        yield
        return
    with open(folder / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"{folder}: another process is working in it; wait for it, or choose another --out"
            ) from error
        except OSError:  # a file system without locks: nothing is held
            pass
        yield


def write(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step; a kill or a full disk leaves what was there before.

    Raises:
        OSError: the content could not be written.
    """
    path = path.resolve()  # a link stays a link
    part = path.with_name(f".{path.name}.{os.getpid()}.part")  # others may write the same file
    try:
        with open(part, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def write_tensors(path: Path, tensors: Mapping[str, Tensor], head: Mapping[str, Any]) -> None:
    """A safetensors file of `tensors` with `head` as JSON in its metadata; equal arguments give equal bytes.

    Raises:
        OSError: the file could not be written.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write(path, save(plain, {_KEY: json.dumps(head, sort_keys=True)}))


def read_tensors(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The head and the tensors that `write_tensors` wrote. Nothing in the file is executed.

    Raises:
        InputError: cut short, not a safetensors file, or not one of ours.
    """
    try:
        with safe_open(path, "pt") as file:
            head = json.loads((file.metadata() or {}).get(_KEY, "null"))
            # cloned: memory of the library's own, aligned as any other, so that sums come out the same
            tensors = {name: file.get_tensor(name).clone() for name in list(file.keys())}
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: cut short or not a safetensors file ({error}); make or copy it again") from error
    if not isinstance(head, dict):
        raise InputError(f"{path}: a safetensors file, but not one that condensery wrote")
    return head, tensors
