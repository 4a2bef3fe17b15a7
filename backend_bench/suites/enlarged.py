"""A suite with cases beyond its own, where the request asks for them: error inputs, and timed calls of real models.

What the suite has itself comes from it unchanged.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from backend_bench.cases import Call, Entry, SuiteIndex
from backend_bench.errors import UsageError
from backend_bench.operator import Operator
from backend_bench.submission import SuiteSpec
from backend_bench.suites import index_cache
from backend_bench.suites.error_inputs import draw_error_input, error_inputs
from backend_bench.suites.torchbench import TorchBenchSuite
from backend_bench.verdict import CaseKind

if TYPE_CHECKING:
    from backend_bench.suites import Suite

NEVER_RECORDED = "none of the models behind the bundled traces calls it"
NOT_TIMED = "none of its recorded calls is one to time on this device"


class EnlargedSuite:
    """A suite of calls made for tests, with what its spec asks for beside them."""

    def __init__(self, spec: SuiteSpec, own: Suite, traces: TorchBenchSuite) -> None:
        self.spec = spec
        self._own = own
        self._traces = traces
        """Recorded calls on the same device, in the same dtype; read only where performance cases come from them."""
        self._index: SuiteIndex | None = None

    def index(self) -> SuiteIndex:
        if self._index is None:
            self._index = index_cache.load_cached_index(self.spec) or self._build()
        return self._index

    def entry(self, op: Operator) -> Entry | None:
        return self.index().entries.get(str(op))

    def draws(self, op: Operator, kind: CaseKind, seed: int) -> Iterator[Call | None]:
        if kind is CaseKind.ERROR_INPUT:
            for text in self._entry(op).error_inputs:
                yield draw_error_input(op, text, self.spec.device, seed)
        elif kind is CaseKind.PERFORMANCE:
            if self._entry(op).performance:
                yield from self._traces.draws(op, kind, seed)
        else:
            yield from self._own.draws(op, kind, seed)

    def draw(self, op: Operator, kind: CaseKind, number: int, seed: int) -> Call:
        entry = self._entry(op)
        if kind is CaseKind.PERFORMANCE and entry.performance:
            return self._traces.draw(op, kind, number, seed)
        if kind is CaseKind.ERROR_INPUT and 0 <= number < len(entry.error_inputs):
            return draw_error_input(op, entry.error_inputs[number], self.spec.device, seed)
        return self._own.draw(op, kind, number, seed)

    def draw_many(self, op: Operator, kind: CaseKind, number: int, seed: int, count: int) -> list[Call]:
        if kind is CaseKind.PERFORMANCE and self._entry(op).performance:
            return self._traces.draw_many(op, kind, number, seed, count)
        return self._own.draw_many(op, kind, number, seed, count)

    def _entry(self, op: Operator) -> Entry:
        found = self.entry(op)
        if found is None:
            raise UsageError(f"suite {self.spec.name} has no operator {op}")
        return found

    def _build(self) -> SuiteIndex:
        own = self._own.index()
        refused = error_inputs(self.spec.device) if self.spec.error_inputs else {}
        timed = self._traces.index() if self.spec.perf_cases == "traces" else None
        index = dataclasses.replace(
            own,
            spec=self.spec,
            source=f"{own.source}; timed calls: {timed.source}" if timed else own.source,
            entries={
                name: self._enlarged(entry, refused.get(Operator.parse(name), ()), timed)
                for name, entry in own.entries.items()
            },
        )
        index_cache.write(self.spec, "index", index)
        return index

    def _enlarged(self, entry: Entry, refused: tuple[str, ...], timed: SuiteIndex | None) -> Entry:
        if not entry.correctness:
            return entry
        entry = dataclasses.replace(entry, error_inputs=refused)
        if timed is None:
            return entry
        recorded = timed.entries.get(entry.op)
        if recorded is None:
            return dataclasses.replace(entry, untimed=NEVER_RECORDED)
        return dataclasses.replace(
            entry,
            performance=recorded.performance,
            performance_calls=recorded.performance_calls,
            calls=recorded.calls,
            untimed="" if recorded.performance else recorded.reason or NOT_TIMED,
        )
