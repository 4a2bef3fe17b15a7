"""Whose turn is it: round-robin between clients, first come first served within one.

Plain data for one thread; runs nothing.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """What waits, by client. A client that comes anew, or has just had its turn, goes to the end."""

    def __init__(self) -> None:
        self._clients: OrderedDict[str, deque[T]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._clients.values()))

    def add(self, client: str, item: T) -> None:
        """Wait behind what this client asked for before."""
        self._clients.setdefault(client, deque()).append(item)

    def take(self) -> T | None:
        """The next one, taken out; None where nobody waits."""
        if not self._clients:
            return None
        client, items = self._clients.popitem(last=False)
        item = items.popleft()
        if items:
            self._clients[client] = items
        return item

    def drop(self, client: str, item: T) -> bool:
        """Give a place up; False where it is not waiting any more."""
        items = self._clients.get(client)
        if items is None or item not in items:
            return False
        items.remove(item)
        if not items:
            del self._clients[client]
        return True

    def waiting(self) -> Counter[str]:
        """How many places each client has, in the order of their turns."""
        return Counter({client: len(items) for client, items in self._clients.items()})
