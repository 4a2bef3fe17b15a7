"""Operator calls of real models, as BackendBench's data set and TritonBench's traces recorded them.

A case is a recorded call; its values are drawn anew each time, such as its operator admits. Few of an operator's
many recordings become cases: small ones for correctness, large ones for performance. `account` says what became
of every row.
"""

from __future__ import annotations

import dataclasses
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from backend_bench.cases import Call, Entry, SuiteIndex
from backend_bench.errors import UsageError
from backend_bench.operator import Operator
from backend_bench.submission import SuiteSpec
from backend_bench.suites import index_cache
from backend_bench.suites.arguments import (
    CODES,
    Arguments,
    DeviceName,
    Dtype,
    TensorSpec,
    Value,
    parse,
    render,
)
from backend_bench.suites.catalog import entry, operator_names, resolve
from backend_bench.suites.domains import admit
from backend_bench.suites.exclusions import DROPPING, METADATA, RANDOM, VIEW, reason
from backend_bench.suites.near_matches import did_you_mean
from backend_bench.suites.recordings import Recording, Row, SetAside, flat, mapped, plain, read
from backend_bench.suites.sources import content, described
from backend_bench.suites.trials import Cost, bytes_of, cost, drops, input_bytes, refusal
from backend_bench.suites.typical import choose, for_correctness, for_performance
from backend_bench.suites.values import draw_call, draw_calls, seed_of
from backend_bench.verdict import CaseKind

MB = 1 << 20

CASES_PER_OP = 12
"""Correctness cases of one operator where the request names no number. A judge draws each five times and more, and checks it in
float64, so that twelve keep a candidate within seconds, and they reach every kind of arguments that most operators have."""
_TIMED_SHARE = 3
"""One performance case for three of correctness: each is drawn a hundred times and takes most of the time."""
_MOST_TRIALS = 8
"""Refused calls of one operator after which it is not tried any further."""

_GROWN = 33
"""Size in the place of 0: no power of two, so that the end of a block is met."""

_WORTH_TIMING = 64 << 10
"""Bytes of inputs below which a call is timed only where the operator has no larger one: it measures the launch."""
_MOST_EMPTY = 2
"""Cases with an empty tensor: they are a test of manners, and nearly any kernel passes."""
UNTIMED = (VIEW, METADATA)
"""Operators that compute nothing: the recorded set has them, so they are tested, but there is nothing to time."""

UNKNOWN = "torch has no such operator"
TOO_LARGE = "its recorded calls are too large for this device"


@dataclass(frozen=True, slots=True)
class Room:
    """What a case may take on a device."""

    bytes: int
    """Memory of inputs and results."""
    cpu_ms: float = float("inf")
    """Time of ATen on one thread of a CPU."""

    def holds(self, cost: Cost) -> bool:
        return cost.bytes <= self.bytes and cost.cpu_ms <= self.cpu_ms

    def without(self, cost: Cost) -> Room:
        """What is left for the next case."""
        return Room(self.bytes - cost.bytes, self.cpu_ms - cost.cpu_ms)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the cases of one kind may take."""

    each: Room
    """One of them."""
    together: Room
    """All cases of an operator."""
    alone: Room
    """The smallest recording, where it is too large for `each` and the operator would have no case."""
    cut: Room | None = None
    """Before that, the smallest recording with a shorter first dimension; None: as recorded or not at all."""


LIMITS: Mapping[tuple[str, CaseKind], Limits] = {
    ("cpu", CaseKind.CORRECTNESS): Limits(
        Room(2 * MB, 10), Room(8 * MB, 40), Room(128 * MB, 1500), cut=Room(12 * MB, 100)
    ),
    ("cpu", CaseKind.PERFORMANCE): Limits(Room(32 * MB, 50), Room(64 * MB, 150), Room(64 * MB, 150)),
    ("cuda", CaseKind.CORRECTNESS): Limits(Room(32 * MB), Room(128 * MB), Room(1024 * MB)),
    ("cuda", CaseKind.PERFORMANCE): Limits(Room(512 * MB), Room(1536 * MB), Room(2048 * MB)),
}
"""All draws of all correctness cases are in memory at once, in float64 too, and each is checked against it; performance cases are
drawn one by one, but up to a hundred times, and to check one of 2 GB took more than 60 GB. Half a gigabyte is ten times the
cache of an H100, and a fifth of a millisecond of its memory's time."""


