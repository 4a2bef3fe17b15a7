"""Feedback says what failed, why and how fast; it is bounded, deterministic, and knows no seed."""

from __future__ import annotations

import random

import pytest

from backend_bench.dialogue.feedback import BUDGET, Best, feedback, fit, no_code, trim_trace
from backend_bench.verdict import CaseKind, CaseResult, CaseStatus, Evidence, Status, Tally, Verdict


def case(args: str = "((T([2], f32),), {})", message: str = "", **more: object) -> CaseResult:
    status = more.pop("status", CaseStatus.WRONG if message else CaseStatus.PASSED)
    kind = more.pop("kind", CaseKind.CORRECTNESS)
    return CaseResult(args=args, kind=kind, status=status, message=message, **more)  # type: ignore[arg-type]  # a test's shorthand


def verdict(*cases: CaseResult, **more: object) -> Verdict:
    failed = any(not one.passed for one in cases)
    right = [one for one in cases if one.kind is CaseKind.CORRECTNESS]
    defaults: dict[str, object] = {
        "op": "relu.default",
        "language": "triton",
        "status": Status.WRONG if failed else Status.OK,
        "cases": cases,
        "correctness": Tally(passed=sum(one.passed for one in right), total=len(right)),
    }
    return Verdict(**{**defaults, **more})  # type: ignore[arg-type]  # a test's shorthand


def test_failures_are_grouped_by_kind_with_the_smallest_example() -> None:
    told = feedback(
        verdict(
            case("((T([64, 64], f32),), {})", "values differ at [0, 3]: got 1.5, expected 2"),
            case("((T([2, 2], f32),), {})", "values differ at [1, 1]: got -7, expected 9e-3"),
            case("((T([512], f32),), {})", "values differ at [44]: got nan, expected 1"),
            case("((T([], f32),), {})", "shape (1,), expected ()"),
            case(),
        )
    )
    assert "3 × wrong, for example `((T([2, 2], f32),), {})`" in told
    assert "got -7, expected 9e-3" in told
    assert "1 × wrong, for example `((T([], f32),), {})`" in told
    assert told.index("3 × wrong") < told.index("1 × wrong")
    assert "1 of 5 correctness cases passed" in told
    assert "must still pass" in told


def test_only_the_first_kinds_are_shown_and_the_rest_counted() -> None:
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]
    assert "and 2 more of 2 other kinds" in feedback(verdict(*(case(message=word) for word in words)))


def test_cases_that_did_not_run_are_counted() -> None:
    told = feedback(verdict(case(message="died", status=CaseStatus.CRASHED), case(status=CaseStatus.NOT_RUN)))
    assert "1 cases were not run after that" in told


def test_speed_is_listed_slowest_first() -> None:
    timed = [
        case(
            f"((T([{size}], f32),), {{}})",
            kind=CaseKind.PERFORMANCE,
            speedup=speed,
            reference_us=10.0,
            noise=0.03,
        )
        for size, speed in ((1, 2.0), (2, 0.5), (3, 1.0))
    ]
    told = feedback(verdict(*timed, performance_score=1.0))
    assert told.index("0.5×") < told.index("1×") < told.index("2×")
    assert "PyTorch 10 µs" in told
    assert "± 3.0 %" in told
    assert "Make it faster" in told


def test_a_worse_turn_is_told_of_the_best() -> None:
    told = feedback(verdict(case(message="wrong"), reward=0.25), best=Best(turn=2, reward=0.75))
    assert "Your turn 2 scored 0.75" in told
    assert "Your turn" not in feedback(verdict(case(), reward=1.0), best=Best(turn=2, reward=0.75))


def test_evidence_is_told() -> None:
    told = feedback(verdict(status=Status.CHEATED, evidence=(Evidence(rule="precomputed", detail="before"),)))
    assert "precomputed: before" in told
    assert "broke the rules" in told


def test_a_message_that_the_cases_tell_is_not_repeated() -> None:
    assert "1 of 1 failed" not in feedback(verdict(case(message="differs"), message="1 of 1 failed: differs"))
    assert "no such name" in feedback(verdict(status=Status.COMPILE_ERROR, message="no such name"))


def test_a_traceback_keeps_the_kernels_frames() -> None:
    trace = (
        "Traceback (most recent call last):\n"
        '  File "/usr/lib/python3.11/site-packages/triton/compiler.py", line 3, in compile\n'
        "    raise error\n"
        "    ^^^^^^^^^^^\n"
        '  File "kernel.py", line 12, in relu_kernel\n'
        "    tl.lod(x)\n"
        "AttributeError: no attribute 'lod'"
    )
    kept = trim_trace(trace)
    assert "kernel.py" in kept
    assert "tl.lod" in kept
    assert kept.endswith("'lod'")
    assert "site-packages" not in kept
    assert "raise error" not in kept


def test_a_long_trace_keeps_its_end() -> None:
    kept = trim_trace("\n".join(f"line {number}" for number in range(500)))
    assert kept.startswith("line 0")
    assert kept.endswith("line 499")
    assert len(kept.split("\n")) <= 25


def test_no_seed_is_told() -> None:
    told = feedback(verdict(case(message="differs (seed 8812, draw 3)"), seed=8812))
    assert "8812" not in told


def test_the_reader_of_the_reply_may_add_a_note() -> None:
    assert "2 code blocks" in feedback(verdict(case()), note="Your reply held 2 code blocks.")


@pytest.mark.parametrize("budget", [0, 1, 40, 200, 1000, BUDGET])
def test_the_budget_is_never_exceeded(budget: int) -> None:
    messages = [
        f"{word} {'x' * 900}" for word in ["one", "two", "three", "four", "five", "six", "seven", "eight"]
    ]
    big = verdict(*(case("(" + "9" * 900, message) for message in messages), message="why " * 3000)
    assert len(feedback(big, budget=budget)) <= budget
    assert len(no_code("no " * 3000, budget=budget)) <= budget


def test_what_is_asked_survives_a_tight_budget() -> None:
    big = verdict(case(message="x" * 5000), message="why " * 3000)
    assert feedback(big, budget=400).endswith("```python block.")


def test_it_is_the_same_whatever_the_order_of_cases() -> None:
    cases = [
        case(f"((T([{number}], f32),), {{}})", f"{word} {number}")
        for number in range(9)
        for word in ("a", "b")
    ]
    told = feedback(verdict(*cases))
    random.Random(1).shuffle(cases)
    assert feedback(verdict(*cases)) == told


@pytest.mark.parametrize("status", list(Status))
def test_every_status_has_words(status: Status) -> None:
    assert feedback(verdict(status=status))


def test_fit_of_nothing_is_nothing() -> None:
    assert fit([], 10) == ""
