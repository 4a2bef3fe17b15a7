"""PyTorch's own samples, one ATen operator at a time.

Each OpInfo of torch's test suite calls its public function on sample inputs; the ATen calls underneath are
recorded with the arguments that reach them. A call that is all that its sample does is a case of that operator;
a call among others (*harvested*) fills up where an operator has few. The index remembers from which sample each
case came, so that fresh values for one operator cost only the samples of that operator.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import torch

from backend_bench.cases import Call, Entry, SuiteIndex
from backend_bench.errors import UsageError
from backend_bench.operator import Operator
from backend_bench.submission import SuiteSpec
from backend_bench.suites import index_cache
from backend_bench.suites.catalog import entry, resolve
from backend_bench.suites.exclusions import UNSTABLE, reason
from backend_bench.suites.fitting import fitting
from backend_bench.suites.near_matches import did_you_mean
from backend_bench.suites.samples import Site, calls_at
from backend_bench.suites.survey import survey
from backend_bench.suites.values import seed_of
from backend_bench.verdict import CaseKind

Sites = dict[str, list[Site]]
"""By operator, for each case of the index in order, where it comes from."""


class OpInfoSuite:
    """The operators that torch's OpInfos reach, on one device, in one dtype."""

    def __init__(self, spec: SuiteSpec) -> None:
        self.spec = spec
        self._made: tuple[SuiteIndex, Sites] | None = None

    def index(self) -> SuiteIndex:
        return self._load()[0]

    def entry(self, op: Operator) -> Entry | None:
        return self.index().entries.get(str(op))

    def draws(self, op: Operator, kind: CaseKind, seed: int) -> Iterator[Call | None]:
        yield from self._drawn(op, self._cases(op, kind), seed)

    def draw(self, op: Operator, kind: CaseKind, number: int, seed: int) -> Call:
        cases = self._cases(op, kind)
        if not 0 <= number < len(cases):
            raise UsageError(f"opinfo has {len(cases)} {kind} cases for {op}, and none number {number}")
        [call] = self._drawn(op, cases[number : number + 1], seed)
        if call is None:
            raise UsageError(
                f"seed {seed} gives other arguments than {cases[number][0]} for case {number} of {op};"
                " take another seed"
            )
        return call

    def draw_many(self, op: Operator, kind: CaseKind, number: int, seed: int, count: int) -> list[Call]:
        return [self.draw(op, kind, number, seed_of(seed, each)) for each in range(count)]

    def _cases(self, op: Operator, kind: CaseKind) -> list[tuple[str, Site]]:
        """Text and site of each case; there are none for performance, whose sizes OpInfo does not have."""
        index, sites = self._load()
        name = str(op)
        if name not in index.entries:
            raise UsageError(f"suite opinfo has no operator {op}{did_you_mean(name, index.entries)}")
        if kind is CaseKind.PERFORMANCE:
            return []
        return list(zip(index.entries[name].correctness, sites.get(name, []), strict=True))

    def _drawn(self, op: Operator, cases: Sequence[tuple[str, Site]], seed: int) -> Iterator[Call | None]:
        """The calls in order; only the values of one OpInfo are alive at a time."""
        for (name, dtype), group in itertools.groupby(cases, lambda case: (case[1].info, case[1].dtype)):
            same = list(group)
            found = calls_at(name, dtype, self.spec.device, seed, {site for _, site in same})
            for text, site in same:
                traced = found.pop(site, None)
                if traced is None or traced.call is None or traced.op != op:
                    yield None
                else:
                    yield fitting(op, traced.call, text)

    def _load(self) -> tuple[SuiteIndex, Sites]:
        if self._made is None:
            self._made = self._stored() or self._build()
        return self._made

    def _stored(self) -> tuple[SuiteIndex, Sites] | None:
        return index_cache.read_with(self.spec, "sites", Sites)

    def _build(self) -> tuple[SuiteIndex, Sites]:
        kept = survey(self.spec)
        version = str(torch.__version__)
        index = SuiteIndex(
            spec=self.spec,
            source=f"torch {version} op_db",
            torch=version,
            entries={
                str(op): entry(
                    op,
                    self.spec.device,
                    correctness=tuple(case.text for case in kept[op]),
                    reason="" if kept[op] else reason(op, resolve(op)) or UNSTABLE,
                )
                for op in sorted(kept)
            },
        )
        sites = {str(op): [case.site for case in cases] for op, cases in kept.items()}
        index_cache.write(self.spec, "sites", sites)
        index_cache.write(self.spec, "index", index)
        return index, sites
