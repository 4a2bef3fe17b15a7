"""Runs → one HTML file that holds everything: figures, operators, kernels, cases. Reads records; never judges.

What is covered: no text of a kernel, a worker or a model is ever part of the HTML. It travels as compressed JSON in
base64, and the page makes text nodes of it; its policy (CSP) lets nothing run but the scripts of this package, by
their hash, and nothing be fetched. What a person opens is still a file with code of strangers in it, as text.

    figures   one block, unpacked at once: everything that the first page shows
    op-N      one block an operator, unpacked when its page is opened: turns, kernels, cases
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from backend_bench import __version__
from backend_bench.errors import UsageError
from backend_bench.records import plain
from backend_bench.report import figures
from backend_bench.report.highlight import highlight
from backend_bench.report.runs import Recorded, Rollout, Turn
from backend_bench.verdict import CaseKind, CaseResult, Verdict

MOST_RUNS = 6
"""Runs that can be told apart by colour on one chart."""
_SCRIPTS = ("chart.umd.min.js", "report.js")
_DIGITS = 5
"""Significant digits of times and errors on the page; the records keep them all."""


def write(runs: Sequence[Recorded], target: Path) -> None:
    """Write the report on these runs to `target`. Raises `UsageError` where it cannot be written."""
    text = page(runs)
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error}") from error


def page(runs: Sequence[Recorded]) -> str:
    """The whole file. Raises `UsageError` for no run, or for more than a chart can show."""
    if not 0 < len(runs) <= MOST_RUNS:
        raise UsageError(f"a report is on one to {MOST_RUNS} runs, not {len(runs)}")
    names = sorted({op for run in runs for op in run.operators})
    scripts = [_asset(name) for name in _SCRIPTS]
    style = _asset("report.css")
    policy = (
        f"default-src 'none'; script-src {' '.join(_hash(text) for text in scripts)}; style-src {_hash(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return (
        jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
        .from_string(_asset("report.html.j2"))
        .render(
            title=", ".join(_label(run, runs) for run in runs),
            policy=policy,
            style=Markup(style),  # ours, and checked for an end tag by a test
            scripts=[Markup(text) for text in scripts],
            figures=_packed(_overview(runs, names)),
            operators=[_packed(_operator(op, runs)) for op in names],
        )
    )


def _overview(runs: Sequence[Recorded], names: Sequence[str]) -> dict[str, Any]:
    """All that the first page shows."""
    return {
        "version": __version__,
        "made": time.strftime("%Y-%m-%d %H:%M %Z"),
        "runs": [_run(run, runs) for run in runs],
        "operators": [{"op": op, "runs": [_standing(run.of(op)) for run in runs]} for op in names],
        "comparisons": [asdict(figures.compare(runs[0], other)) for other in runs[1:]],
    }


def _run(run: Recorded, runs: Sequence[Recorded]) -> dict[str, Any]:
    clocked = figures.timed(run)
    return {
        "name": _label(run, runs),
        "kind": run.kind,
        "started": run.started,
        "models": run.models,
        "arguments": run.arguments,
        "machines": run.machines,
        "versions": run.versions,
        "tokens": run.tokens,
        "summary": asdict(figures.summary(run)),
        "timed": len(clocked),
        "fast": [[p, asdict(point)] for p in figures.THRESHOLDS if (point := figures.fast(clocked, p))],
        "turns": [asdict(turn) for turn in figures.by_turn(run)],
    }


def _standing(rollouts: Sequence[Rollout]) -> dict[str, Any] | None:
    """How one run stands with one operator."""
    if not rollouts:
        return None
    top = max(rollouts, key=lambda rollout: (rollout.best.reward is not None, rollout.best.reward or 0.0))
    best = top.best
    counted = [rollout for rollout in rollouts if rollout.finished and rollout.best.reward is not None]
    first_right = [
        turn.number
        for rollout in counted
        for turn in [next((t for t in rollout.turns if t.right), None)]
        if turn
    ]
    return {
        "status": best.outcome,
        "speedup": best.speedup,
        "noise": _noise(best.verdict),
        "reward": best.reward,
        "mean": sum(rollout.best.reward or 0.0 for rollout in counted) / len(counted) if counted else None,
        "right": sum(rollout.best.right for rollout in counted),
        "rollouts": len(counted),
        "turns": sum(first_right) / len(first_right) if first_right else None,
        "evidence": sum(len(turn.verdict.evidence) for r in rollouts for turn in r.turns if turn.verdict),
    }


def _operator(op: str, runs: Sequence[Recorded]) -> dict[str, Any]:
    """Everything about one operator; arguments of cases stand once, for all turns."""
    args: dict[str, int] = {}
    return {
        "runs": [
            [
                {
                    "id": rollout.id,
                    "finished": rollout.finished,
                    "best": rollout.turns.index(rollout.best),
                    "turns": [_turn(turn, args) for turn in rollout.turns],
                }
                for rollout in run.of(op)
            ]
            for run in runs
        ],
        "args": list(args),
    }


def _turn(turn: Turn, args: dict[str, int]) -> dict[str, Any]:
    data: dict[str, Any] = {"number": turn.number, "reward": turn.reward, "status": turn.outcome}
    if turn.code is not None:
        data |= {"code": turn.code, "colours": highlight(turn.code)}
    if turn.feedback:
        data["feedback"] = turn.feedback
    if (verdict := turn.verdict) is not None:
        data |= {
            "correctness_score": verdict.correctness_score,
            "performance_score": verdict.performance_score,
            "speedup": turn.speedup,
            "noise": _noise(verdict),
            "correctness": [verdict.correctness.passed, verdict.correctness.total],
            "performance": [verdict.performance.passed, verdict.performance.total],
            "message": verdict.message,
            "cases": [_case(case, args) for case in verdict.cases],
            "evidence": [[sign.rule, sign.detail, sign.claimed] for sign in verdict.evidence],
            "notes": verdict.notes,
            "facts": {
                "language": verdict.language,
                "profile": verdict.profile,
                "only": verdict.only,
                "kind": verdict.kind,
                "wall": f"{verdict.wall_s:.3g} s",
                "stages": ", ".join(f"{name} {spent:.3g} s" for name, spent in verdict.stages_s.items()),
                "place": verdict.place,
                "GPU kernels": ", ".join(f"{name} {times}×" for name, times in verdict.kernels.items()),
                "sandbox": ", ".join(verdict.sandbox),
                "seed": verdict.seed,
                "source sha256": verdict.source_sha256,
            },
        }
    return data


def _case(case: CaseResult, args: dict[str, int]) -> list[Any]:
    """A row: arguments (a number), timed or not, status, message, errors, times; without trailing nulls."""
    numbers = (
        case.max_abs_error,
        case.max_rel_error,
        case.reference_us,
        case.candidate_us,
        case.speedup,
        case.noise,
    )
    row = [
        args.setdefault(case.args, len(args)),
        int(case.kind is CaseKind.PERFORMANCE),
        case.status.value,
        case.message,
        *map(_short, numbers),
    ]
    while row[-1] is None:
        row.pop()
    return row


def _noise(verdict: Verdict | None) -> float | None:
    """The median noise of the timed cases, as the terminal's tables show it."""
    noise = sorted(case.noise for case in verdict.cases if case.noise is not None) if verdict else []
    return noise[len(noise) // 2] if noise else None


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}")


def _label(run: Recorded, runs: Sequence[Recorded]) -> str:
    """Its name, with a number where two have the same."""
    same = [other for other in runs if other.name == run.name]
    return run.name if len(same) == 1 else f"{run.name} ({same.index(run) + 1})"


def _packed(data: Mapping[str, Any]) -> str:
    text = json.dumps(plain(data), allow_nan=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("utf-8", errors="replace"), mtime=0)).decode("ascii")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _asset(name: str) -> str:
    return files("backend_bench.report").joinpath("web", name).read_text(encoding="utf-8")
