"""Acts where something takes longer than it may, from a thread that needs neither the driver nor a lease.

For what nobody can be asked to stop: a call of a driver that does not return. Time counts as `awake` counts it.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from backend_bench.judge import awake

log = logging.getLogger(__name__)

LOOK_S = 0.025
"""Between two looks, while there is something to look at."""


@dataclass(eq=False, slots=True)
class Watched:
    """Something that has to end in time."""

    deadline: float
    act: Callable[[], None]
    every_s: float = math.inf
    """So long after it has acted it acts again."""
    acted: bool = False
    """It did not."""


class Overdue:
    """Watches any number of things with one thread. Safe to use from many."""

    def __init__(self) -> None:
        self._watched: list[Watched] = []
        self._changed = threading.Condition()
        threading.Thread(target=self._look, name="overdue", daemon=True).start()

    @contextlib.contextmanager
    def after(
        self, limit_s: float, act: Callable[[], None], *, every_s: float = math.inf
    ) -> Iterator[Watched]:
        """Call `act` if this block has not been left after `limit_s` seconds, once or every so many seconds; it must be short."""
        watched = Watched(awake.now() + limit_s, act, every_s)
        with self._changed:
            self._watched.append(watched)
            if len(self._watched) == 1:
                self._changed.notify()
        try:
            yield watched
        finally:
            with self._changed:
                self._watched.remove(watched)

    def _look(self) -> None:
        while True:
            with self._changed:
                while not self._watched:
                    self._changed.wait()
                now = awake.now()
                for watched in self._watched:
                    if watched.deadline <= now:
                        watched.deadline, watched.acted = now + watched.every_s, True
                        _act(watched.act)
            time.sleep(LOOK_S)


def _act(act: Callable[[], None]) -> None:
    """The thread goes on, whatever one of them meets: without it nobody who stands still would be helped any more."""
    try:
        act()
    except Exception:
        log.exception("what was to be done about something overdue failed")


@functools.cache
def overdue() -> Overdue:
    """The one of this process."""
    return Overdue()
