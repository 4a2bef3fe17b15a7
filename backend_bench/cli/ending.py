"""How a command ends: JSON where it was asked for; one sentence and exit code 2 where the request makes no sense."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import typer

from backend_bench.errors import BackendBenchError, UsageError

INTERRUPTED = "interrupted; what was finished is kept"
"""Why a command ends after Ctrl-C that has told and written what there was."""


@contextlib.contextmanager
def usage() -> Iterator[None]:
    """A request that makes no sense ends with one sentence and exit code 2."""
    try:
        yield
    except BackendBenchError as error:
        fail(str(error))


def fail(why: str) -> NoReturn:
    """Say why on standard error, and end with exit code 2."""
    print(f"backend-bench: {why}", file=sys.stderr)
    raise typer.Exit(2)


def check_writable(file: str | Path | None) -> None:
    """Raise `UsageError` before an hour of work and not after it."""
    if file is None or str(file) == "-":
        return
    path = Path(file)
    if not str(file) or path.is_dir():
        raise UsageError(f"cannot write {str(file) or 'a file without a name'}: name a file, not a folder")
    if not path.parent.is_dir():
        raise UsageError(f"cannot write {file}: there is no folder {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"cannot write {file}: permission denied")


def write_json(target: str, document: Any) -> None:
    """Write a document, `-` being standard output. Raises `UsageError` where it cannot be written."""
    from backend_bench.records import plain

    text = json.dumps(plain(document), allow_nan=False, indent=1)
    if target == "-":
        print(text)
        return
    try:
        Path(target).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error}") from error
