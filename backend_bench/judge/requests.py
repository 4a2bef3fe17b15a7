"""What the queue asks of a judge's process, and what that answers: a line of JSON each.

Both ends are ours and of one build. Nothing here has to do with workers, whose frames are in `wire`.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from backend_bench.errors import (
    Abandoned,
    BackendBenchError,
    DeviceUnavailable,
    JudgeError,
    SandboxUnavailable,
    UsageError,
    WorkerLost,
)
from backend_bench.submission import Device, Sandbox, Submission, SuiteSpec

T = TypeVar("T")

LONGEST_LINE = 256 << 20
"""Bytes; an index of all operators has some megabytes."""


class Judge(msgspec.Struct, frozen=True, tag=True):
    """Judge a submission on a device, such as `cuda:1`; answered by a verdict."""

    device: str
    submission: Submission


class ReadIndex(msgspec.Struct, frozen=True, tag=True):
    """Read a suite's index there; answered by it."""

    device: str
    spec: SuiteSpec


class ListSeats(msgspec.Struct, frozen=True, tag=True):
    """Which devices of a kind are there; answered by a list of seats."""

    kind: Device


class TellFacts(msgspec.Struct, frozen=True, tag=True):
    """Facts about this host and the walls that hold; answered by plain JSON."""

    sandbox: Sandbox


class TellLanguages(msgspec.Struct, frozen=True, tag=True):
    """Which languages prove themselves on each kind of device; answered by plain JSON."""

    sandbox: Sandbox


class WarmUp(msgspec.Struct, frozen=True, tag=True):
    """Wait for the zygote that nearly every submission needs; answered by its way of running."""


class Seat(msgspec.Struct, frozen=True):
    """A device, and how many processes of judges it has room for."""

    device: str
    judges: int


Request = Judge | ReadIndex | ListSeats | TellFacts | TellLanguages | WarmUp


def in_words(what: Request) -> str:
    """For a log: what is asked, and of which operator."""
    op = f" {what.submission.op} in {what.submission.suite.name}" if isinstance(what, Judge) else ""
    return f"{type(what).__name__}{op}"


class Question(msgspec.Struct, frozen=True, tag=True):
    """Something that is answered under the same number."""

    number: int
    what: Request


class Abandon(msgspec.Struct, frozen=True, tag=True):
    """Nobody waits for that answer any more; it comes all the same, and soon."""

    number: int


class Answer(msgspec.Struct, frozen=True, tag=True):
    """What was asked for."""

    number: int
    body: msgspec.Raw


class Refusal(msgspec.Struct, frozen=True, tag=True):
    """Why there is none."""

    number: int
    error: str
    """One of `_KINDS`."""
    message: str

    @classmethod
    def of(cls, number: int, error: BackendBenchError) -> Refusal:
        name = next(name for name, kind in _KINDS.items() if isinstance(error, kind))
        return cls(number, name, str(error))

    def as_error(self) -> BackendBenchError:
        """The exception again."""
        return _KINDS[self.error](self.message)


_KINDS: dict[str, type[BackendBenchError]] = {
    kind.__name__: kind
    for kind in (UsageError, Abandoned, DeviceUnavailable, WorkerLost, SandboxUnavailable, JudgeError,
                 BackendBenchError)
}  # fmt: skip
"""Errors that keep their meaning; a subclass stands before its parent."""


def line_of(message: Question | Abandon | Answer | Refusal) -> bytes:
    """A message as a line."""
    return msgspec.json.encode(message) + b"\n"


def asked(line: bytes) -> Question | Abandon:
    """The queue's side of a line."""
    message: Question | Abandon = msgspec.json.decode(line, type=Question | Abandon)
    return message


def answered(line: bytes) -> Answer | Refusal:
    """The judge's side of a line."""
    message: Answer | Refusal = msgspec.json.decode(line, type=Answer | Refusal)
    return message


def body_of(what: Any) -> msgspec.Raw:
    """An answer's body."""
    return msgspec.Raw(msgspec.json.encode(what))
