"""Which files this process has mapped, and where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MappedFile:
    """A stretch of memory that a file lies in."""

    first: int
    """Its address."""
    end: int
    """That of the first byte behind it."""
    path: str
    """Of the file; absolute."""


def mapped_files() -> Iterator[MappedFile]:
    """Every stretch, one file often in several."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        for line in maps:
            addresses, found, path = line.rstrip("\n").partition("/")
            if found:
                first, end = (int(address, 16) for address in addresses.split()[0].split("-"))
                yield MappedFile(first, end, found + path)
