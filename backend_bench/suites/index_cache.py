"""Indexes of suites on disk, so that a suite is traced once and a client without torch can list it.

Imports no torch. A cache is only speed: a file that is missing, damaged or from another build is no error.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import os
from pathlib import Path
from typing import TypeVar

import msgspec

import backend_bench
from backend_bench.cases import SuiteIndex
from backend_bench.files import keep
from backend_bench.submission import SuiteSpec
from backend_bench.suites.defaults import filled
from backend_bench.suites.sources import BUNDLED, content_hash, described, pinned

T = TypeVar("T")


def load_cached_index(spec: SuiteSpec) -> SuiteIndex | None:
    """The index of a suite if this build has made it on this machine before; never builds one."""
    spec = filled(spec)
    index = read(spec, "index", SuiteIndex)
    if index is None or spec.source is None or spec.name == "facto":
        return index
    # Made from the same content, perhaps under another name.
    return dataclasses.replace(index, spec=spec, source=described(spec.source, spec.dtype))


def encode_index(index: SuiteIndex) -> bytes:
    """The index as JSON, one line."""
    return msgspec.json.encode(index) + b"\n"


def decode_index(data: bytes) -> SuiteIndex:
    """The index from its JSON; `msgspec.DecodeError` where it is none."""
    return msgspec.json.decode(data, type=SuiteIndex)


def read(spec: SuiteSpec, part: str, type_: type[T]) -> T | None:
    """One part of what was stored for a suite; None where it is not there or cannot be read."""
    path = _path(spec, part)
    try:
        return None if path is None else msgspec.json.decode(path.read_bytes(), type=type_)
    except (OSError, msgspec.DecodeError):
        return None


def read_with(
    spec: SuiteSpec, part: str, type_: type[dict[str, list[T]]]
) -> tuple[SuiteIndex, dict[str, list[T]]] | None:
    """The index and a part with one item for each correctness case; None unless both are there and fit."""
    index, items = read(spec, "index", SuiteIndex), read(spec, part, type_)
    if index is None or items is None:
        return None
    fits = all(len(entry.correctness) == len(items.get(name, ())) for name, entry in index.entries.items())
    return (index, items) if fits else None


def write(spec: SuiteSpec, part: str, value: object) -> None:
    """Store one part of a suite; readers see the whole of it or nothing. A full or read-only disk is ignored."""
    path = _path(spec, part)
    if path is None:
        return
    keep(path, msgspec.json.encode(value))


def folder() -> Path:
    """Where indexes are kept: `$BACKEND_BENCH_CACHE`, else the XDG cache."""
    own = os.environ.get("BACKEND_BENCH_CACHE")
    if own:
        return Path(own)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "backend-bench"


def _path(spec: SuiteSpec, part: str) -> Path | None:
    torch = torch_version()
    if torch is None:
        return None
    build = hashlib.sha256(f"{backend_bench.__version__}\0{torch}\0{_sources()}".encode())
    source = content_hash(spec.source) if spec.source else None
    chosen = [
        f"cases{spec.cases_per_op}" if spec.cases_per_op else "",
        f"top{spec.topn}" if spec.topn else "",
        "overhead" if spec.overhead_dominated else "",
        "errors" if spec.error_inputs else "",
        f"traces{content_hash(pinned(BUNDLED))}" if spec.perf_cases == "traces" else "",
    ]
    name = "-".join(filter(None, (spec.name, spec.device, spec.dtype, source, *chosen)))
    return folder() / "suites" / build.hexdigest()[:16] / f"{name}.{part}.json"


def torch_version() -> str | None:
    """Version of the installed torch, read without importing it; None where there is none."""
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.cache
def _sources() -> str:
    """Hash of this room's code: another way of choosing cases must not find the old ones."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
