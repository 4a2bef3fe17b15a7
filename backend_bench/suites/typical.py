"""Which of an operator's recorded calls stand for all of them: every kind of arguments, small ones and large ones.

Deterministic: the same recordings always give the same choice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import zip_longest

from backend_bench.suites.arguments import Arguments, TensorSpec, Value
from backend_bench.suites.recordings import Recording
from backend_bench.suites.selection import kind_of
from backend_bench.suites.trials import input_bytes


def choose(preferred: Iterable[Recording], most: int, accept: Callable[[Recording], bool]) -> list[Recording]:
    """Up to `most` recordings that `accept` takes, each once; it is asked about few others."""
    chosen: list[Recording] = []
    for recording in preferred:
        if len(chosen) == most:
            break
        if recording not in chosen and accept(recording):
            chosen.append(recording)
    return chosen


def for_correctness(recordings: Sequence[Recording]) -> Iterator[Recording]:
    """One of each kind of arguments, the kinds that models call most first, then a second of each, and so on."""
    return _by_kind(recordings, lambda each: each.count)


def for_performance(recordings: Sequence[Recording]) -> Iterator[Recording]:
    """The one that moves most memory in all its calls, the largest ones, and then by kind, the busiest first."""
    heaviest = sorted(recordings, key=_traffic, reverse=True)
    largest = sorted(recordings, key=lambda each: -input_bytes(each.arguments))
    yield from heaviest[:1]
    yield from largest[:1]
    yield from _by_kind(recordings, _traffic)


def _traffic(recording: Recording) -> int:
    return recording.count * input_bytes(recording.arguments)


def _by_kind(recordings: Sequence[Recording], weight: Callable[[Recording], int]) -> Iterator[Recording]:
    kinds: dict[Hashable, list[Recording]] = defaultdict(list)
    for recording in recordings:
        kinds[kind_of(recording.arguments), _relations(recording.arguments)].append(recording)
    often = sorted(kinds.values(), key=lambda group: -sum(map(weight, group)))
    for round_ in zip_longest(*(_by_size(group, weight) for group in often)):
        yield from (recording for recording in round_ if recording is not None)


def _relations(arguments: Arguments) -> tuple[bool, ...]:
    """Which tensors and which lists of sizes have the shape of the first tensor.

    Broadcasting differs from not broadcasting, and a slice of the whole is a copy.
    """
    values = [value for argument in arguments.args for value in _entered(argument)]
    shapes = [value.shape for value in values if isinstance(value, TensorSpec)]
    return tuple(
        value == list(shapes[0]) if isinstance(value, list) else value.shape == shapes[0]
        for value in values
        if shapes and isinstance(value, TensorSpec | list)
    )


def _entered(argument: Value) -> Sequence[Value]:
    """The items of a list of tensors, else the argument itself."""
    if isinstance(argument, list) and any(isinstance(item, TensorSpec) for item in argument):
        return argument[:4]
    return [argument]


def _by_size(group: list[Recording], weight: Callable[[Recording], int]) -> Iterator[Recording]:
    """The weightiest one, then the smallest, the largest, the middle one, and so on into the gaps."""
    favourite = max(group, key=weight)
    yield favourite
    ordered = sorted(group, key=lambda each: input_bytes(each.arguments))
    for number in _into_the_gaps(len(ordered)):
        if ordered[number] is not favourite:
            yield ordered[number]


def _into_the_gaps(count: int) -> Iterator[int]:
    """0 to count - 1: both ends, the middle, the middles of the halves, and so on."""
    ends = [0, count - 1] if count > 1 else [0] if count else []
    yield from ends
    gaps = [(0, count - 1)]
    while gaps:
        wider = []
        for low, high in gaps:
            middle = (low + high) // 2
            if low < middle < high:
                yield middle
                wider += [(low, middle), (middle, high)]
        gaps = wider
