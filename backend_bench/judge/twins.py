"""Workers that hold ATen's own operators and never candidate code, handed from one submission to the next.

On a GPU each worker costs a context, of which a driver makes three to five a second whoever asks: with a twin of its own,
a submission took two. On a CPU a twin is made anew: a fork takes milliseconds, and its heap is then as fresh as the
candidate's.
"""

from __future__ import annotations

import logging
import threading

from backend_bench.errors import WorkerLost
from backend_bench.judge.keeper import Keeper
from backend_bench.judge.nursery import Nursery, Wish

log = logging.getLogger(__name__)

USES = 50
"""After so many submissions a twin ends: what a library keeps for each shape that it has met does not pile up."""
IDLE = 4
"""Of all kinds, those that were used last; each holds some hundred megabytes of a GPU."""
CLEAR_LIMIT_S = 20.0
"""To unmap a few buffers takes milliseconds; a device that is busy with a timing has been seen to take a second."""


class Twins:
    """Lends workers out. Safe to use from many threads."""

    def __init__(self, nursery: Nursery) -> None:
        self._nursery = nursery
        self._keeps = nursery.device.type == "cuda"
        self._idle: list[tuple[Wish, Keeper]] = []
        """The last is the one that came back last."""
        self._lock = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """End those that nobody has; those that come back later end then."""
        self._closed = True
        self.end_idle()

    def end_idle(self) -> None:
        """End those that nobody has at the moment."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, keeper in idle:
            keeper.close()

    def borrow(self, wish: Wish) -> Keeper:
        """One that nobody else has. Raises `WorkerLost` or `SandboxUnavailable`."""
        while (keeper := self._next(wish)) is not None:
            if keeper.lives:
                return keeper
            keeper.close()
        return self._nursery.take(wish)

    def give_back(self, keeper: Keeper, wish: Wish) -> None:
        """Kept for the next who asks for the same, unless it is dead, worn, or cannot be cleared; the oldest makes room."""
        keeper.served += 1
        if not self._keeps or not keeper.lives or keeper.served >= USES or not _is_cleared(keeper):
            keeper.close()
            return
        with self._lock:
            self._idle.append((wish, keeper))
            surplus = max(len(self._idle) - (0 if self._closed else IDLE), 0)
            ended, self._idle = self._idle[:surplus], self._idle[surplus:]
        for _, other in ended:
            other.close()

    def _next(self, wish: Wish) -> Keeper | None:
        with self._lock:
            for number in reversed(range(len(self._idle))):
                if self._idle[number][0] == wish:
                    return self._idle.pop(number)[1]
        return None


def _is_cleared(keeper: Keeper) -> bool:
    """Forget the submission; where that fails the verdict stands all the same, and this twin ends."""
    try:
        keeper.clear(limit_s=CLEAR_LIMIT_S)
    except WorkerLost:
        return False  # ended by whoever
    except Exception:
        log.exception("a twin could not be cleared, and ends")
        return False
    return True