class TorchBenchSuite:
    """The recorded operators of one source, on one device."""

    def __init__(self, spec: SuiteSpec) -> None:
        assert spec.source is not None
        self.spec = spec
        self._index: SuiteIndex | None = None
        self._recorded: dict[Operator, list[Recording]] | None = None
        self._entries: dict[Operator, Entry] = {}
        """Of operators that were asked for. To have those of all takes minutes where there is no index: each call of a case is tried."""
        self._making = threading.RLock()

    def index(self) -> SuiteIndex:
        with self._making:
            self._index = self._index or index_cache.load_cached_index(self.spec) or self._build()
            return self._index

    def entry(self, op: Operator) -> Entry | None:
        # Others may be making theirs for minutes, and whoever draws has a share of the device.
        if (known := self._entries.get(op)) is not None:
            return known
        with self._making:
            self._index = self._index or index_cache.load_cached_index(self.spec)
            if self._index is not None:
                found = self._index.entries.get(str(op))
            elif op in self._recordings():
                found = self._entry(op, self._recordings()[op])
            else:
                return None
            if found is not None:
                self._entries[op] = found
            return found

    def _recordings(self) -> dict[Operator, list[Recording]]:
        if self._recorded is None:
            self._recorded = merged(rows(self.spec), self.spec)
        return self._recorded

    def draws(self, op: Operator, kind: CaseKind, seed: int) -> Iterator[Call | None]:
        for number, text in enumerate(self._cases(op, kind)):
            yield self._drawn(op, kind, number, text, seed)

    def draw(self, op: Operator, kind: CaseKind, number: int, seed: int) -> Call:
        return self._drawn(op, kind, number, self._case(op, kind, number), seed)

    def draw_many(self, op: Operator, kind: CaseKind, number: int, seed: int, count: int) -> list[Call]:
        arguments = parse(self._case(op, kind, number))
        calls = draw_calls(arguments, self.spec.device, seed_of(seed, op, kind, number), count)
        return [
            admit(op, call, seed_of(seed, op, kind, number, "admit", each)) for each, call in enumerate(calls)
        ]

    def _case(self, op: Operator, kind: CaseKind, number: int) -> str:
        cases = self._cases(op, kind)
        if not 0 <= number < len(cases):
            raise UsageError(f"torchbench has {len(cases)} {kind} cases for {op}, and none number {number}")
        return cases[number]

    def _cases(self, op: Operator, kind: CaseKind) -> tuple[str, ...]:
        found = self.entry(op)
        if found is None:
            known = self._index.entries if self._index else map(str, self._recordings())
            raise UsageError(f"suite torchbench has no operator {op}{did_you_mean(str(op), known)}")
        return found.correctness if kind is CaseKind.CORRECTNESS else found.performance

    def _drawn(self, op: Operator, kind: CaseKind, number: int, text: str, seed: int) -> Call:
        call = draw_call(parse(text), self.spec.device, seed_of(seed, op, kind, number))
        return admit(op, call, seed_of(seed, op, kind, number, "admit"))

    def _build(self) -> SuiteIndex:
        source = self.spec.source
        assert source is not None
        loaded = self._recordings()
        index = SuiteIndex(
            spec=self.spec,
            source=described(source, self.spec.dtype),
            torch=str(torch.__version__),
            entries={str(op): self._entries.get(op) or self._entry(op, loaded[op]) for op in sorted(loaded)},
        )
        index_cache.write(self.spec, "index", index)
        self._recorded = None
        return index

    def _entry(self, op: Operator, recordings: Sequence[Recording]) -> Entry:
        calls = sum(each.count for each in recordings)
        excluded = reason(op, resolve(op))
        if excluded == RANDOM and op.base in DROPPING:
            recordings = [each for each in recordings if not drops(op, each.arguments)]
            excluded = "" if recordings else RANDOM
        if excluded and excluded not in UNTIMED:
            return entry(op, self.spec.device, reason=excluded, calls=calls)
        found = _Cases(op, _with_something_to_do(recordings), self.spec)
        correctness = found.of(CaseKind.CORRECTNESS)
        performance = [] if excluded else found.of(CaseKind.PERFORMANCE)
        return entry(
            op,
            self.spec.device,
            correctness=tuple(render(each.arguments) for each in correctness),
            performance=tuple(render(each.arguments) for each in performance),
            reason="" if correctness or performance else found.why_not(),
            calls=calls,
            correctness_calls=tuple(each.count for each in correctness),
            performance_calls=tuple(each.count for each in performance),
        )


