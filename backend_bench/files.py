"""Files that others read while they are written. Knows nothing of what is in them."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file in one step: a reader sees the old content or the new one, never a part.

    Raises OSError, and leaves nothing behind then; the folder must be there.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        unfinished.write_bytes(data)
        os.replace(unfinished, path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def keep(path: Path, data: bytes) -> None:
    """Write a file of a cache whole, its folder too. A full or read-only disk is ignored: it costs speed and no more."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
