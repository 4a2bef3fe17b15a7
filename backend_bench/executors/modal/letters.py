"""What travels between a client and a container in Modal: one request, one answer, both compressed JSON.

Knows no Modal. Bytes are all that its library gets to pickle, and they are read with a limit.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

import backend_bench
from backend_bench import runtime
from backend_bench.cases import SuiteIndex
from backend_bench.errors import ServiceError
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.verdict import Verdict

T = TypeVar("T")

SHORT = 8000
"""Bytes of a letter that a call which can be cancelled may carry. What is longer than 8 KiB would go through a
store on the network, which containers do not have."""
LONGEST = 64 << 20
"""Bytes of a letter once it is unpacked; the index of the largest suite has 3 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What is read of a request first: whether the rest can be understood."""

    build: str
    """Digest of the package that wrote it."""
    version: str = backend_bench.__version__
    short: bool = False
    """Whether the answer may have no more than `SHORT` bytes."""


Parts = dict[str, dict[str, Any]]
"""What is kept of a suite, by part, as plain JSON: its index, and what else each case needs, by operator."""
BESIDE = ("sites", "bounds")
"""Parts that a suite may keep beside its index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Stamp):
    """A submission, or a suite whose index is wanted; with neither, the machine's facts are."""

    submission: Submission | None = None
    parts: Parts = field(default_factory=dict)
    """Of the submission's suite what concerns its operator, so that not every container traces the suite."""
    suite: SuiteSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was asked for, or whose fault it is that there is none; and what it took."""

    verdict: Verdict | None = None
    index: SuiteIndex | None = None
    beside: Parts = field(default_factory=dict)
    """What the suite keeps beside its index."""
    machine: dict[str, Any] = field(default_factory=dict)
    """Facts about the container, as its judge service tells them."""
    fault: Literal["", "usage", "ours", "long"] = ""
    """Empty where it is answered; `long` where the answer was to be short and is not."""
    message: str = ""
    """What is wrong, with a fault."""
    container: str = ""
    """Modal's name of it."""
    number: int = 0
    """1 for a container's first answer, 2 for its second."""
    start_s: float = 0.0
    """What its judge needed to say what machine it is on, after the snapshot; with the first answer, in seconds."""
    held_s: float = 0.0
    """Wall time that this request held the container, in seconds."""


def of_operator(parts: Parts, op: str) -> Parts:
    """The parts, restricted to one operator; nothing where the index does not know it."""
    index = parts.get("index", {})
    if op not in index.get("entries", {}):
        return {}
    only = {name: {op: part[op]} for name, part in parts.items() if name != "index" and op in part}
    return {"index": {**index, "entries": {op: index["entries"][op]}}, **only}


def build() -> str:
    """Digest of this package's files: client and container must have the same."""
    return runtime.digest_of(Path(backend_bench.__file__).parent)


def pack(letter: Request | Answer) -> bytes:
    """The letter's bytes."""
    return zlib.compress(msgspec.json.encode(letter))


def unpack(data: bytes, kind: type[T]) -> T:
    """The letter. Raises `ServiceError` for what is none."""
    if not isinstance(data, bytes):
        raise ServiceError(f"a letter is bytes, not {type(data).__name__}")
    reader = zlib.decompressobj()
    try:
        text = reader.decompress(data, LONGEST)
        if reader.unconsumed_tail or not reader.eof:
            raise ServiceError(f"a letter of more than {LONGEST} bytes, or a part of one")
        return msgspec.json.decode(text, type=kind)
    except (zlib.error, msgspec.DecodeError) as error:
        raise ServiceError(f"not a letter of this version: {error}") from error
