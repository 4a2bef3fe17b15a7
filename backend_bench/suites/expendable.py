"""Processes for work that may end whoever does it: a call that ATen survives on no GPU, or on no CPU either.

Each does one piece of work at a time, and notes where it is. One that was lost is started anew for the next piece. They end when
whoever started them does, and what they print goes to standard error.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any, TypeVar

import torch

T = TypeVar("T")
Q = TypeVar("Q")

MOST = 8
"""Each imports torch, and on a GPU makes a context: more would wait for each other there."""
_NOWHERE = -1


class Lost(Exception):
    """A process ended in the middle of its work."""


class Expendable:
    """One process, started when there is work. Use it as a context manager."""

    def __init__(self) -> None:
        self._place: Any = None
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Expendable:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def ask(self, work: Callable[..., T], *arguments: Any) -> T:
        """What `work` gives or raises; both have to survive pickling. Raises `Lost`."""
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._place = context.Value("q", _NOWHERE)
            self._pool = ProcessPoolExecutor(1, context, _begin, (self._place,))
        self._place.value = _NOWHERE
        try:
            return self._pool.submit(work, *arguments).result()
        except BrokenProcessPool as problem:
            self.end()
            raise Lost("the process ended in the middle of its work; its own words are above") from problem

    @property
    def at(self) -> int | None:
        """What was noted last in this piece of work, or the one that has ended."""
        return None if self._place is None or self._place.value == _NOWHERE else int(self._place.value)

    def end(self) -> None:
        """Let it go; the next piece of work gets a new one."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()


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

_noted: Any = None
"""Where a process tells how far it is; none in one that is not expendable."""


def note(place: int) -> None:
    """Tell whoever asked where this work is, in case that it ends here. Outside of an `Expendable` nothing happens."""
    if _noted is not None:
        _noted.value = place


def _begin(noted: Any) -> None:
    global _noted
    _noted = noted
    os.dup2(2, 1)  # an answer of whoever started us may go to standard output
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    with contextlib.suppress(OSError):
        wait([parent.sentinel])
    os._exit(1)