# ---- what a recording is on this device ----------------------------------------------------------


def rows(spec: SuiteSpec) -> list[Row]:
    """Every row of the spec's source: a recording of an operator that torch has, or why it makes no case."""
    assert spec.source is not None
    name = spec.source.rpartition("#")[0]
    known = operator_names()
    return [
        SetAside(f"{UNKNOWN}: {row.op}", row.where)
        if isinstance(row, Recording) and str(row.op) not in known
        else row
        for row in read(content(spec.source), name)
    ]


def merged(rows: Sequence[Row], spec: SuiteSpec) -> dict[Operator, list[Recording]]:
    """The recordings of each operator as they are called here; those that come to the same are one."""
    found: dict[Operator, dict[str, Recording]] = defaultdict(dict)
    for row in rows:
        if isinstance(row, Recording):
            row = dataclasses.replace(row, arguments=localised(row.arguments, spec))
            text = render(row.arguments)
            same = found[row.op].get(text)
            count = row.count + (same.count if same else 0)
            found[row.op][text] = dataclasses.replace(same or row, count=count)
    return {op: list(each.values()) for op, each in found.items()}


def localised(arguments: Arguments, spec: SuiteSpec) -> Arguments:
    """The arguments on the spec's device, and in its dtype if it names one.

    A dtype that is given as an argument follows where it is that of a converted tensor: it says what kind of
    tensor that is. Another one is what the operator is to convert to, and stays.
    """
    code = CODES[spec.dtype] if spec.dtype else None
    floating = {
        value.dtype for value in flat(arguments) if isinstance(value, TensorSpec) and _is_real(value.dtype)
    }

    def change(value: Value) -> Value:
        if isinstance(value, DeviceName):
            return DeviceName(spec.device)
        if code is None:
            return value
        if isinstance(value, TensorSpec) and value.dtype in floating:
            return TensorSpec(value.shape, code, value.stride)
        return Dtype(code) if isinstance(value, Dtype) and value.code in floating else value

    changed = mapped(arguments, change)
    if isinstance(changed.kwargs.get("device"), str):
        changed.kwargs["device"] = spec.device
    return changed


def _is_real(code: str) -> bool:
    return code in ("f16", "bf16", "f32", "f64")


