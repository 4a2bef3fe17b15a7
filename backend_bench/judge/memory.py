"""The sum of what a worker's processes hold, and an end to those that hold too much.

The system's limits bind each process for itself, and some memory belongs to none. So a thread of the judge's adds up
the private and shared pages of all processes of a life, and the memory files behind their open descriptors, ten
times a second while there is candidate code in it. A first sum counts a page for each of the forked processes that
share it; only where it is over the limit the exact one is taken, which costs the worker some milliseconds.

Not covered: what is taken and given back within a tenth of a second; memory files that are written, mapped and closed,
but never touched through the map (on a CPU the sandbox has none, see `worker/sandbox/seccomp.py`); the scratch
folder, which has a limit of its own; memory that a driver pins; memory of a GPU.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from backend_bench.errors import WorkerLost

EVERY_S = 0.1
"""A look costs some 0.2 ms a process; a core fills a few hundred megabytes in that time."""
_KIB = 1024
_QUICK = ("RssAnon:", "RssShmem:", "VmSwap:")
_EXACT = ("Pss_Anon:", "Pss_Shmem:", "SwapPss:")
_BLOCK = 512
"""Bytes; what `stat` counts in."""


class Watch:
    """Looks after one life, from a moment on at which it holds nothing of a candidate's. Use it as a context manager."""

    def __init__(
        self, family: Callable[[], list[int]], limit_bytes: int, *, ours: Callable[[], int], end: Callable[[], None]
    ) -> None:  # fmt: skip
        self._family, self._ours, self._end = family, ours, end
        self._limit_bytes = limit_bytes
        began_with = [quick_bytes([pid]) for pid in family()]
        self._floor_quick, self._floor_exact = sum(began_with), max(began_with, default=0)
        """What a worker holds of its zygote's memory: a copy for each process to the quick eye, and at most one in fact."""
        self._over = threading.Event()
        self.excess_bytes: int | None = None
        """What it held when it was ended; None if it was not."""
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._look, name="memory", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def check(self) -> None:
        """Raise what kept it from looking, for which the life was ended: nobody in it is to blame."""
        if self._failure is not None:
            raise WorkerLost(
                f"what a worker holds could not be looked at: {self._failure!r}"
            ) from self._failure

    def _look(self) -> None:
        try:
            self._look_on()
        except Exception as error:  # noqa: BLE001  # nobody goes on unseen; raised where that life is asked for
            self._failure = error
            self._end()

    def _look_on(self) -> None:
        took_s = 0.0
        while not self._over.wait(max(EVERY_S, took_s)):
            began = time.monotonic()
            self.excess_bytes = self._excess(self._family())
            if self.excess_bytes is not None:
                self._end()
                return
            # Many processes take long to add up, and it is they whom that delays.
            took_s = time.monotonic() - began

    def _excess(self, pids: list[int]) -> int | None:
        """What these processes hold of their own, if that is too much."""
        own = quick_bytes(pids) - self._floor_quick - self._ours()
        if own <= self._limit_bytes:
            return None
        own = exact_bytes(pids) - self._floor_exact - self._ours()
        return own if own > self._limit_bytes else None


def quick_bytes(pids: Iterable[int]) -> int:
    """At least what these processes hold; a page that several share counts for each."""
    pids = list(pids)
    return sum(_counted(pid, "status", _QUICK) for pid in pids) + _files_bytes(pids)


def exact_bytes(pids: Iterable[int]) -> int:
    """What these processes hold; a page that several share counts once. Where that cannot be read, the quick sum."""
    pids = list(pids)
    try:
        return sum(_counted(pid, "smaps_rollup", _EXACT) for pid in pids) + _files_bytes(pids)
    except PermissionError:
        return quick_bytes(pids)


def _counted(pid: int, table: str, rows: tuple[str, ...]) -> int:
    """The sum of some rows, in bytes; 0 for a process that is gone."""
    try:
        lines = Path(f"/proc/{pid}/{table}").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(rows)) * _KIB


def _files_bytes(pids: Iterable[int]) -> int:
    """What the memory files hold that these processes have open, each counted once."""
    found: dict[int, int] = {}
    for pid in pids:
        try:
            links = list(os.scandir(f"/proc/{pid}/fd"))
        except OSError:
            continue  # gone, or not ours to see: then its pages count alone
        for link in links:
            try:
                if os.readlink(link.path).startswith("/memfd:"):
                    file = os.stat(link.path)
                    found[file.st_ino] = file.st_blocks * _BLOCK
            except OSError:
                continue
    return sum(found.values())
