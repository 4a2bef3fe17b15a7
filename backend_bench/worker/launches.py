"""What kernels that the candidate launched did to memory, where the interpreter runs them; otherwise nobody can tell.

Plain facts, of which the recorder makes a claim. Not covered: which values of what was read the result depends on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

Stretch = tuple[int, int]
"""Memory from an address to before another one."""
_PAGE = 4096


@dataclass(slots=True)
class Launch:
    """One launch of one kernel over its grid."""

    given: Sequence[Stretch]
    """Allocations of its tensor arguments."""
    read: set[Stretch] = field(default_factory=set)
    """Those that it read, and pages of what else it did."""
    wrote: set[Stretch] = field(default_factory=set)

    def around(self, address: int) -> Stretch:
        """The allocation that an address lies in, or its page."""
        page = address - address % _PAGE
        return next((s for s in self.given if s[0] <= address < s[1]), (page, page + _PAGE))


class Log:
    """Launches in their order, since the last time of asking."""

    def __init__(self) -> None:
        self.is_kept = False
        """Somebody notes launches here: the worker interprets."""
        self._launches: list[Launch] = []

    def begin(self, given: Sequence[Stretch]) -> None:
        """A kernel is launched on tensors; what it does from now on is its own."""
        self._launches.append(Launch(given))

    def note(self, address: int, *, reads: bool = False, writes: bool = False) -> None:
        """The kernel that was launched last did this at an address."""
        if self._launches:
            launch = self._launches[-1]
            stretch = launch.around(address)
            launch.read.update({stretch} if reads else ())
            launch.wrote.update({stretch} if writes else ())

    def take(self) -> list[Launch]:
        """What is new."""
        taken, self._launches = self._launches, []
        return taken


LOG = Log()
