"""The audit of a suite as tables: kill rates, survivors, and what is right though it is trivial. Never judges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from backend_bench.cases import SuiteIndex
from backend_bench.fates import OperatorAudit
from backend_bench.report.table import own_console, plain_table

_COUNTED = ("killed", "survived", "right", "not applicable")


def document(
    audits: Sequence[OperatorAudit], *, machine: Mapping[str, Any], index: SuiteIndex, seed: int
) -> dict[str, Any]:
    """The JSON of an audit, schema 1."""
    return {
        "schema": 1,
        "machine": dict(machine),
        "suite": index.spec.name,
        "source": index.source,
        "device": index.spec.device,
        "dtype": index.spec.dtype,
        "seed": seed,
        "summary": summary(audits),
        "operators": [_operator(audit) for audit in audits],
    }


def _operator(audit: OperatorAudit) -> dict[str, Any]:
    """Reasons are kept where somebody has to read them."""
    by_outcome = {name: [fate for fate in audit.fates if fate.outcome == name] for name in _COUNTED}
    return {
        "op": audit.op,
        "cases": audit.cases,
        "draws": audit.draws,
        "killed": [fate.name for fate in by_outcome["killed"]],
        "survived": {fate.name: fate.why for fate in by_outcome["survived"]},
        "right": {fate.name: fate.why for fate in by_outcome["right"]},
        "not_applicable": [fate.name for fate in by_outcome["not applicable"]],
        "note": audit.note,
        "fault": audit.fault,
        "wall_s": audit.wall_s,
    }


def exit_code(audits: Sequence[OperatorAudit]) -> int:
    """0 none survived, 1 some did, 2 nothing was audited, or the audit of an operator is worth nothing."""
    if not any(audit.fates for audit in audits) or any(audit.fault for audit in audits):
        return 2
    return 1 if any(fate.outcome == "survived" for audit in audits for fate in audit.fates) else 0


def summary(audits: Sequence[OperatorAudit]) -> dict[str, Any]:
    """Counts by kind of kernel and over all; the kill rate is of those that are wrong on their operator."""
    kinds: dict[str, dict[str, int]] = {}
    for audit in audits:
        for fate in audit.fates:
            counts = kinds.setdefault(fate.kind, dict.fromkeys(_COUNTED, 0))
            counts[fate.outcome] += 1
    total = {name: sum(counts[name] for counts in kinds.values()) for name in _COUNTED}
    return {
        "operators": len(audits),
        **total,
        "kill_rate": _rate(total),
        "kernels": [{"kernel": kind, **counts, "kill_rate": _rate(counts)} for kind, counts in kinds.items()],
    }


def _rate(counts: Mapping[str, int]) -> float | None:
    wrong = counts["killed"] + counts["survived"]
    return counts["killed"] / wrong if wrong else None


def print_audit(document: Mapping[str, Any]) -> None:
    """One line a kind of kernel, then every survivor, then the operators that could not be audited."""
    own_console().print(audit_table(document))


def audit_table(document: Mapping[str, Any]) -> RenderableType:
    """The tables of `audit-suite`."""
    table = plain_table("trivial kernel", "kill rate", "killed", "survived", "right", "not applicable")
    for kind in document["summary"]["kernels"]:
        table.add_row(kind["kernel"], _percent(kind["kill_rate"]), *(str(kind[name]) for name in _COUNTED))
    return Group(
        table,
        _totals(document["summary"]),
        *_survivors(document["operators"]),
        *_right(document["operators"]),
        *_faults(document["operators"]),
    )


def _percent(rate: float | None) -> Text:
    if rate is None:
        return Text("–", "dim")
    return Text(f"{100 * rate:.1f} %", "green" if rate == 1 else "red")


def _totals(summary: Mapping[str, Any]) -> Text:
    return Text(
        f"{summary['operators']} operators; {summary['killed']} wrong kernels killed, "
        f"{summary['survived']} survived; {summary['right']} are right on their operator, "
        f"{summary['not applicable']} do not apply to it"
    )


def _survivors(operators: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    table = Table(title="\nsurvived", title_justify="left", box=None, pad_edge=False)
    for column in ("operator", "kernel", "why"):
        table.add_column(column, no_wrap=column != "why")
    for operator in operators:
        for name, why in operator["survived"].items():
            table.add_row(operator["op"], name, Text(why, "dim"))
    return [table] if table.rows else []


def _right(operators: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    """They are many and need no reason each: one line a kernel."""
    ops: dict[str, list[str]] = {}
    for operator in operators:
        for name in operator["right"]:
            ops.setdefault(name, []).append(operator["op"])
    table = Table(title="\nright, though trivial", title_justify="left", box=None, pad_edge=False)
    table.add_column("kernel", no_wrap=True)
    table.add_column("operators")
    for name, those in ops.items():
        table.add_row(name, Text(", ".join(those), "dim"))
    return [table] if table.rows else []


def _faults(operators: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    return [
        Text.assemble("\n", (f"{operator['op']}: ", style), operator[name])
        for name, style in (("note", "bold"), ("fault", "bold red"))
        for operator in operators
        if operator[name]
    ]
