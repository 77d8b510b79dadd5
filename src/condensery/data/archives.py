"""Reading NumPy archives, which may come from strangers."""

import os
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from condensery.errors import InputError, bounded

__all__ = ["archive"]


def archive(path: Path, *layouts: Sequence[str], also: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """The arrays of a NumPy archive, read without pickle and within the memory limit.

    Arguments:
        layouts: names of arrays; the first two of each are needed. The arrays of the first layout that the file has
            are read, and of the others none.
        also: names of arrays that are read too if they are there.

    Raises:
        InputError: the file does not exist, is not an archive of numbers and texts, or has the arrays of no layout.
    """
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such file; check the path")
    try:
        with zipfile.ZipFile(path) as opened:
            entries = {info.filename: info.file_size for info in opened.infolist()}
            sizes = {name[:-4]: size for name, size in entries.items() if name.endswith(".npy")}
            found = [names for names in layouts if all(name in sizes for name in names[:2])]
            if not found:
                missing = next(name for name in layouts[0] if name not in sizes)
                raise InputError(
                    f"{path}: no array named {missing} (the file holds {', '.join(sizes) or 'nothing'}); "
                    f"save it with np.savez(path, {', '.join(f'{name}=...' for name in layouts[0])})"
                )
            wanted = [name for name in (*found[0], *also) if name in sizes]
            bounded(sum(sizes[name] for name in wanted), f"{path}: its arrays")
            return {name: _array(opened, name) for name in wanted}
    except InputError:
        raise
    except Exception as error:  # the file is untrusted: zipfile, its decompressors and NumPy raise many kinds of errors
        raise InputError(
            f"{path}: not a readable .npz archive of numeric arrays ({type(error).__name__}); "
            "save it again with np.savez"
        ) from error


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    # zipfile unpacks no more than the sizes listed in the archive, which are checked by now. NumPy would warn about
    # headers written by Python 2.
    try:
        with archive.open(f"{name}.npy") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
    except ValueError as error:
        if "Object arrays" not in str(error):
            raise
        raise InputError(
            f"{archive.filename}: {name} holds Python objects, which are not read from files; save it as an array of "
            "numbers (for images), or of texts or numbers (for labels: labels.astype(str))"
        ) from error
