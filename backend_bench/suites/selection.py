"""Which of many cases of an operator are kept: few repeats, and every kind of argument before the second of any."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Protocol, TypeVar

from backend_bench.suites.arguments import Arguments, TensorSpec, Value, parse

MOST_CASES = 64
"""Cases of one operator. OpInfo has up to 1,440 samples of one; 64 keep an evaluation within seconds."""
MOST_REPEATS = 2
"""Cases with the same text, which differ in their values alone; every judge draws each of them several times."""
MOST_HARVESTED = 16
"""With this many cases, an operator needs none from inside the work of another one."""


class Candidate(Protocol):
    """A case that may be kept."""

    @property
    def text(self) -> str: ...

    @property
    def harvested(self) -> bool: ...

    @property
    def wild(self) -> bool: ...


C = TypeVar("C", bound=Candidate)


def select(candidates: Sequence[C]) -> list[C]:
    """The kept cases, in their old order; the same candidates always give the same choice."""
    seen: Counter[str] = Counter()
    pure: list[int] = []
    harvested: list[int] = []
    for number, candidate in enumerate(candidates):
        if candidate.harvested:
            continue
        seen[candidate.text] += 1
        if seen[candidate.text] <= MOST_REPEATS:
            pure.append(number)
    for number, candidate in enumerate(candidates):
        if candidate.harvested and not seen[candidate.text]:
            seen[candidate.text] += 1
            harvested.append(number)
    kept = _spread(pure, candidates)[:MOST_CASES]
    kept += _spread(harvested, candidates)[: max(0, MOST_HARVESTED - len(kept))]
    return [candidates[number] for number in sorted(kept)]


def _spread(numbers: Iterable[int], candidates: Sequence[C]) -> list[int]:
    """The numbers reordered: the first of each kind of arguments, then the second of each, and so on.

    In a round, those with wild values come first: they are few, and stand at the end.
    """
    rounds: list[tuple[int, bool, int]] = []
    count: Counter[Hashable] = Counter()
    for number in numbers:
        candidate = candidates[number]
        kind = _kind(candidate.text), candidate.wild
        rounds.append((count[kind], not candidate.wild, number))
        count[kind] += 1
    return [number for _, _, number in sorted(rounds)]


@functools.lru_cache(maxsize=100_000)
def _kind(text: str) -> Hashable:
    return kind_of(parse(text))


def kind_of(arguments: Arguments) -> Hashable:
    """What the arguments are like, sizes left out."""
    named = tuple(sorted((name, _like(value)) for name, value in arguments.kwargs.items()))
    return _like(arguments.args), named


def _like(value: Value) -> str:
    match value:
        case TensorSpec(shape, dtype, stride):
            empty = "empty" if 0 in shape else ""
            return f"{dtype}/{len(shape)}/{'' if stride is None else 'strided'}/{empty}"
        case tuple() | list():
            return f"[{' '.join(map(_like, value[:4]))}]"
        case bool() | str():
            return repr(value)
        case _:
            return type(value).__name__
