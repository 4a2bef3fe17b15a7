"""Which dtypes an operator's results have on a device, where they are none of its tensors'.

Asks ATen with tensors that have no values: nothing is allocated, and a GPU need not be there.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from backend_bench.submission import Device
from backend_bench.suites.arguments import Arguments, Dtype, TensorSpec, parse
from backend_bench.suites.calls import build, code_of, dtype_of
from backend_bench.suites.recordings import flat

_MOST = 4
"""Combinations of dtypes that are told of an operator."""


def result_dtypes(op: torch._ops.OpOverload, texts: Iterable[str], device: Device) -> tuple[str, ...]:
    """Lines such as `bf16, bf16 -> bf16, f32`: dtypes of a call's tensors, and those of its results if one is none of them.

    For the first cases with different dtypes; `texts` are the cases. Nothing where torch cannot tell, or where a number or a dtype
    among the arguments may decide.
    """
    first: dict[tuple[str, ...], Arguments] = {}
    for text in texts:
        arguments = parse(text)
        if not _decides_otherwise(arguments):
            first.setdefault(_given(arguments), arguments)
    told = []
    for given, arguments in list(first.items())[:_MOST]:
        results = _results(op, arguments, device)
        if given and set(results) - set(given):
            told.append(f"{', '.join(given)} -> {', '.join(results)}")
    return tuple(told)


def _decides_otherwise(arguments: Arguments) -> bool:
    """Whether there is a dtype among them, or a float that whole numbers become floating with."""
    values = [*flat(arguments)]
    floating = any(dtype.startswith(("f", "bf", "c")) for dtype in _given(arguments))
    return any(isinstance(value, Dtype) or (isinstance(value, float) and not floating) for value in values)


def _given(arguments: Arguments) -> tuple[str, ...]:
    return tuple(value.dtype for value in flat(arguments) if isinstance(value, TensorSpec))


def _results(op: torch._ops.OpOverload, arguments: Arguments, device: Device) -> tuple[str, ...]:
    def make(spec: TensorSpec) -> Tensor:
        dtype = dtype_of(spec.dtype)
        if spec.stride is None:
            return torch.empty(spec.shape, dtype=dtype, device=device)
        return torch.empty_strided(spec.shape, spec.stride, dtype=dtype, device=device)

    try:
        with warnings.catch_warnings(), FakeTensorMode():
            warnings.simplefilter("ignore")
            call = build(arguments, make)
            found = op(*call.args, **call.kwargs)
        leaves = found if isinstance(found, (tuple, list)) else (found,)
        return tuple(code_of(leaf.dtype) for leaf in leaves if isinstance(leaf, Tensor))
    except Exception:  # noqa: BLE001  (an operator without shapes of its own; then a prompt says less)
        return ()