class _Cases:
    """The cases of one operator in the making."""

    def __init__(self, op: Operator, recordings: Sequence[Recording], spec: SuiteSpec) -> None:
        self._op, self._spec = op, spec
        self._recordings = sorted(recordings, key=lambda each: input_bytes(each.arguments))
        self._refused: Counter[str] = Counter()
        self._tried: dict[str, bool] = {}

    def of(self, kind: CaseKind) -> list[Recording]:
        """The cases of a kind, small ones first."""
        limits = LIMITS[self._spec.device, kind]
        most = self._spec.cases_per_op or CASES_PER_OP
        if kind is CaseKind.CORRECTNESS:
            pool = self._recordings
            groups = for_correctness(pool)
        else:
            most = -(-most // _TIMED_SHARE)
            pool = [each for each in self._recordings if self._is_timed(each)]
            groups = for_performance(self._worth_timing(pool, limits))
        if self._spec.topn:
            groups, most = [reversed(pool)], min(most, self._spec.topn)
        chosen = choose(groups, most, self._fitting(limits))
        if not chosen and limits.cut:
            smallest = [each for each in pool[:1] if input_bytes(each.arguments) <= limits.alone.bytes]
            shorter = [_shortened(each, limits.cut.bytes // share) for each in smallest for share in (32, 4)]
            chosen = choose(
                [iter(shorter)], len(shorter), self._fitting(Limits(limits.cut, limits.cut, limits.cut))
            )
        if not chosen:
            chosen = choose(
                [iter(pool[:1])], 1, self._fitting(Limits(limits.alone, limits.alone, limits.alone))
            )
        return sorted(chosen, key=lambda each: input_bytes(each.arguments))

    def _is_timed(self, recording: Recording) -> bool:
        return _has_elements(recording) and (self._spec.overhead_dominated or not recording.launch_bound)

    def _worth_timing(self, recordings: Sequence[Recording], limits: Limits) -> list[Recording]:
        """Those whose inputs fit, without the small ones if there are others."""
        holds = [each for each in recordings if input_bytes(each.arguments) <= limits.each.bytes]
        if self._spec.overhead_dominated:
            return holds
        return [each for each in holds if input_bytes(each.arguments) >= _WORTH_TIMING] or holds

    def _fitting(self, limits: Limits) -> Callable[[Recording], bool]:
        """Takes what fits beside those that were taken before."""
        left = limits.together

        def fits(recording: Recording) -> bool:
            nonlocal left
            if input_bytes(recording.arguments) > min(limits.each.bytes, left.bytes):
                return False
            taken = self._cost(recording)
            if taken is None or not limits.each.holds(taken) or not left.holds(taken):
                return False
            left = left.without(taken) if self._runs(recording) else left
            return self._runs(recording)

        return fits

    def _cost(self, recording: Recording) -> Cost | None:
        """None where it cannot be made, or too many before it could not."""
        if self._refused.total() >= _MOST_TRIALS:
            return None
        taken = cost(self._op, recording.arguments)
        if isinstance(taken, str):
            self._refused[taken] += 1
            return None
        return taken

    def _runs(self, recording: Recording) -> bool:
        text = render(recording.arguments)
        if text not in self._tried:
            why = refusal(self._op, recording.arguments, self._spec.device)
            self._refused.update([why] if why else [])
            self._tried[text] = not why
        return self._tried[text]

    def why_not(self) -> str:
        if not self._refused:
            return TOO_LARGE
        [(most_common, _)] = self._refused.most_common(1)
        return f"its recorded calls cannot be made on {self._spec.device}: {most_common}"


def _with_something_to_do(recordings: Sequence[Recording]) -> list[Recording]:
    """The recordings, few of empty tensors; where there are no others, also such as have elements."""
    full = [each for each in recordings if _has_elements(each)]
    empty = [each for each in recordings if not _has_elements(each)]
    grown = [dataclasses.replace(each, arguments=_grown(each.arguments)) for each in empty]
    return [*sorted(empty, key=lambda each: -each.count)[:_MOST_EMPTY], *(full or grown)]


def _shortened(recording: Recording, most_bytes: int) -> Recording:
    """The recording with fewer entries along the first dimension of its largest tensor, wherever that is named.

    What is no batch does not survive a trial of its shapes, and is then no case.
    """
    tensors = [value for value in flat(recording.arguments) if isinstance(value, TensorSpec) and value.shape]
    if not tensors:
        return recording
    whole = max(tensors, key=bytes_of).shape[0]
    few = max(1, whole * most_bytes // max(1, input_bytes(recording.arguments)))
    if few >= whole:
        return recording

    def change(value: Value) -> Value:
        if isinstance(value, TensorSpec) and value.shape[:1] == (whole,):
            return TensorSpec((few, *value.shape[1:]), value.dtype, value.stride)
        return value

    def shorter(value: Value) -> Value:
        if isinstance(value, list) and value[:1] == [whole]:
            return [few, *value[1:]]
        return few if value == whole and type(value) is int else value

    cut = mapped(recording.arguments, change)
    cut = Arguments(tuple(map(shorter, cut.args)), {name: shorter(each) for name, each in cut.kwargs.items()})
    return dataclasses.replace(recording, arguments=mapped(cut, plain))


def _grown(arguments: Arguments) -> Arguments:
    def change(value: Value) -> Value:
        if isinstance(value, TensorSpec):
            return TensorSpec(tuple(size or _GROWN for size in value.shape), value.dtype)
        return value

    return mapped(arguments, change)


def _has_elements(recording: Recording) -> bool:
    """Whether none of its tensors is empty."""
    return all(value.elements for value in flat(recording.arguments) if isinstance(value, TensorSpec))
