"""What a suite means where the request leaves it open. Imports no torch."""

from __future__ import annotations

import dataclasses
import typing

from backend_bench.errors import UsageError
from backend_bench.submission import Device, PerfCases, SuiteName, SuiteSpec
from backend_bench.suites import facto_package
from backend_bench.suites.arguments import DTYPES
from backend_bench.suites.near_matches import did_you_mean
from backend_bench.suites.sources import pinned

_FLOATING = ("bfloat16", "float16", "float32", "float64")
"""Dtypes that a suite can draw in; integers and booleans come in where an operator takes nothing else."""


def filled(spec: SuiteSpec) -> SuiteSpec:
    """The spec with defaults in place; a UsageError with near matches where something is unknown."""
    known = typing.get_args(SuiteName)
    if spec.name not in known:
        raise UsageError(
            f"no suite is called {spec.name!r}{did_you_mean(spec.name, known)};"
            f" the suites are {', '.join(known)}"
        )
    if spec.device not in typing.get_args(Device):
        raise UsageError(f"no device is called {spec.device!r}; use cpu or cuda")
    _check_selection(spec)
    _check_additions(spec)
    if spec.name == "torchbench":
        dtype = None if spec.dtype is None else _dtype(spec.dtype)  # None: as recorded
        return dataclasses.replace(spec, dtype=dtype, source=pinned(spec.source))
    if spec.name == "facto":
        return dataclasses.replace(spec, dtype=_dtype(spec.dtype), source=facto_package.pinned(spec.source))
    if spec.source is not None:
        raise UsageError(
            f"suite {spec.name} has its cases from torch itself and takes no source; leave --source out"
        )
    return dataclasses.replace(spec, dtype=_dtype(spec.dtype))


def _check_selection(spec: SuiteSpec) -> None:
    chosen = spec.cases_per_op is not None or spec.topn is not None or spec.overhead_dominated
    if chosen and spec.name != "torchbench":
        raise UsageError(
            f"suite {spec.name} has no recorded calls to choose from;"
            " cases_per_op, topn and overhead_dominated are for torchbench"
        )
    for name, value in (("cases_per_op", spec.cases_per_op), ("topn", spec.topn)):
        if value is not None and value < 1:
            raise UsageError(f"{name} is {value}; it has to be 1 or more")


def is_enlarged(spec: SuiteSpec) -> bool:
    """Whether the request asks for cases beyond the suite's own."""
    return spec != own(spec)


def own(spec: SuiteSpec) -> SuiteSpec:
    """The request without those."""
    return dataclasses.replace(spec, error_inputs=False, perf_cases="suite")


def _check_additions(spec: SuiteSpec) -> None:
    if spec.error_inputs and spec.name != "opinfo":
        raise UsageError(f"suite {spec.name} has no error inputs; error_inputs is for opinfo")
    if spec.perf_cases not in typing.get_args(PerfCases):
        raise UsageError(f"perf_cases is {spec.perf_cases!r}; it has to be suite or traces")
    if spec.perf_cases == "traces" and spec.name not in ("opinfo", "facto"):
        raise UsageError(
            f"suite {spec.name} has performance cases of its own; perf_cases is for opinfo and facto"
        )


def _dtype(name: str | None) -> str:
    if name is None:
        return "bfloat16"
    full = DTYPES.get(name, name)
    if full not in _FLOATING:
        raise UsageError(
            f"a suite cannot draw in dtype {name!r}{did_you_mean(name, _FLOATING)};"
            f" use {', '.join(_FLOATING)}"
        )
    return full
