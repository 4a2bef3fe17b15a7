"""Right kernels by another road: the operator itself, reckoned in more precision and rounded once. No draw may refuse them.

Whoever does better than ATen is right. Where a tolerance is made of what ATen happens to give, these show it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from backend_bench.cases import Call
from backend_bench.grading.inputs import clone_call, map_tensors, tensors_of
from backend_bench.grading.running import raised_dtype
from backend_bench.grading.traits import DTYPE_BOUND, MEMORY_BOUND, Op, base_name
from backend_bench.mutants.mutant import DoesNotApply, Given, Kernel, Mutant, reading

_SHORT = (torch.float16, torch.bfloat16)
_KIND = "more precise than ATen"


def witnesses(op: Op) -> Iterator[Mutant]:
    """The right kernels for `op` that can be made of it; none where the result is a property of the dtype itself."""
    if base_name(op) in DTYPE_BOUND:
        return
    yield Mutant(_KIND, "float64 inside", _inside(op, raised_dtype, "a dtype shorter than float64"))
    yield Mutant(_KIND, "float32 inside", _inside(op, _to_float32, "a dtype shorter than float32"))


def _to_float32(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype in _SHORT else dtype


def _inside(op: Op, widened: Callable[[torch.dtype], torch.dtype], wanted: str) -> Kernel:
    def read(tensor: Tensor) -> Tensor:
        wide = tensor.to(widened(tensor.dtype))
        # Contiguous, since some of ATen's own kernels read past strides.
        return wide if base_name(op) in MEMORY_BOUND else wide.contiguous()

    def widen(value: Any) -> Any:
        return widened(value) if isinstance(value, torch.dtype) else value

    def revise(named: Given) -> Given:
        wide = map_tensors(Call((), named), read).kwargs
        return {name: widen(value) for name, value in wide.items()}

    inner = reading(op, revise)

    def kernel(*args: Any, **kwargs: Any) -> Any:
        call = Call(args, kwargs)
        dtypes = [tensor.dtype for tensor in tensors_of(call)]
        dtypes += [value for value in (*args, *kwargs.values()) if isinstance(value, torch.dtype)]
        if all(widened(dtype) is dtype for dtype in dtypes):
            raise DoesNotApply(wanted)
        copy = clone_call(call)
        due = op(*copy.args, **copy.kwargs)
        owned = {id(tensor) for tensor in tensors_of(call)}

        def rounded(came: Any, wanted: Any) -> Any:
            if isinstance(came, Tensor) and isinstance(wanted, Tensor):
                return came if id(came) in owned else came.to(wanted.dtype)
            if isinstance(came, (list, tuple)):
                return type(came)(map(rounded, came, wanted))
            return came if wanted is not None else None

        return rounded(inner(*args, **kwargs), due)

    return kernel
