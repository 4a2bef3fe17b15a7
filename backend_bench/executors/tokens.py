"""The token that lets a client of another host in: read from a private file, or from the environment.

Says what is wrong with a token, never the token.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from backend_bench.errors import UsageError
from backend_bench.runtime import TOKEN

TOKEN_FILE = "BACKEND_BENCH_TOKEN_FILE"
"""Variable of a client that names a file with the token."""
SHORTEST = 16
"""Characters; a shorter one can be guessed."""


def read(path: Path) -> str:
    """The token in a file that only its owner can read. Raises `UsageError`."""
    try:
        mode, text = path.stat().st_mode, path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the token file {path} cannot be read: {error}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise UsageError(f"others can read the token file {path}: chmod 600 {path}")
    if len(text) < SHORTEST or not text.isascii() or not text.isprintable() or " " in text:
        raise UsageError(f"{path} holds no token: one word of {SHORTEST} ASCII characters or more")
    return text


def of_environment() -> str:
    """The token that this process was given. Raises `UsageError` where there is none."""
    if token := os.environ.get(TOKEN, "").strip():
        return token
    if path := os.environ.get(TOKEN_FILE):
        return read(Path(path).expanduser())
    raise UsageError(
        f"a service on another host wants a token: set {TOKEN}, or {TOKEN_FILE} to a file that holds it"
    )
