"""Processes for work that may end whoever does it: a call that ATen survives on no GPU, or on no CPU either.

Each does one piece of work at a time, and notes where it is. One that was lost is started anew for the next piece. They end when
whoever started them does, and what they print goes to standard error. Unlike those of `multiprocessing` they do not run the
script again that started them, which may be a user's.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, TypeVar

import torch

T = TypeVar("T")
Q = TypeVar("Q")

MOST = 8
"""Each imports torch, and on a GPU makes a context: more would wait for each other there."""
_START = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from backend_bench.suites.expendable import main
main()
"""


class Lost(Exception):
    """A process ended in the middle of its work."""


class Expendable:
    """One process, started when there is work. Use it as a context manager."""

    def __init__(self) -> None:
        self.at: int | None = None
        """What was noted last in this piece of work, or the one that has ended."""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Expendable:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def ask(self, work: Callable[..., T], *arguments: Any) -> T:
        """What `work` gives or raises; both have to survive pickling. Raises `Lost`."""
        asks, answers = self._lines()
        self.at = None
        with contextlib.suppress(BrokenPipeError):  # then there is no answer either
            pickle.dump((work, arguments), asks)
            asks.flush()
        kind, value = self._next(answers)
        while kind == "at":
            self.at = value
            kind, value = self._next(answers)
        if kind == "raised":
            raise value
        return value  # type: ignore[no-any-return]

    def _next(self, answers: BinaryIO) -> tuple[str, Any]:
        try:
            return pickle.load(answers)  # type: ignore[no-any-return]
        except (EOFError, pickle.UnpicklingError) as problem:
            raise Lost(f"the process {self._ended()} in the middle of its work") from problem

    def _lines(self) -> tuple[BinaryIO, BinaryIO]:
        if self._process is None:
            self._process = subprocess.Popen(
                # -P: a file of the folder that we are in must not stand in for a module.
                [sys.executable, "-P", "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )  # fmt: skip
            assert self._process.stdin is not None
            pickle.dump(sys.path, self._process.stdin)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout  # type: ignore[return-value]

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
        _say("at", place)


def main() -> None:
    """Work until standard input ends."""
    global _answers
    _answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what others print is no answer
    torch.set_num_threads(1)
    while True:
        try:
            work, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            given = work(*arguments)
        except Exception as problem:  # noqa: BLE001  (it is theirs)
            _say("raised", problem)
        else:
            _say("gave", given)


def _say(kind: str, value: object) -> None:
    assert _answers is not None
    pickle.dump((kind, value), _answers)
    _answers.flush()
