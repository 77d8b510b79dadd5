"""Files that are either the old ones or the new ones, never half of each; tensors in them, sealed, without pickle."""

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from condensery.errors import InputError
from condensery.errors import bounded

__all__ = [
    "append", "cache", "checked", "locked", "parts", "read_head", "read_tensors", "tensor_file", "without_cache",
    "write", "write_tensors",
]  # fmt: skip

_KEY = "condensery"
_caching: ContextVar[bool] = ContextVar("caching", default=True)

Head = TypeVar("Head")


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
        InputError: another process holds it, or its `.lock` is not a plain file.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows: nothing is held
        yield
        return
    lock = folder / ".lock"
    try:  # neither followed, where it is a link, nor emptied: it may be somebody's file
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    except OSError as error:
        raise InputError(f"{lock}: cannot be used as a lock ({error.strerror}); remove it") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"{folder}: another process is working in it; wait for it, or choose another folder (`out`)"
            ) from error
        except OSError:  # a file system without locks: nothing is held
            pass
        yield
    finally:
        os.close(handle)


def write(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step; a kill or a full disk leaves what was there before.

    Raises:
        OSError: the content could not be written; its `filename` says where.
    """
    path = path.resolve()  # a link stays a link
    part = path.with_name(f".{path.name}.{os.getpid()}.part")  # others may write the same file
    try:
        with _naming(path), open(part, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def append(path: Path, line: str) -> None:
    """Add a line to a file of lines.

    Raises:
        OSError: it could not be written; its `filename` says where.
    """
    with _naming(path), open(path, "a", encoding="utf-8") as file:
        file.write(line + "\n")


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """A full disk does not say which file it stopped; this does."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def parts(folder: Path, names: str) -> Iterator[Path]:
    """What kills in the middle of `write` left in a folder, of files whose name the pattern `names` matches."""
    for path in folder.glob(".*.part"):
        if re.fullmatch(rf"\.(?:{names})\.\d+\.part", path.name) and path.is_file():
            yield path


def tensor_file(tensors: Mapping[str, Tensor], head: Mapping[str, Any]) -> bytes:
    """A safetensors file of `tensors` with `head` as JSON in its metadata, and a checksum over both.

    Equal arguments give equal bytes.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(head, sort_keys=True)
    # one entry of metadata: the library writes several in random order
    return save(plain, {_KEY: f'{{"checksum": "{_checksum(text.encode(), plain)}", "head": {text}}}'})


def write_tensors(path: Path, tensors: Mapping[str, Tensor], head: Mapping[str, Any]) -> None:
    """Write the `tensor_file` of `tensors` and `head`.

    Raises:
        OSError: the file could not be written.
    """
    write(path, tensor_file(tensors, head))


class _Sealed(msgspec.Struct):
    """What is in the metadata: the head's text, and the checksum over it and the tensors."""

    checksum: str
    head: msgspec.Raw


def read_tensors(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The head and the tensors that `write_tensors` wrote. Nothing in the file is executed.

    Raises:
        InputError: not a plain file, cut short, not a safetensors file, not one of ours, or changed since.
    """
    with _reading(path) as file:
        sealed, head = _opened(path, file.metadata() or {})
        bounded(path.stat().st_size, f"{path}: what is in it")
        # cloned: memory of the library's own, aligned as any other, so that sums come out the same
        tensors = {name: file.get_tensor(name).clone() for name in list(file.keys())}
    if sealed.checksum != _checksum(bytes(sealed.head), tensors):
        raise InputError(f"{path}: damaged, its checksum does not fit what is in it; make or copy it again")
    return head, tensors


def read_head(path: Path) -> dict[str, Any]:
    """The head alone, unchecked: enough to know whose file it is.

    Raises:
        InputError: as `read_tensors`.
    """
    with _reading(path) as file:
        return _opened(path, file.metadata() or {})[1]


def checked(head: Mapping[str, Any], kind: type[Head]) -> Head:
    """A file's head as the structure `kind`: its entries, their types and ranges.

    Raises:
        ValueError: an entry is missing, of another type or out of range.
    """
    return msgspec.convert(head, kind)


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    """An open safetensors file; whatever reading a stranger's file fails with becomes one line."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{path}: not a plain file; give a file")
        with safe_open(path, "pt") as file:
            yield file
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path}: cut short or not a safetensors file ({error}); make or copy it again") from error


def _opened(path: Path, metadata: Mapping[str, str]) -> tuple[_Sealed, dict[str, Any]]:
    if _KEY not in metadata:
        raise InputError(f"{path}: a safetensors file, but not one that condensery wrote")
    try:
        sealed = msgspec.json.decode(metadata[_KEY], type=_Sealed)
        return sealed, msgspec.json.decode(sealed.head, type=dict[str, Any])
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: its head is damaged ({error}); make or copy it again") from error


def _checksum(head: bytes, tensors: Mapping[str, Tensor]) -> str:
    """Of the head's text and of every tensor's name, type, shape and bytes."""
    digest = hashlib.blake2b(head, digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
