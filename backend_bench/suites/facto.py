"""Calls that FACTO's specifications allow, of FACTO as the user has installed it.

A case is a call that FACTO generates, spread over all that it generates for an operator; its values are drawn anew
each time, within what the specification allows. FACTO itself is needed only to make the index, which is stored with
the bounds of each case. There are no performance cases: FACTO's tensors are small.
"""

from __future__ import annotations

import functools
import threading
from collections import Counter
from collections.abc import Iterator

import torch

from backend_bench.cases import Call, Entry, SuiteIndex
from backend_bench.errors import JudgeError, UsageError
from backend_bench.operator import Operator
from backend_bench.submission import SuiteSpec
from backend_bench.suites import facto_package, index_cache
from backend_bench.suites.arguments import parse
from backend_bench.suites.expendable import Expendable, Expendables, Lost
from backend_bench.suites.facto_cases import Choice, chosen, drawn, without_cases
from backend_bench.suites.near_matches import did_you_mean
from backend_bench.suites.specifications import database
from backend_bench.suites.values import Bounds, seed_of
from backend_bench.verdict import CaseKind

MOST_DEADLY = 8
"""Calls of one operator that may end a process; one with more has no cases."""

Ranges = dict[str, list[list[Bounds | None]]]
"""By operator, for each case of the index in order, where the values of each tensor lie."""


class FactoSuite:
    """The operators that FACTO has specifications of, on one device, in one dtype."""

    def __init__(self, spec: SuiteSpec) -> None:
        assert spec.source is not None
        assert spec.dtype is not None
        self.spec = spec
        self._made: tuple[SuiteIndex, Ranges] | None = None
        self._making = threading.Lock()

    def index(self) -> SuiteIndex:
        return self._load()[0]

    def entry(self, op: Operator) -> Entry | None:
        return self.index().entries.get(str(op))

    def draws(self, op: Operator, kind: CaseKind, seed: int) -> Iterator[Call | None]:
        for number in range(len(self._cases(op, kind))):
            yield self.draw(op, kind, number, seed)

    def draw(self, op: Operator, kind: CaseKind, number: int, seed: int) -> Call:
        cases = self._cases(op, kind)
        if not 0 <= number < len(cases):
            raise UsageError(f"facto has {len(cases)} {kind} cases for {op}, and none number {number}")
        text, bounds = cases[number]
        return drawn(op, parse(text), bounds, self.spec.device, seed_of(seed, op, kind, number))

    def draw_many(self, op: Operator, kind: CaseKind, number: int, seed: int, count: int) -> list[Call]:
        return [self.draw(op, kind, number, seed_of(seed, each)) for each in range(count)]

    def _cases(self, op: Operator, kind: CaseKind) -> list[tuple[str, list[Bounds | None]]]:
        index, ranges = self._load()
        name = str(op)
        if name not in index.entries:
            raise UsageError(f"suite facto has no operator {op}{did_you_mean(name, index.entries)}")
        if kind is CaseKind.PERFORMANCE:
            return []
        return list(zip(index.entries[name].correctness, ranges.get(name, []), strict=True))

    def _load(self) -> tuple[SuiteIndex, Ranges]:
        with self._making:
            if self._made is None:
                self._made = self._stored() or self._build()
            return self._made

    def _stored(self) -> tuple[SuiteIndex, Ranges] | None:
        return index_cache.read_with(self.spec, "bounds", Ranges)

    def _build(self) -> tuple[SuiteIndex, Ranges]:
        names = sorted(database())
        with Expendables() as processes:
            kept = dict(
                zip(names, processes.map(functools.partial(_chosen, wanted=self.spec), names), strict=True)
            )
        assert self.spec.source is not None
        index = SuiteIndex(
            spec=self.spec,
            source=facto_package.described(self.spec.source),
            torch=str(torch.__version__),
            entries={name: choice.entry for name, choice in kept.items()},
        )
        ranges = {name: [list(case.bounds) for case in choice.cases] for name, choice in kept.items()}
        index_cache.write(self.spec, "bounds", ranges)
        index_cache.write(self.spec, "index", index)
        return index, ranges


def _chosen(process: Expendable, name: str, wanted: SuiteSpec) -> Choice:
    """An operator's cases, whatever some of its calls do to the process that makes them. Each counts when it has ended two: one may end for
    other reasons."""
    ended: Counter[int] = Counter()
    unseen = 0
    while len(deadly := frozenset(place for place in ended if ended[place] > 1)) < MOST_DEADLY:
        try:
            return process.ask(chosen, name, wanted, deadly)
        except (Lost, JudgeError) as problem:
            process.end()  # its device may be broken though it lives
            if process.at is not None:
                ended[process.at] += 1
                continue
            unseen += 1
            if unseen > 1:
                raise JudgeError(f"the cases of {name} cannot be chosen: {problem}") from problem
    return without_cases(
        name, f"what FACTO generates ends the process that makes it on {wanted.device}", wanted.device
    )
