"""Files that are replaced in one step, and tensors in them with a checksum and without pickle."""

import errno
import hashlib
import json
import logging
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from condensery.errors import InputError, bounded, quoted

__all__ = [
    "append", "cache", "checked", "code", "locked", "parts", "read", "read_head", "read_tensors", "tensor_file", "trim",
    "without_cache", "write", "write_tensors",
]  # fmt: skip

log = logging.getLogger("condensery")

_KEY = "condensery"
_caching: ContextVar[bool] = ContextVar("caching", default=True)

Head = TypeVar("Head")


def _hashed() -> str:
    digest, root = hashlib.blake2b(digest_size=16), Path(__file__).parent.parent
    for path in sorted(root.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


_CODE = _hashed()  # when the library is imported, because files may change while a program runs


def code() -> str:
    """A hash of the library's code, so that what is cached serves the same code only."""
    return _CODE


@contextmanager
def without_cache() -> Iterator[None]:
    """Inside the block, the cache is neither read nor written."""
    token = _caching.set(False)
    try:
        yield
    finally:
        _caching.reset(token)


def cache(name: str) -> Path | None:
    """The cache folder `name`, for results that later runs can use again; None: caching is off.

    It is in the folder CONDENSERY_CACHE, or else in the user's cache folder. An empty CONDENSERY_CACHE turns caching
    off.
    """
    if not _caching.get():
        return None
    own = os.environ.get("CONDENSERY_CACHE")
    if own is not None:
        return Path(own) / name if own else None
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "condensery" / name
    except RuntimeError:  # the user has no home folder
        return None


def trim(folder: Path, most: int) -> None:
    """Remove the files of a cache folder that were changed longest ago, until the others take at most `most` bytes."""
    found = []
    for file in folder.iterdir():
        with suppress(FileNotFoundError):  # another process trims the folder too
            found.append((file.stat(), file))
    left = 0
    for about, file in sorted(found, key=lambda each: each[0].st_mtime, reverse=True):
        left += about.st_size
        if left > most:
            file.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path, wait: bool = False) -> Iterator[None]:
    """Lock a folder against other processes inside the block; a kill releases the lock.

    Arguments:
        wait: whether to wait while another process holds the lock.

    Raises:
        InputError: another process holds the lock and `wait` is false, or `.lock` is not a regular file.
    """
    try:
        import fcntl
    except ImportError:  # on Windows, which lacks it, folders are not locked
        yield
        return
    lock = folder / ".lock"
    try:  # neither follow a link nor truncate: `.lock` may be a file of the user
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    except OSError as error:
        raise InputError(f"{lock}: cannot be used as a lock ({error.strerror}); remove it") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if not wait:
                raise InputError(
                    f"{folder} is in use by another process; wait for it, or choose another folder (`out`)"
                ) from error
            log.info(f"{folder} is in use by another process; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:  # the file system does not support locks
            pass
        yield
    finally:
        os.close(handle)


def write(path: Path, content: bytes) -> None:
    """Replace the content of `path` in one step; a kill or a full disk leaves the old file unchanged.

    Raises:
        OSError: the content could not be written; its `filename` is set.
    """
    path = path.resolve()  # replace the target of a link, not the link
    part = path.with_name(f".{path.name}.{os.getpid()}.part")  # other processes may write the same file
    try:
        with _naming(path), open(part, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:  # Ctrl-C too
        part.unlink(missing_ok=True)
        raise


def append(path: Path, line: str) -> None:
    """Append a line to a text file.

    Raises:
        OSError: the line could not be written; its `filename` is set.
    """
    with _naming(path), open(path, "a", encoding="utf-8") as file:
        file.write(line + "\n")


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Set `filename` of an OSError in the block, which is missing when the disk is full."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def parts(folder: Path, names: str) -> Iterator[Path]:
    """Partly written files that a kill during `write` left in a folder, if the pattern `names` matches their name."""
    for path in folder.glob(".*.part"):
        if re.fullmatch(rf"\.(?:{names})\.\d+\.part", path.name) and path.is_file():
            yield path


def tensor_file(tensors: Mapping[str, Tensor], head: Mapping[str, Any]) -> bytes:
    """A safetensors file of `tensors` with `head` as JSON in its metadata, and a checksum over both.

    Equal arguments give equal bytes.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(head, sort_keys=True)
    # a single metadata entry, because safetensors writes several in random order
    return save(plain, {_KEY: f'{{"checksum": "{_checksum(text.encode(), plain)}", "head": {text}}}'})


def write_tensors(path: Path, tensors: Mapping[str, Tensor], head: Mapping[str, Any]) -> None:
    """Write the `tensor_file` of `tensors` and `head`.

    Raises:
        OSError: the file could not be written.
    """
    write(path, tensor_file(tensors, head))


class _Sealed(msgspec.Struct):
    """Schema of the metadata: the text of the head, and the checksum over it and the tensors."""

    checksum: str
    head: msgspec.Raw


def read_tensors(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The head and the tensors of a file that `write_tensors` wrote. Nothing in the file is executed.

    Raises:
        InputError: the file cannot be read, is not a regular file, is truncated or damaged, is not a safetensors file,
            or was not written by this library.
    """
    with _reading(path) as file:
        sealed, head = _opened(path, file.metadata() or {})
        bounded(path.stat().st_size, f"{path}: its content")
        # cloned into memory that torch aligns, because the alignment can change the rounding of sums
        tensors = {name: file.get_tensor(name).clone() for name in list(file.keys())}
    if sealed.checksum != _checksum(bytes(sealed.head), tensors):
        raise InputError(f"{path}: damaged, its content does not match its checksum; create or copy it again")
    return head, tensors


def read(path: Path) -> bytes:
    """The content of a small file, perhaps a stranger's.

    Raises:
        InputError: it would take more memory than `errors.bounded` allows.
        OSError: it is no regular file, or cannot be read.
    """
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    bounded(about.st_size, f"{path}: its content")
    return path.read_bytes()


def read_head(path: Path) -> dict[str, Any]:
    """The head only, without verifying the checksum; enough to see which run wrote the file.

    Raises:
        InputError: as `read_tensors`, except for a wrong checksum.
    """
    with _reading(path) as file:
        return _opened(path, file.metadata() or {})[1]


def checked(head: Mapping[str, Any], kind: type[Head]) -> Head:
    """Convert the head of a file to the structure `kind`.

    Raises:
        ValueError: an entry is missing, has another type or is out of range.
    """
    return msgspec.convert(head, kind)


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    """Open a safetensors file; any error of reading in the block becomes an `InputError`."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{path}: not a regular file; give a file")
        with safe_open(path, "pt") as file:
            yield file
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    except Exception as error:
        raise InputError(f"{path}: truncated or not a safetensors file ({error}); create or copy it again") from error


def _opened(path: Path, metadata: Mapping[str, str]) -> tuple[_Sealed, dict[str, Any]]:
    if _KEY not in metadata:
        raise InputError(f"{path}: a safetensors file that condensery did not write; give another file")
    try:
        sealed = msgspec.json.decode(metadata[_KEY], type=_Sealed)
        return sealed, msgspec.json.decode(sealed.head, type=dict[str, Any])
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: its head is damaged ({quoted(error)}); create or copy it again") from error


def _checksum(head: bytes, tensors: Mapping[str, Tensor]) -> str:
    """The checksum of the text of the head and of the name, type, shape and bytes of every tensor."""
    digest = hashlib.blake2b(head, digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
