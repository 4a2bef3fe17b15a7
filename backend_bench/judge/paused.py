"""Keeps other processes from the GPU while their processors go on: the driver's lock for checkpoints.

Calls that give a GPU work stand still in a locked process, everything else in it goes on, a compiler too; and what it gave
the GPU before is done when the lock holds. The driver offers that from 12.8 on (570) to whoever may signal the process. On an H200 it
takes 0.1 ms where the process is idle, and 0.3 ms where it is not.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import threading
from collections.abc import Iterable, Iterator

from backend_bench.buffers import CudaDriverError, cu

log = logging.getLogger(__name__)

LOCK_LIMIT_MS = 2_000
"""For what a process is in the middle of; the driver gives up then and the process goes on."""
_NO_CUDA = 3
"""`CUDA_ERROR_NOT_INITIALIZED`: there is nothing to lock in that process."""
_NOT_READY = 600
"""`CUDA_ERROR_NOT_READY`: the limit is over."""


class Refused(Exception):
    """A process cannot be kept from the GPU here."""


class Busy(Refused):
    """Its work was not done in time."""


@contextlib.contextmanager
def kept_from_the_gpu(pids: Iterable[int]) -> Iterator[None]:
    """None of these processes uses a GPU inside. Raises `Refused` before anything has begun, and then all go on."""
    with contextlib.ExitStack() as locked:
        for pid in pids:
            if _lock(pid):
                locked.callback(_unlock, pid)
        yield


def _lock(pid: int) -> bool:
    """False where there is nothing to lock."""
    try:
        cu("cuCheckpointProcessLock", ctypes.c_int(pid), _arguments(LOCK_LIMIT_MS))
    except CudaDriverError as error:
        if error.code == _NO_CUDA:
            return False
        kind = Busy if error.code == _NOT_READY else Refused
        raise kind(f"process {pid} cannot be kept from the GPU: {error}") from error
    return True


def _unlock(pid: int) -> None:
    try:
        cu("cuCheckpointProcessUnlock", ctypes.c_int(pid), _arguments())
    except CudaDriverError as error:
        log.info("process %s was not let go: %s", pid, error)  # it was killed meanwhile, as a rule


_known: list[str] = []
_trying = threading.Lock()


def missing(pids: Iterable[int]) -> str:
    """Why processes like these cannot be kept from a GPU here; empty where they can. Found out with the first, which must be idle."""
    with _trying:
        if not _known:
            try:
                with kept_from_the_gpu(pids):
                    _known.append("")
            except (Refused, AttributeError) as error:  # the latter: a driver that has never heard of it
                _known.append(f"needs a driver from 570 on ({error})")
        return _known[0]


def is_offered() -> bool:
    """Whether it was tried, and worked."""
    return _known == [""]


def _arguments(first: int = 0) -> ctypes.Array[ctypes.c_uint]:
    """The 64 bytes that lock and unlock take; the first word of a lock is its limit in milliseconds."""
    return (ctypes.c_uint * 16)(first)
