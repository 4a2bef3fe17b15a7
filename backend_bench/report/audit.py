"""The audit of a suite as tables: kill rates, survivors, and what is right though it is trivial. Never judges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from backend_bench.cases import SuiteIndex
from backend_bench.report.table import own_console, plain_table

_COUNTED = ("killed", "survived", "right", "not applicable")


def document(
    audits: Sequence[Any], *, machine: Mapping[str, Any], index: SuiteIndex, seed: int
) -> dict[str, Any]:
    """The JSON of an audit, schema 1."""
    operators = [msgspec.to_builtins(audit) for audit in audits]
    return {
        "schema": 1,
        "machine": dict(machine),
        "suite": index.spec.name,
        "source": index.source,
        "device": index.spec.device,
        "dtype": index.spec.dtype,
        "seed": seed,
        "summary": summary(operators),
        "operators": operators,
    }


def exit_code(document: Mapping[str, Any]) -> int:
    """0 none survived, 1 some did, 2 nothing was audited, or an operator could not be."""
    operators = document["operators"]
    if not any(operator["fates"] for operator in operators) or any(o["fault"] for o in operators):
        return 2
    return 1 if document["summary"]["survived"] else 0


def summary(operators: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts by kind of kernel and over all; the kill rate is of those that are wrong on their operator."""
    kinds: dict[str, dict[str, int]] = {}
    for operator in operators:
        for fate in operator["fates"]:
            counts = kinds.setdefault(fate["kind"], dict.fromkeys(_COUNTED, 0))
            counts[fate["outcome"]] += 1
    total = {name: sum(counts[name] for counts in kinds.values()) for name in _COUNTED}
    return {
        "operators": len(operators),
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
        *_listed("survived", document["operators"]),
        *_listed("right", document["operators"]),
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


def _listed(outcome: str, operators: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    found = [
        (operator["op"], fate)
        for operator in operators
        for fate in operator["fates"]
        if fate["outcome"] == outcome
    ]
    if not found:
        return []
    if outcome == "right":
        return [_by_kernel(found)]
    table = Table(title=f"\n{outcome}", title_justify="left", box=None, pad_edge=False)
    for column in ("operator", "kernel", "why"):
        table.add_column(column, no_wrap=column != "why")
    for op, fate in found:
        table.add_row(op, fate["name"], Text(fate["why"], "dim"))
    return [table]


def _by_kernel(found: Sequence[tuple[str, Mapping[str, Any]]]) -> Table:
    """Right ones are many and need no reason each: one line a kernel."""
    ops: dict[str, list[str]] = {}
    for op, fate in found:
        ops.setdefault(fate["name"], []).append(op)
    table = Table(title="\nright, though trivial", title_justify="left", box=None, pad_edge=False)
    table.add_column("kernel", no_wrap=True)
    table.add_column("operators")
    for name, those in ops.items():
        table.add_row(name, Text(", ".join(those), "dim"))
    return table


def _faults(operators: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    return [
        Text.assemble("\n", (f"{operator['op']}: ", "bold red"), operator["fault"])
        for operator in operators
        if operator["fault"]
    ]
