"""What kernels that the candidate launched did to memory, where the interpreter runs them; otherwise nobody can tell.

Plain facts, of which the recorder makes a claim. Not covered: which values of what was read the result depends on.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Launch:
    """One launch of one kernel over its grid."""

    read: set[int] = field(default_factory=set)
    """An address out of each block that was read."""
    wrote: set[int] = field(default_factory=set)
    """An address out of each block that was written."""


class Log:
    """Launches in their order, since the last time of asking."""

    def __init__(self) -> None:
        self.is_kept = False
        """Somebody notes launches here: the worker interprets."""
        self._launches: list[Launch] = []

    def begin(self) -> None:
        """A kernel is launched; what it does from now on is its own."""
        self._launches.append(Launch())

    def note(self, address: int, *, reads: bool = False, writes: bool = False) -> None:
        """The kernel that was launched last did this at an address."""
        if self._launches:
            launch = self._launches[-1]
            launch.read.update({address} if reads else ())
            launch.wrote.update({address} if writes else ())

    def take(self) -> list[Launch]:
        """What is new."""
        taken, self._launches = self._launches, []
        return taken


LOG = Log()
