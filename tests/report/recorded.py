"""Runs for the tests, written by the same hands as real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from backend_bench import records
from backend_bench.operator import Operator
from backend_bench.verdict import CaseKind, CaseResult, CaseStatus, Evidence, Status, Tally, Verdict

HOSTILE = "</script><script>window.hurt = 1</script><img src=x onerror='window.hurt = 1'>{{ 7 * 7 }}${7 * 7}\x1b[31m\x00\u202e"
"""Text that hurts wherever it is not treated as text."""


def verdict(
    speedup: float | None = 1.5, *, op: str = "relu.default", message: str = "", **more: Any
) -> Verdict:
    """Right and so fast; wrong where `speedup` is None."""
    right = speedup is not None
    timed = CaseResult(
        args="((T([1024], f32),), {})",
        kind=CaseKind.PERFORMANCE,
        status=CaseStatus.PASSED,
        reference_us=12.3456789,
        candidate_us=8.0,
        speedup=speedup,
        noise=0.03,
    )
    wrong = CaseResult(
        args="((T([5], f32),), {})",
        kind=CaseKind.CORRECTNESS,
        status=CaseStatus.PASSED if right else CaseStatus.WRONG,
        message=message,
        max_abs_error=0.25,
    )
    given: dict[str, Any] = {
        "op": op,
        "language": "triton",
        "status": Status.OK if right else Status.WRONG,
        "message": message,
        "correctness_score": 1.0 if right else 0.5,
        "performance_score": speedup or 0.0,
        "reward": speedup or 0.0,
        "correctness": Tally(passed=int(right), total=1),
        "performance": Tally(passed=1, total=1),
        "cases": (wrong, timed),
        "evidence": (Evidence(rule="clock_mismatch", detail=message or "a doubt", claimed=True),),
        "wall_s": 2.0,
        "stages_s": {"queue": 0.1},
        "source_sha256": "ab" * 32,
    }
    return Verdict(**given | more)


def rollout(
    run: records.Run,
    name: str,
    *speedups: float | None,
    op: str = "relu.default",
    code: str = "def relu__default_kernel_impl(x):\n    return x  # turn {turn}\n",
    ended: bool = True,
    message: str = "",
) -> None:
    """Play a rollout: a turn for each speed-up, None for a wrong kernel."""
    for number, speedup in enumerate(speedups, start=1):
        run.write(
            records.Turn(
                op=Operator.parse(op),
                rollout=name,
                turn=number,
                code=code.replace("{turn}", str(number)),
                verdict=verdict(speedup, op=op, message=message),
                reward=speedup or 0.0,
                feedback=f"told after turn {number}: {message}",
                model="a-model",
            )
        )
    if ended:
        best = max((speedup or 0.0 for speedup in speedups), default=0.0)
        run.end(
            records.Ending(
                op=Operator.parse(op), rollout=name, turns=len(speedups), reward=best, prompt_tokens=10
            )
        )


def folder(path: Path) -> records.Run:
    """An empty run with its arguments."""
    run = records.Run(path)
    run.describe({"suite": "smoke", "language": "triton", "num_turns": 2})
    run.add_machine(
        {"torch": "2.13.0", "cpu": "a CPU", "sandbox": {"cpu": {"holds": ["seccomp"], "missing": []}}}
    )
    return run
