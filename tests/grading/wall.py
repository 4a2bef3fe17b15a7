"""The wall, simulated: judge a function on one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backend_bench.cases import Call
from backend_bench.grading.checker import Finding, check
from backend_bench.grading.observing import observe as observe
from backend_bench.grading.oracle import Expectation, expect


def judge(op: Any, call: Call, function: Callable[..., Any]) -> Finding:
    return check(expect(op, call), observe(function, call))


def judge_against(expectation: Expectation, call: Call, function: Callable[..., Any]) -> Finding:
    return check(expectation, observe(function, call))
