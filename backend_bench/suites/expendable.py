"""Processes for work that may end whoever does it: a call that ATen survives on no GPU, or on no CPU either.

Each does one piece of work at a time, and notes where it is. One that was lost is started anew for the next piece. They end when
whoever started them does, and what they print goes to standard error. Unlike those of `multiprocessing` they do not run the
script again that started them, which may be a user's. Work is a function of some module, its arguments and what it gives are JSON.
"""

from __future__ import annotations

import builtins
import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import typing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pkgutil import resolve_name
from typing import Any, BinaryIO, TypeVar

import msgspec
import torch

from backend_bench import errors

T = TypeVar("T")
Q = TypeVar("Q")

MOST = 8
"""Each imports torch, and on a GPU makes a context: more would wait for each other there."""
LIMIT_S = 300.0
"""A process that says nothing for so long stands still: a device can hang in one call."""
_START = """
import json, sys
sys.path[:] = json.loads(sys.stdin.buffer.readline())
from backend_bench.suites.expendable import main
main()
"""


class Lost(Exception):
    """A process ended in the middle of its work."""


class _Asked(msgspec.Struct, frozen=True):
    """What the process is to do."""

    work: str
    """Module and name of a function."""
    arguments: tuple[Any, ...]


class _Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the process says: how far it is, what came of the work, or what it raised."""

    at: int | None = None
    gave: msgspec.Raw = msgspec.Raw(b"")
    raised: str = ""
    """Name of the exception's type."""
    text: str = ""


class Expendable:
    """One process, started when there is work. Use it as a context manager."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self._limit_s = limit_s
        self.at: int | None = None
        """What was noted last in this piece of work, or the one that has ended."""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Expendable:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def ask(self, work: Callable[..., T], *arguments: Any) -> T:
        """What `work` gives, a function whose annotations tell msgspec the types.

        Raises `Lost`, and what `work` raises where that is an error of ours or of Python; else a `RuntimeError`.
        """
        asks, answers = self._lines()
        self.at = None
        with contextlib.suppress(BrokenPipeError):  # then there is no answer either
            _write(asks, _Asked(f"{work.__module__}:{work.__qualname__}", arguments))
        said = self._next(answers)
        while said.at is not None:
            self.at = said.at
            said = self._next(answers)
        if said.raised:
            raise _exception(said)
        return msgspec.json.decode(said.gave, type=typing.get_type_hints(work)["return"])  # type: ignore[no-any-return]

    def _next(self, answers: BinaryIO) -> _Said:
        process, too_late = self._process, threading.Event()
        assert process is not None

        def stop() -> None:
            too_late.set()
            process.kill()

        timer = threading.Timer(self._limit_s, stop)
        timer.start()
        try:
            line = answers.readline()
        finally:
            timer.cancel()
        if line:
            return msgspec.json.decode(line, type=_Said)
        ended = self._ended()
        if too_late.is_set():
            ended = f"said nothing for {self._limit_s:g} s"
        raise Lost(f"the process {ended} in the middle of its work")

    def _lines(self) -> tuple[BinaryIO, BinaryIO]:
        if self._process is not None and self._process.poll() is not None:
            self.end()  # it ended when it had nothing to do
        is_new = self._process is None
        if self._process is None:
            self._process = subprocess.Popen(
                # -P: a file of the folder that we are in must not stand in for a module.
                [sys.executable, "-P", "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                start_new_session=True,  # whoever interrupts us ends it through us, and does not look like its own end
            )  # fmt: skip
        asks, answers = (
            typing.cast("BinaryIO", line) for line in (self._process.stdin, self._process.stdout)
        )
        if is_new:
            with contextlib.suppress(BrokenPipeError):  # as below
                _write(asks, sys.path)
        return asks, answers

    def _ended(self) -> str:
        assert self._process is not None
        status = self._process.wait()
        self.end()
        if status >= 0:
            return f"ended with {status}"
        known = {number.value: number.name for number in signal.Signals}
        return f"was ended by {known.get(-status, f'signal {-status}')}"

    def end(self) -> None:
        """Let it go; the next piece of work gets a new one."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for line in (process.stdin, process.stdout):
            assert line is not None
            with contextlib.suppress(BrokenPipeError):
                line.close()
        process.wait()


def _write(line: BinaryIO, message: object) -> None:
    line.write(msgspec.json.encode(message) + b"\n")
    line.flush()


def _exception(said: _Said) -> Exception:
    found = getattr(errors, said.raised, None) or getattr(builtins, said.raised, None)
    if isinstance(found, type) and issubclass(found, Exception):
        with contextlib.suppress(TypeError):  # a few take more than a text
            return found(said.text)
    return RuntimeError(f"{said.raised}: {said.text}")


class Expendables:
    """As many as there are cores. Use it as a context manager."""

    def __init__(self, count: int | None = None) -> None:
        self.count = min(len(os.sched_getaffinity(0)), MOST) if count is None else count
        self._all = [Expendable() for _ in range(self.count)]

    def __enter__(self) -> Expendables:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Let all go."""
        for each in self._all:
            each.end()

    def map(self, work: Callable[[Expendable, Q], T], items: Sequence[Q]) -> Iterator[T]:
        """`work` in a thread of its own for each process, on one item after the other; the results are in order."""
        free: queue.SimpleQueue[Expendable] = queue.SimpleQueue()
        for each in self._all:
            free.put(each)

        def one(item: Q) -> T:
            process = free.get()
            try:
                return work(process, item)
            finally:
                free.put(process)

        with ThreadPoolExecutor(self.count) as pool:
            yield from pool.map(one, items)


# ---- inside ------------------------------------------------------------------------------------

_answers: BinaryIO | None = None
"""Where a process that is expendable tells how far it is; none in others."""


def note(place: int) -> None:
    """Tell whoever asked where this work is, in case that it ends here. Outside of an `Expendable` nothing happens."""
    if _answers is not None:
        _write(_answers, _Said(at=place))


def main() -> None:
    """Work until standard input ends."""
    global _answers
    _answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what others print is no answer
    torch.set_num_threads(1)
    for line in sys.stdin.buffer:
        _write(_answers, _did(msgspec.json.decode(line, type=_Asked)))


def _did(asked: _Asked) -> _Said:
    try:
        work = resolve_name(asked.work)
        hints = typing.get_type_hints(work).values()
        arguments = (
            msgspec.convert(value, hint) for value, hint in zip(asked.arguments, hints, strict=False)
        )
        return _Said(gave=msgspec.Raw(msgspec.json.encode(work(*arguments))))
    except Exception as problem:  # noqa: BLE001  (whoever asked deals with it)
        return _Said(raised=type(problem).__name__, text=str(problem))
