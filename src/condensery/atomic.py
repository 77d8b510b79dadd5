"""Files that are either the old ones or the new ones, never half of each."""

import os
from pathlib import Path

__all__ = ["write"]


def write(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step; a kill or a full disk leaves what was there before.

    Raises:
        OSError: the content could not be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with open(part, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
