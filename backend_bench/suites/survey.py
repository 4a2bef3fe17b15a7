"""The survey of all samples: which operators they reach, and which cases of each are worth keeping.

Keeps no values: a case is where it comes from, and its text.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from backend_bench.cases import Call
from backend_bench.operator import Operator
from backend_bench.submission import SuiteSpec
from backend_bench.suites.calls import Unspeakable, describe, tensors_of
from backend_bench.suites.catalog import operator_names, resolve
from backend_bench.suites.exclusions import reason
from backend_bench.suites.fitting import fitting
from backend_bench.suites.samples import MOST_BYTES, Site, bytes_of, calls_at, dtypes, infos, traces
from backend_bench.suites.selection import select
from backend_bench.suites.tracing import Traced

_SEED, _SECOND_SEED = 0, 1
"""The first finds the cases; one that the second does not give as well could not be promised to anybody."""
_WILD = 1000.0
"""OpInfo's ordinary values lie in [-9, 9]; beyond this, infinite or NaN, a value tries the edges of an operator."""


@dataclass(frozen=True, slots=True)
class Found:
    """A case that may enter the index."""

    op: Operator
    """The operator."""
    site: Site
    """Where it comes from."""
    text: str
    """Its arguments."""
    harvested: bool
    """Whether its sample makes other ATen calls too."""
    wild: bool
    """Whether it holds infinities, NaN or huge values."""


def survey(spec: SuiteSpec) -> dict[Operator, list[Found]]:
    """Every ATen operator that a sample reaches, with the cases that are kept, in the order of OpInfo."""
    found = _reached(spec)
    excluded = {op for op in found if reason(op, resolve(op))}
    kept = {op: [] if op in excluded else select(cases) for op, cases in found.items()}
    trusted: set[Site] = set()
    while refused := _refused(_untrusted(kept, trusted), spec.device):
        for op in {case.op for case in refused}:
            sites = {case.site for case in refused}
            found[op] = [case for case in found[op] if case.site not in sites]
            kept[op] = select(found[op])
    return kept


def _reached(spec: SuiteSpec) -> dict[Operator, list[Found]]:
    found: dict[Operator, list[Found]] = defaultdict(list)
    assert spec.dtype is not None
    for name in infos():
        for dtype in dtypes(name, spec.device, spec.dtype):
            for first, traced in traces(name, dtype, spec.device, _SEED):
                for number, item in enumerate(traced):
                    site = Site(name, dtype, first.sample, first.form, number)
                    found[item.op] += _case(item.op, site, item.call, spec.device, harvested=len(traced) > 1)
    return {op: cases for op, cases in found.items() if str(op) in operator_names()}


def _case(op: Operator, site: Site, call: Call | None, device: str, *, harvested: bool) -> Iterator[Found]:
    """The call as a case, if it can be one."""
    if call is not None and bytes_of(call) <= MOST_BYTES and _keeps_schema(op, call) and _is_on(device, call):
        try:
            text = describe(call)
        except Unspeakable:
            return
        yield Found(op, site, text, harvested, _is_wild(call))


def _keeps_schema(op: Operator, call: Call) -> bool:
    """Whether every argument that the schema calls a tensor is one.

    torch unwraps a number that came as a tensor before a trace sees it; no kernel has to expect that.
    """
    schema = resolve(op)._schema.arguments
    given = {argument.name: value for argument, value in zip(schema, call.args, strict=False)} | call.kwargs
    return not any(
        isinstance(given.get(argument.name), bool | int | float | complex)
        for argument in schema
        if str(argument.type) in ("Tensor", "Optional[Tensor]")
    )


def _is_on(device: str, call: Call) -> bool:
    """Whether it has no tensor, or one there: some samples are made on the CPU whatever device is asked for."""
    found = {tensor.device.type for tensor in tensors_of(call)}
    return not found or device in found


def _is_wild(call: Call) -> bool:
    return any(
        not bool((tensor.abs() <= _WILD).all())
        for tensor in tensors_of(call)
        if tensor.is_floating_point() and tensor.numel()
    )


def _untrusted(kept: dict[Operator, list[Found]], trusted: set[Site]) -> list[Found]:
    """Kept cases that the second seed has not tried; from now on they count as tried."""
    cases = [case for each in kept.values() for case in each if case.site not in trusted]
    trusted.update(case.site for case in cases)
    return cases


def _refused(cases: Iterable[Found], device: str) -> list[Found]:
    """Those that the second seed does not give."""
    by_info: dict[tuple[str, str], dict[Site, Found]] = defaultdict(dict)
    for case in cases:
        by_info[case.site.info, case.site.dtype][case.site] = case
    refused: list[Found] = []
    for (name, dtype), sites in by_info.items():
        calls = calls_at(name, dtype, device, _SECOND_SEED, sites.keys())
        refused += [case for site, case in sites.items() if not _is_given(case, calls.get(site))]
    return refused


def _is_given(case: Found, traced: Traced | None) -> bool:
    if traced is None or traced.op != case.op or traced.call is None:
        return False
    return fitting(case.op, traced.call, case.text) is not None
