"""Work shared out among judges that come and go: each has so many places, and the least loaded is next.

Whoever waits is served in the order of asking. Knows neither what is judged nor where a judge is.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import AsyncIterator, Hashable, Iterator
from typing import Generic, TypeVar

J = TypeVar("J", bound=Hashable)


class Places(Generic[J]):
    """The places at all judges; belongs to one event loop."""

    def __init__(self, each: int) -> None:
        self.each = each
        self._taken: dict[J, int] = {}
        self._served: dict[J, int] = {}
        self._numbers = itertools.count()
        self._waiting: deque[tuple[int, asyncio.Future[J]]] = deque()

    def __iter__(self) -> Iterator[J]:
        return iter(self._taken)

    def __contains__(self, judge: J) -> bool:
        return judge in self._taken

    @property
    def busy(self) -> bool:
        """Whether anybody waits or sits."""
        return bool(self._waiting) or any(self._taken.values())

    def join(self, judge: J) -> None:
        """A judge has come."""
        self._taken[judge], self._served[judge] = 0, next(self._numbers)
        self._serve()

    def leave(self, judge: J) -> None:
        """A judge has gone; who sits there notices by himself."""
        self._taken.pop(judge, None)
        self._served.pop(judge, None)

    def fail(self, error: Exception) -> None:
        """Nobody who waits will get a place."""
        while self._waiting:
            _, place = self._waiting.popleft()
            if not place.done():
                place.set_exception(error)

    @contextlib.asynccontextmanager
    async def one(self, *, alone: bool = False) -> AsyncIterator[J]:
        """A place at the least loaded judge, at equals the one served longest ago; `alone`: all its places."""
        wanted = self.each if alone else 1
        place: asyncio.Future[J] = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, place))
        self._serve()
        try:
            yield await place
        finally:
            if place.done() and not place.cancelled() and place.exception() is None:
                self._give_back(place.result(), wanted)
            self._serve()

    def _give_back(self, judge: J, places: int) -> None:
        if judge in self._taken:
            self._taken[judge] -= places

    def _serve(self) -> None:
        while self._waiting:
            wanted, place = self._waiting[0]
            if not place.done():  # who was cancelled is passed over
                free = [judge for judge, taken in self._taken.items() if taken + wanted <= self.each]
                if not free:
                    return
                judge = min(free, key=lambda judge: (self._taken[judge], self._served[judge]))
                self._taken[judge] += wanted
                self._served[judge] = next(self._numbers)
                place.set_result(judge)
            self._waiting.popleft()
