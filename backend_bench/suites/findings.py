"""What the samples of one OpInfo reach, and which of that comes again with other values.

Keeps no values: a case is where it comes from, and its text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from backend_bench.cases import Call
from backend_bench.operator import Operator
from backend_bench.suites.calls import Unspeakable, describe, tensors_of
from backend_bench.suites.catalog import resolve
from backend_bench.suites.fitting import fitting
from backend_bench.suites.samples import MOST_BYTES, Site, bytes_of, calls_at, traces
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


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found about one OpInfo."""

    cases: list[Found]
    """In the order of its samples."""
    ops: list[Operator]
    """What they call, also where no call may be a case."""


def reached(name: str, dtype: str, device: str) -> Findings:
    """Everything that an OpInfo's samples call, of whatever operator."""
    cases: list[Found] = []
    ops: dict[Operator, None] = {}
    for first, traced in traces(name, dtype, device, _SEED):
        for number, item in enumerate(traced):
            site = Site(name, dtype, first.sample, first.form, number)
            cases += _case(item.op, site, item.call, device, harvested=len(traced) > 1)
            ops[item.op] = None
    return Findings(cases, list(ops))


def refused(name: str, dtype: str, device: str, cases: Sequence[Found]) -> Findings:
    """Those of an OpInfo's cases that the second seed does not give."""
    calls = calls_at(name, dtype, device, _SECOND_SEED, {case.site for case in cases})
    missing = [case for case in cases if not _is_given(case, calls.get(case.site))]
    return Findings(missing, list(dict.fromkeys(case.op for case in missing)))


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


def _is_given(case: Found, traced: Traced | None) -> bool:
    if traced is None or traced.op != case.op or traced.call is None:
        return False
    return fitting(case.op, traced.call, case.text) is not None
