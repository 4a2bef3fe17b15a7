"""Where recorded cases come from: the package itself, a file on this machine, or the public data set on the hub.

Finds the bytes and names them by their content; does not read them. Imports no torch, for clients that list a
suite from the cache.
"""

from __future__ import annotations

import functools
import hashlib
import re
from importlib import resources
from pathlib import Path

from backend_bench.errors import MissingExtra, UsageError

BUNDLED, HUB = "bundled", "hub"
BUNDLED_FILE = "bundled.parquet"
"""Beside this file; made by `backend-bench trace bundled`."""
DATASET = "GPUMODE/backendbench_tests"
REVISION = "ca7b1361b162d1499cb22ea4ad589dae506ead5d"
"""Pinned: another revision is another test."""
DATASET_FILE = "backend_bench_problems.parquet"

_DIGITS = 16
"""Of the content's sha256: enough that no two data sets meet."""
_PINNED = re.compile(rf"(?s)(.+)#([0-9a-f]{{{_DIGITS}}})")
_OTHERS = (
    f"--source {BUNDLED} takes the cases that come with the package,"
    " --source PATH takes a parquet of BackendBench's columns or an operator trace (.txt, .txt.gz),"
    f" --source {HUB} the data set {DATASET}"
)


def pinned(source: str | None) -> str:
    """The source with its full path and the hash of its content, `/data/cases.parquet#4631bf4d80a2c3ee`.

    A source that was pinned before must still have that content, else `UsageError`.
    """
    source = source or BUNDLED
    match = _PINNED.fullmatch(source)
    name, expected = (match[1], match[2]) if match else (source, None)
    full = name if name in (BUNDLED, HUB) else str(Path(name).expanduser().absolute())
    found = hashlib.sha256(content(full)).hexdigest()[:_DIGITS]
    if expected not in (None, found):
        raise UsageError(
            f"{full} has changed: its content was {expected} when the suite was listed and is {found} now;"
            " list the suite again"
        )
    return f"{full}#{found}"


def content(source: str) -> bytes:
    """The bytes of a source, pinned or not."""
    match = _PINNED.fullmatch(source)
    name = match[1] if match else source
    if name == HUB:
        return _downloaded().read_bytes()
    if name == BUNDLED:
        return _bundled()
    try:
        return Path(name).read_bytes()
    except FileNotFoundError:
        raise UsageError(f"there is no file {name}; {_OTHERS}") from None
    except OSError as problem:
        raise UsageError(f"{name} cannot be read: {problem.strerror}; {_OTHERS}") from None


def content_hash(pinned_source: str) -> str:
    """The hash in a pinned source."""
    return pinned_source.rpartition("#")[2]


def described(pinned_source: str, dtype: str | None = None) -> str:
    """The source for an index: the file's name without its folder, its hash, and what was converted."""
    path, _, digest = pinned_source.rpartition("#")
    name = (
        f"{DATASET}@{REVISION[:12]}"
        if path == HUB
        else "bundled models"
        if path == BUNDLED
        else Path(path).name
    )
    converted = f", floating tensors converted to {dtype}" if dtype else ""
    return f"{name}, sha256 {digest}{converted}"


@functools.cache
def _bundled() -> bytes:
    return resources.files(__package__).joinpath(BUNDLED_FILE).read_bytes()


@functools.cache
def _downloaded() -> Path:
    """The data set in the hub's own cache, fetched on first use."""
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError:
        raise MissingExtra("judge", f"--source {HUB} needs huggingface_hub") from None
    try:
        path = hf_hub_download(DATASET, DATASET_FILE, repo_type="dataset", revision=REVISION)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as problem:
        reason = str(problem).strip().partition("\n")[0].rstrip(".") or type(problem).__name__
        raise UsageError(
            f"the data set {DATASET} cannot be fetched from the hub: {reason};"
            " --source PATH takes a copy of its parquet, or an operator trace (.txt, .txt.gz)"
        ) from problem
    return Path(path)
