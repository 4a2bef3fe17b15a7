"""Keeps other processes from the GPU while their processors go on: the driver's lock for checkpoints.

Calls that give a GPU work stand still in a locked process, everything else in it goes on, a compiler too. The driver offers
that from 12.8 on (570) to whoever may signal the process. Locking takes 0.3 ms on an H200.
"""

from __future__ import annotations

import ctypes
import functools
import logging
from collections.abc import Iterable

from backend_bench.buffers import CudaDriverError, cu

log = logging.getLogger(__name__)

LOCK_LIMIT_MS = 5_000
"""For what a process is in the middle of; the driver gives up then and the process goes on."""
_NO_CUDA = 3
"""`CUDA_ERROR_NOT_INITIALIZED`: there is nothing to lock in that process."""


class Pause:
    """Processes that are kept from the GPU. `end` it in any case."""

    def __init__(self) -> None:
        self._locked: list[int] = []

    def begin(self, pids: Iterable[int]) -> bool:
        """Lock them all; False where one cannot be locked, and then none is."""
        for pid in pids:
            try:
                cu("cuCheckpointProcessLock", ctypes.c_int(pid), _arguments(LOCK_LIMIT_MS))
            except CudaDriverError as error:
                if error.code == _NO_CUDA:
                    continue
                log.warning("process %s cannot be kept from the GPU: %s", pid, error)
                self.end()
                return False
            self._locked.append(pid)
        return True

    def end(self) -> None:
        """Let those go on that are still there."""
        while self._locked:
            pid = self._locked.pop()
            try:
                cu("cuCheckpointProcessUnlock", ctypes.c_int(pid), _arguments())
            except CudaDriverError as error:
                log.info("process %s was not let go: %s", pid, error)  # it was killed meanwhile, as a rule


@functools.cache
def is_offered() -> bool:
    """Whether this driver can do that."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return hasattr(driver, "cuCheckpointProcessLock")


def _arguments(first: int = 0) -> ctypes.Array[ctypes.c_uint]:
    """The 64 bytes that lock and unlock take; the first word of a lock is its limit in milliseconds."""
    return (ctypes.c_uint * 16)(first)
