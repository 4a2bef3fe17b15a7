"""The wall, simulated: run a function on a private copy and report what came back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from backend_bench.cases import Call
from backend_bench.grading.checker import Finding, Observed, Output, check
from backend_bench.grading.inputs import clone_call, storage_of, tensors_of
from backend_bench.grading.oracle import Expectation, expect
from backend_bench.grading.running import flatten


def observe(function: Callable[..., Any], call: Call, *, clone: bool = True) -> Observed:
    """What the judge would see of one call of `function`."""
    mine = clone_call(call) if clone else call
    given = tensors_of(mine)
    with torch.no_grad():
        result = function(*mine.args, **mine.kwargs)
    outputs = tuple(_claim(value, given) for value in flatten(result))
    return Observed(
        outputs=outputs,
        single=not isinstance(result, (list, tuple)),
        inputs=tuple(tensor.clone() for tensor in given),
    )


def judge(op: Any, call: Call, function: Callable[..., Any]) -> Finding:
    return check(expect(op, call), observe(function, call))


def judge_against(expectation: Expectation, call: Call, function: Callable[..., Any]) -> Finding:
    return check(expectation, observe(function, call))


def _claim(value: Any, given: list[Tensor]) -> Output:
    if value is None:
        return Output("none", "NoneType")
    if isinstance(value, (bool, int, float, complex)):
        return Output("scalar", type(value).__name__, value=value)
    if not isinstance(value, Tensor):
        return Output("other", type(value).__name__)
    alias = next((n for n, t in enumerate(given) if storage_of(t) == storage_of(value)), None)
    same = next((n for n, t in enumerate(given) if _is(t, value)), None)
    return Output(
        kind="tensor",
        type_name=type(value).__name__,
        plain=type(value) is Tensor,
        dtype=str(value.dtype),
        shape=tuple(value.shape),
        stride=value.stride(),
        device=str(value.device),
        alias=alias,
        same=same,
        value=value.detach().as_subclass(Tensor).resolve_conj().clone(),
    )


def _is(one: Tensor, other: Tensor) -> bool:
    return one.data_ptr() == other.data_ptr() and one.shape == other.shape and one.stride() == other.stride()
