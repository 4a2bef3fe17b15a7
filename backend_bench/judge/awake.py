"""Time as limits count it: only while this process runs.

A host that sleeps, a container that is frozen or a service that somebody has stopped with a signal goes on later
as if nothing had been, and no worker is to blame for the hours between. A thread looks at the clock again and
again; a look that comes much too late tells how long there was nobody to look. Decides nothing itself.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable

LOOK_S = 0.25
"""Between two looks."""
LATE_S = 2.0
"""A thread that is delayed by more than this did not just wait for a busy processor."""


class Clock:
    """A monotonic clock that leaves out what passed unseen. Safe to read from any thread."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._last, self._unseen_s = now(), 0.0

    def read(self) -> float:
        """Seconds; somebody has to read it every `LOOK_S`."""
        with self._lock:
            now = self._now()
            if now - self._last > LATE_S:
                self._unseen_s += now - self._last - LOOK_S
            self._last = now
            return now - self._unseen_s


def now() -> float:
    """Seconds during which this process ran, from an arbitrary start."""
    return _clock().read()


@functools.cache
def _clock() -> Clock:
    """The one of this process."""
    clock = Clock()
    threading.Thread(target=_look, args=(clock,), name="awake", daemon=True).start()
    return clock


def _look(clock: Clock) -> None:
    while True:
        clock.read()
        time.sleep(LOOK_S)
