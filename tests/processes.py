"""Processes as the system lists them: who descends from whom, and waiting until somebody is gone."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

GONE_LIMIT_S = 60


def children(pid: int) -> list[int]:
    """Children of all its threads."""
    found: list[int] = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, listing.read_text().split())
    return found


def family(pid: int) -> list[int]:
    """All that descend from it."""
    return [one for child in children(pid) for one in (child, *family(child))]


def threads(pid: int) -> int:
    """0 for a process that is gone."""
    return len(list(Path(f"/proc/{pid}/task").glob("*")))


@contextlib.contextmanager
def watched(pids: Iterable[int]) -> Iterator[Callable[[], list[int]]]:
    """A function that waits for all of these to end and gives those that did not."""
    fds: dict[int, int] = {}
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            fds[os.pidfd_open(pid)] = pid

    def left() -> list[int]:
        poll, waiting = select.poll(), dict(fds)
        for fd in waiting:
            poll.register(fd, select.POLLIN)
        while waiting and (ended := poll.poll(GONE_LIMIT_S * 1000)):
            for fd, _ in ended:
                poll.unregister(fd)
                del waiting[fd]
        return list(waiting.values())

    try:
        yield left
    finally:
        for fd in fds:
            os.close(fd)
