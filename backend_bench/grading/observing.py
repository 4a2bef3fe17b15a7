"""What the judge would see of one call in this process: the claims and private copies that come over the wall elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from backend_bench.cases import Call
from backend_bench.grading.checker import Observed, Output
from backend_bench.grading.inputs import clone_call, storage_of, tensors_of
from backend_bench.grading.running import flatten


def observe(function: Callable[..., Any], call: Call, *, clone: bool = True) -> Observed:
    """Call once; what the function raises comes through."""
    mine = clone_call(call) if clone else call
    with torch.no_grad():
        return observed(function(*mine.args, **mine.kwargs), mine)


def observed(result: Any, call: Call) -> Observed:
    """Of a call that has returned, its arguments as it left them."""
    inputs = tensors_of(call)
    return Observed(
        outputs=tuple(_claim(value, inputs) for value in flatten(result)),
        single=not isinstance(result, (list, tuple)),
        inputs=tuple(tensor.clone() for tensor in inputs),
    )


def _claim(value: Any, inputs: list[Tensor]) -> Output:
    if value is None:
        return Output("none", "NoneType")
    if isinstance(value, (bool, int, float, complex)):
        return Output("scalar", type(value).__name__, value=value)
    if not isinstance(value, Tensor):
        return Output("other", type(value).__name__)
    alias = next((n for n, t in enumerate(inputs) if storage_of(t) == storage_of(value)), None)
    same = next((n for n, t in enumerate(inputs) if _is(t, value)), None)
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
