"""Keeps other processes from the GPU while their processors go on: the driver's lock for checkpoints.

Calls that give a GPU work stand still in a locked process, everything else in it goes on, a compiler too; and what it gave
the GPU before is done when the lock holds. The driver offers that from 12.8 on (570) to whoever may signal the process. On an H200 it
takes 0.1 ms where the process is idle, and 0.3 ms where it is not.

Not prevented: the lock is kept by the driver's own thread in that process. Code in there can undo it, which is noticed unless it
locks itself again in time; and a stopped process cannot be locked, so whoever is stuck at that is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
import time
from collections.abc import Callable, Iterable, Iterator

from backend_bench.buffers import CudaDriverError, cu
from backend_bench.judge.overdue import overdue
from backend_bench.judge.zygotes import is_gone

LOCK_LIMIT_MS = 2_000
"""For what a process is in the middle of; the driver gives up then and the process goes on."""
STUCK_S = LOCK_LIMIT_MS / 1e3 + 1
"""A call that has not returned then never will: the process is stopped."""
ENDING_S = 3.0
"""To let go of a CUDA context has been seen to take seconds."""
_LOOK_S = 0.01
_NO_CUDA = 3
"""`CUDA_ERROR_NOT_INITIALIZED`: there is nothing to lock in that process."""
_NOT_READY = 600
"""`CUDA_ERROR_NOT_READY`: the limit is over."""
_BROKEN = frozenset({700, 702, 710, *range(714, 720)})
"""`CUDA_ERROR_ILLEGAL_ADDRESS`, `LAUNCH_TIMEOUT`, `ASSERT`, and from `HARDWARE_STACK_ERROR` to `LAUNCH_FAILED`: a kernel has made the process's
context useless."""


class Refused(Exception):
    """A process that lives cannot be kept from the GPU."""


class Busy(Refused):
    """Its work was not done in time."""


class Undone(Exception):
    """A process was locked, and is not any more, by nobody's doing but its own."""


@contextlib.contextmanager
def kept_from_the_gpu(pids: Iterable[int], *, when_stuck: Callable[[], None]) -> Iterator[list[int]]:
    """None of these processes uses a GPU inside; those that do at all are told.

    `when_stuck` is to end them. Raises `Refused` before anything has begun, and then all go on; `Undone` at the end.
    """
    locked: list[int] = []
    try:
        for pid in pids:
            if _lock(pid, when_stuck):
                locked.append(pid)
        yield locked
    except BaseException:
        _unlock(locked, when_stuck)
        raise
    if undone := _unlock(locked, when_stuck):
        raise Undone("; ".join(undone))


def _lock(pid: int, when_stuck: Callable[[], None]) -> bool:
    """False where there is nothing to lock."""
    try:
        with overdue().after(STUCK_S, when_stuck):
            cu("cuCheckpointProcessLock", ctypes.c_int(pid), _arguments(LOCK_LIMIT_MS))
    except CudaDriverError as error:
        if error.code == _NO_CUDA:
            return False
        if error.code == _NOT_READY:
            raise Busy(f"process {pid} cannot be kept from the GPU: {error}") from error
        if not _ends(pid):
            why = "the kernel broke the CUDA context: " if error.code in _BROKEN else ""
            raise Refused(f"{why}process {pid} cannot be kept from the GPU: {error}") from error
        return False
    return True


def _unlock(pids: Iterable[int], when_stuck: Callable[[], None]) -> list[str]:
    """What was not locked any more and lives."""
    undone = []
    for pid in pids:
        try:
            with overdue().after(STUCK_S, when_stuck):
                cu("cuCheckpointProcessUnlock", ctypes.c_int(pid), _arguments())
        except CudaDriverError as error:
            if not _ends(pid):
                undone.append(f"process {pid} was kept from the GPU and is not any more: {error}")
    return undone


def _ends(pid: int) -> bool:
    """Whether a process that the driver does not know any more is on its way out."""
    until = time.monotonic() + ENDING_S
    while not is_gone(pid):
        if time.monotonic() > until:
            return False
        time.sleep(_LOOK_S)
    return True


_trying = threading.Lock()
_found = {"works": False}


def missing(pids: Callable[[], Iterable[int]]) -> str:
    """Why processes like these, which are idle, cannot be kept from a GPU here; empty where it has worked once."""
    with _trying:
        if _found["works"]:
            return ""
        try:
            with kept_from_the_gpu(pids(), when_stuck=lambda: None) as locked:
                _found["works"] = bool(locked)
        except AttributeError:
            return "needs a driver from 570 on"
        except (Refused, Undone) as error:
            return str(error)
        return "" if locked else "no process of a worker was found that uses it"


def is_offered() -> bool:
    """Whether it has worked once."""
    return _found["works"]


def _arguments(first: int = 0) -> ctypes.Array[ctypes.c_uint]:
    """The 64 bytes that lock and unlock take; the first word of a lock is its limit in milliseconds."""
    return (ctypes.c_uint * 16)(first)
