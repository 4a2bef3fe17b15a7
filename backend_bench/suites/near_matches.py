"""What a person probably meant, given what they wrote."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_CUTOFF = 0.5
"""Similarity below which a name is noise: `relu` finds `relu_`, `foo` finds nothing."""


def near_matches(name: str, known: Iterable[str], limit: int = 5) -> tuple[str, ...]:
    """The known names that are most like `name`, the best first; ties by name."""
    return tuple(difflib.get_close_matches(name, sorted(set(known)), n=limit, cutoff=_CUTOFF))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean relu_ or prelu?`, or nothing where nothing is near."""
    matches = near_matches(name, known)
    return f"; did you mean {' or '.join(matches)}?" if matches else ""
