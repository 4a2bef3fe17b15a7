"""Which of an operator's recorded calls stand for all of them: every kind of arguments, small ones and large ones.

Deterministic: the same recordings always give the same choice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence

from backend_bench.suites.arguments import Arguments, TensorSpec, Value
from backend_bench.suites.recordings import Recording
from backend_bench.suites.selection import kind_of
from backend_bench.suites.trials import input_bytes

Groups = list[Iterator[Recording]]
"""Recordings of a kind each, in the order of preference; the first group is asked first."""


def choose(groups: Groups, most: int, accept: Callable[[Recording], bool]) -> list[Recording]:
    """Up to `most` recordings that `accept` takes: one of each group, then a second of each, and so on."""
    chosen: list[Recording] = []
    waiting = list(groups)
    while waiting:
        for group in list(waiting):
            if len(chosen) == most:
                return chosen
            found = next((each for each in group if each not in chosen and accept(each)), None)
            if found is None:
                waiting.remove(group)
            else:
                chosen.append(found)
    return chosen


def for_correctness(recordings: Sequence[Recording]) -> Groups:
    """By kind of arguments, the kinds that models call most first."""
    return _by_kind(recordings, lambda each: each.count)


def for_performance(recordings: Sequence[Recording]) -> Groups:
    """What moves most memory in all its calls, the largest ones, and then by kind, the busiest first."""
    heaviest = sorted(recordings, key=_traffic, reverse=True)
    largest = sorted(recordings, key=lambda each: -input_bytes(each.arguments))
    return [iter(heaviest[:1]), iter(largest), *_by_kind(recordings, _traffic)]


def _traffic(recording: Recording) -> int:
    return recording.count * input_bytes(recording.arguments)


def _by_kind(recordings: Sequence[Recording], weight: Callable[[Recording], int]) -> Groups:
    kinds: dict[Hashable, list[Recording]] = defaultdict(list)
    for recording in recordings:
        kinds[kind_of(recording.arguments), _relations(recording.arguments)].append(recording)
    often = sorted(kinds.values(), key=lambda group: -sum(map(weight, group)))
    return [_by_size(group, weight) for group in often]


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
