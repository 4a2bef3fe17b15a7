"""A run in BackendBench's own result files, for programs that read those. Reads records; never judges.

An operator counts with its best kernel. Two things differ on purpose: a number that JSON cannot hold is null
there and empty in the CSV (BackendBench writes -Infinity), and `total_tests` counts tests (there it counts operators).
Layout and fields follow BackendBench/output.py of meta-pytorch/BackendBench at 66e0dbc.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from backend_bench.dialogue.feedback_info import FeedbackInfo
from backend_bench.errors import UsageError
from backend_bench.report.runs import Recorded, best_of
from backend_bench.verdict import CaseKind, CaseResult, Verdict

P = 1.0
"""The p of its perf@p."""
COLUMNS = (
    "operator", "total_tests", "correctness_tests", "performance_tests", "passed_correctness_tests",
    "passed_performance_tests", "failed_correctness_tests", "failed_performance_tests", "correctness_rate",
    "avg_speedup", "geomean_speedup", "max_absolute_error", "max_relative_error",
)  # fmt: skip


def write(run: Recorded, folder: Path, *, command: str) -> None:
    """Write its four files into `folder`. Raises `UsageError` where that cannot be."""
    verdicts = _best(run)
    rows = sorted(
        (row for verdict in verdicts for row in _rows(verdict)), key=lambda row: (row["op_name"], row["args"])
    )
    failed = [row for row in rows if not row.get("is_correct", row.get("successfully_ran"))]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_json(folder / "full_results.json", rows)
        _write_json(folder / "failed_tests.json", failed)
        with (folder / "operator_summary.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, COLUMNS)
            table.writeheader()
            table.writerows(_summary(verdict) for verdict in verdicts)
        (folder / "OVERALL_SUMMARY.md").write_text(_overall(verdicts, command), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write BackendBench's files to {folder}: {error}") from error


def _best(run: Recorded) -> list[Verdict]:
    """The verdict of each operator's best kernel; an operator without any code has none."""
    found = []
    for op in run.operators:
        turns = [turn for rollout in run.of(op) for turn in rollout.turns if turn.verdict is not None]
        if turns and (verdict := best_of(turns).verdict) is not None and verdict.cases:
            found.append(verdict)
    return found


def _rows(verdict: Verdict) -> Iterator[dict[str, Any]]:
    info = FeedbackInfo.of(verdict)
    yield from (dataclasses.asdict(result) for result in info.correctness_results)
    yield from (dataclasses.asdict(result) for result in info.performance_results)


def _summary(verdict: Verdict) -> dict[str, Any]:
    right, timed = _kind(verdict, CaseKind.CORRECTNESS), _kind(verdict, CaseKind.PERFORMANCE)
    speedups = [case.speedup for case in timed if case.speedup]
    passed = [sum(case.passed for case in cases) for cases in (right, timed)]
    numbers = (
        verdict.op, len(right) + len(timed), len(right), len(timed), *passed, len(right) - passed[0], len(timed) - passed[1],
        passed[0] / len(right) if right else 0.0,
        math.fsum(speedups) / len(speedups) if speedups else 0.0,
        _geomean(speedups) if speedups else 0.0,
        max((case.max_abs_error for case in right if case.max_abs_error is not None), default=None),
        max((case.max_rel_error for case in right if case.max_rel_error is not None), default=None),
    )  # fmt: skip
    return dict(zip(COLUMNS, numbers, strict=True))


def _overall(verdicts: Sequence[Verdict], command: str) -> str:
    correct = [all(case.passed for case in _kind(verdict, CaseKind.CORRECTNESS)) for verdict in verdicts]
    speeds = [_speed(verdict) for verdict in verdicts]
    right = sum(correct) / len(verdicts) if verdicts else 0.0
    fast = sum(ok and speed > P for ok, speed in zip(correct, speeds, strict=True)) / max(1, len(verdicts))
    ranked = sorted(zip(verdicts, speeds, strict=True), key=lambda pair: -pair[1])
    return "\n".join(
        [
            "# BackendBench Run Summary\n",
            "## Command",
            f"```bash\n{command}\n```\n",
            "## Results\n",
            "| Metric | Value |",
            "|--------|-------|",
            f"| Correctness Score | {right:.2f} |",
            f"| Performance Score (geomean speedup) | {_geomean(speeds) if speeds else 0.0:.2f} |",
            f"| Perf@{P} Score | {fast:.2f} |",
            "",
            "Correctness: share of operators with every correctness test passed. Performance: geometric mean of the operators'",
            f"speed-ups, a failed test counting as 1. Perf@{P}: share of operators that are correct and faster than {P} times.",
            "",
            "### Operator Speedups vs Eager in Descending Order\n",
            "| Operator | Correctness Ratio | Speedup vs Eager |",
            "|----------|-----------|----------------|",
            *(_line(verdict, speed) for verdict, speed in ranked),
            "",
        ]
    )


def _line(verdict: Verdict, speed: float) -> str:
    right = _kind(verdict, CaseKind.CORRECTNESS)
    ratio = f"{100 * sum(case.passed for case in right) / len(right):.4f}%" if right else "N/A"
    timed = _kind(verdict, CaseKind.PERFORMANCE)
    return f"| {verdict.op} | {ratio} | {f'{speed:.4f}x' if timed else 'N/A'} |"


def _speed(verdict: Verdict) -> float:
    """Its performance score: a failed test counts as 1, and so does an operator without any."""
    timed = _kind(verdict, CaseKind.PERFORMANCE)
    return (
        _geomean([case.speedup if case.passed and case.speedup else 1.0 for case in timed]) if timed else 1.0
    )


def _kind(verdict: Verdict, kind: CaseKind) -> list[CaseResult]:
    """Timed cases, or all others: error inputs count among the correctness cases."""
    timed = kind is CaseKind.PERFORMANCE
    return [case for case in verdict.cases if (case.kind is CaseKind.PERFORMANCE) == timed]


def _geomean(values: Sequence[float]) -> float:
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def _write_json(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text(json.dumps(rows, indent=2, allow_nan=False) + "\n", encoding="utf-8")
