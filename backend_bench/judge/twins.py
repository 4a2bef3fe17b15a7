"""Workers that hold ATen's own operators and never candidate code, handed from one submission to the next.

On a GPU each worker costs a context, of which a driver makes three to five a second whoever asks: with a twin of its own,
a submission took two. On a CPU a twin is made anew: a fork takes milliseconds, and its heap is then as fresh as the
candidate's.
"""

from __future__ import annotations

import threading
from collections import defaultdict

from backend_bench.errors import WorkerLost
from backend_bench.judge.keeper import Keeper
from backend_bench.judge.nursery import Nursery, Wish

USES = 50
"""After so many submissions a twin ends: what a library keeps for each shape that it has met does not pile up."""
IDLE = 4
"""Of all kinds; each holds some hundred megabytes of a GPU."""
CLEAR_LIMIT_S = 20.0
"""To unmap a few buffers takes milliseconds; a device that is busy with a timing has been seen to take a second."""


class Twins:
    """Lends workers out. Safe to use from many threads."""

    def __init__(self, nursery: Nursery) -> None:
        self._nursery = nursery
        self._keeps = nursery.device.type == "cuda"
        self._idle: defaultdict[Wish, list[Keeper]] = defaultdict(list)
        self._uses: defaultdict[Keeper, int] = defaultdict(int)
        self._lock = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """End those that nobody has; those that come back later end then."""
        with self._lock:
            self._closed = True
            idle = [keeper for keepers in self._idle.values() for keeper in keepers]
            self._idle.clear()
        for keeper in idle:
            keeper.close()

    def borrow(self, wish: Wish) -> Keeper:
        """One that nobody else has. Raises `WorkerLost` or `SandboxUnavailable`."""
        while (keeper := self._next(wish)) is not None:
            if keeper.lives:
                return keeper
            self._end(keeper)
        keeper = self._nursery.take(wish)
        with self._lock:
            self._uses[keeper] = 0
        return keeper

    def give_back(self, keeper: Keeper, wish: Wish) -> None:
        """Kept for the next who asks for the same, unless it is dead, worn, or one too many."""
        with self._lock:
            self._uses[keeper] += 1
            wanted = self._keeps and keeper.lives and self._uses[keeper] < USES
        if wanted:
            try:
                keeper.clear(limit_s=CLEAR_LIMIT_S)
            except WorkerLost:
                wanted = False  # ended by whoever
            except BaseException:
                self._end(keeper)
                raise
        with self._lock:
            idle = sum(map(len, self._idle.values()))
            if wanted and keeper.lives and not self._closed and idle < IDLE:
                self._idle[wish].append(keeper)
                return
        self._end(keeper)

    def _next(self, wish: Wish) -> Keeper | None:
        with self._lock:
            keepers = self._idle[wish]
            return keepers.pop() if keepers else None

    def _end(self, keeper: Keeper) -> None:
        with self._lock:
            self._uses.pop(keeper, None)
        keeper.close()
