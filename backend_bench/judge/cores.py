"""Which CPU cores belong to timings, and which to everything else on this host.

Two cores of those that this process may use are kept free: the service, its zygotes, and so every
worker and compiler, stay off them. While a device is held for timing, the threads of that one
submission move there. Which two is decided by the set of cores alone, so that services of other
builds come to the same answer without asking. Programs that are not ours are not kept off.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

RESERVED = 2
"""Candidate and twin take turns with each other; the judge's thread sits beside them."""


@dataclass(frozen=True, slots=True)
class Share:
    """The cores of one host, divided."""

    timing: frozenset[int]
    """For timings; empty where there are too few cores to keep any free."""
    rest: frozenset[int]
    """For everything else."""

    @property
    def facts(self) -> dict[str, object]:
        """For the machine's facts."""
        if self.timing:
            return {"cores": len(self.timing | self.rest), "timing_cores": sorted(self.timing)}
        return {
            "cores": len(self.rest),
            "timing_cores": [],
            "timing_cores_why": f"none are kept free for timings: that takes more than {RESERVED} cores",
        }


UNDIVIDED = Share(frozenset(), frozenset())
"""Nothing is kept free and nobody moves."""


def divide(cores: Iterable[int]) -> Share:
    """Reserve the last two, where more than two are there: interrupts like the first ones."""
    ordered = sorted(cores)
    if len(ordered) <= RESERVED:
        return Share(frozenset(), frozenset(ordered))
    return Share(frozenset(ordered[-RESERVED:]), frozenset(ordered[:-RESERVED]))


def settle() -> Share:
    """Divide the cores of this process and keep to the rest; threads and children made later inherit it."""
    share = divide(os.sched_getaffinity(0))
    os.sched_setaffinity(0, share.rest)
    return share


@contextlib.contextmanager
def moved(share: Share, pids: Sequence[int]) -> Iterator[None]:
    """This thread, and all threads of these processes, on the cores for timings; afterwards on the rest.

    A process that has died is nobody's concern here.
    """
    if not share.timing:
        yield
        return
    movers = [threading.get_native_id()]
    for pid in pids:
        movers += threads(pid)
    _move(movers, share.timing)
    try:
        yield
    finally:
        _move([*movers, *(thread for pid in pids for thread in threads(pid))], share.rest)


def threads(pid: int) -> list[int]:
    """All threads of a process; none where it is gone."""
    with contextlib.suppress(OSError):
        return [int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir()]
    return []


def _move(movers: Iterable[int], cores: frozenset[int]) -> None:
    for thread in movers:
        # It is gone, and its number may be another's by now.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.sched_setaffinity(thread, cores)
