"""The survey of all samples: which operators they reach, and which cases of each are worth keeping."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from backend_bench.operator import Operator
from backend_bench.submission import SuiteSpec
from backend_bench.suites.catalog import operator_names, resolve
from backend_bench.suites.exclusions import reason
from backend_bench.suites.findings import Found
from backend_bench.suites.samples import Site, dtypes, infos
from backend_bench.suites.selection import select
from backend_bench.suites.surveyors import Question, Surveyors


def survey(spec: SuiteSpec) -> dict[Operator, list[Found]]:
    """Every ATen operator that a sample reaches, with the cases that are kept, in the order of OpInfo."""
    with Surveyors(spec.device) as surveyors:
        found = _reached(spec, surveyors)
        excluded = {op for op in found if reason(op, resolve(op))}
        kept = {op: [] if op in excluded else select(cases) for op, cases in found.items()}
        trusted: set[Site] = set()
        while refused := _refused(_untrusted(kept, trusted), surveyors):
            for op in {case.op for case in refused}:
                sites = {case.site for case in refused}
                found[op] = [case for case in found[op] if case.site not in sites]
                kept[op] = select(found[op])
        return kept


def _reached(spec: SuiteSpec, surveyors: Surveyors) -> dict[Operator, list[Found]]:
    assert spec.dtype is not None
    questions = [Question(name, dtype) for name in infos() for dtype in dtypes(name, spec.device, spec.dtype)]
    found: dict[Operator, list[Found]] = {}
    for findings in surveyors.ask(questions):
        for op in findings.ops:
            found.setdefault(op, [])
        for case in findings.cases:
            found[case.op].append(case)
    return {op: cases for op, cases in found.items() if str(op) in operator_names()}


def _untrusted(kept: dict[Operator, list[Found]], trusted: set[Site]) -> list[Found]:
    """Kept cases that the second seed has not tried; from now on they count as tried."""
    cases = [case for each in kept.values() for case in each if case.site not in trusted]
    trusted.update(case.site for case in cases)
    return cases


def _refused(cases: Iterable[Found], surveyors: Surveyors) -> list[Found]:
    """Those that the second seed does not give."""
    by_info: dict[tuple[str, str], list[Found]] = defaultdict(list)
    for case in cases:
        by_info[case.site.info, case.site.dtype].append(case)
    questions = [Question(name, dtype, tuple(sites)) for (name, dtype), sites in by_info.items()]
    return [case for findings in surveyors.ask(questions) for case in findings.cases]
