"""Running ATen: once as it is, and once more in float64 where that means the same.

The only place where an operator is called. Nothing is compared here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from backend_bench import refused
from backend_bench.cases import Call
from backend_bench.errors import JudgeError
from backend_bench.grading.choices import arguments
from backend_bench.grading.formulas import formula_of
from backend_bench.grading.inputs import bytes_of, clone_call, map_tensors, storage_of, tensors_of, view_key
from backend_bench.grading.sameness import is_floating
from backend_bench.grading.tolerance import Results
from backend_bench.grading.traits import DTYPE_BOUND, MEMORY_BOUND, Op, base_name, is_pointwise
from backend_bench.precise import full_precision

HOST_BYTES = 1 << 20
"""Storages up to this size in all are compared on the CPU: on a GPU each of the hundred small
operators of a comparison costs a launch and a wait, here a microsecond."""


class Unjudgeable(JudgeError):
    """No valid judgement exists for this operator or these arguments; the text says why."""


REFUSALS = (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError, AssertionError)
"""What ATen raises when it will not run on such arguments; out of memory looks like it, see `not_ours`."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One run of the operator: the arguments as it left them, and what it returned."""

    call: Call
    result: Any

    @property
    def outputs(self) -> list[Any]:
        return flatten(self.result)

    @property
    def tensors(self) -> Results:
        found = [value for value in self.outputs if isinstance(value, Tensor)]
        return tuple(found + tensors_of(self.call))


def flatten(result: Any) -> list[Any]:
    """The leaves of what an operator returned, in order."""
    if isinstance(result, (list, tuple)):
        return [leaf for item in result for leaf in flatten(item)]
    return [result]


def run_once(op: Op, call: Call) -> Run:
    with torch.no_grad(), full_precision():
        return Run(call, refused.call(op, *call.args, **call.kwargs))


def run_wide(op: Op, call: Call, reference: Run) -> Run:
    """The operator on float64 arguments: by its formula where there is one, and what that does not give is as ATen gave it."""
    formula = formula_of(op, call)
    if formula is None:
        return run_once(op, call)
    with torch.no_grad(), full_precision():
        found = formula(arguments(op, call))
    return Run(call, (*found, *reference.outputs[len(found) :]))


_NO_MEMORY = ("out of memory", "can't allocate memory", "ALLOC_FAILED", "MemoryError")


def tells_of_no_memory(text: str) -> bool:
    """Whether a message is about memory that was not to be had: torch's on either device, a driver's, a library's."""
    return any(sign in text for sign in _NO_MEMORY)


def ran_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is that there was no memory left."""
    while error is not None:
        if isinstance(error, torch.OutOfMemoryError | MemoryError) or tells_of_no_memory(str(error)):
            return True
        error = error.__cause__
    return False


def not_ours(op: Op, refusal: Exception) -> None:
    """Raise where memory ran out or a device broke: that says nothing about the arguments."""
    if ran_out_of_memory(refusal) or "CUDA error" in str(refusal):
        raise JudgeError(f"{op}: the reference could not run: {refusal}") from refusal


def _let_a_cpu_refuse(op: Op, call: Call) -> None:
    """Raise what a CPU raises for an index out of bounds, which on a GPU ends the context of the whole process.

    Large calls are left out: they are the suite's own, and not thought up by the judge.
    """
    tensors = tensors_of(call)
    if all(tensor.device.type == "cpu" for tensor in tensors) or bytes_of(call) > HOST_BYTES:
        return
    if any(not is_floating(tensor.dtype) and tensor.dtype is not torch.bool for tensor in tensors):
        try:
            run_once(op, map_tensors(call, lambda tensor: tensor.detach().cpu()))
        except REFUSALS as refusal:
            if isinstance(refusal, IndexError) or "out of" in str(refusal):
                raise


def run_reference(op: Op, call: Call) -> Run:
    try:
        _let_a_cpu_refuse(op, call)
        run = run_once(op, call)
    except REFUSALS as refusal:
        not_ours(op, refusal)
        raise Unjudgeable(f"{op}: the reference refuses these arguments: {refusal}") from refusal
    if any(isinstance(v, Tensor) and v.layout is not torch.strided for v in run.outputs):
        raise Unjudgeable(f"{op}: only strided tensors are compared")
    return run


MOST_RESULTS = 64
"""Of a call that the judge thinks up: a worker hands over no more than a few hundred."""


def result_elements(op: Op, call: Call) -> int | None:
    """Elements of the largest result, worked out from shapes alone; None where that cannot be, is refused, or where the
    results are more than `MOST_RESULTS`."""
    bare = map_tensors(call, lambda tensor: torch.empty_like(tensor, device="meta"))
    moved = {
        name: torch.device("meta") if isinstance(value, torch.device) else value
        for name, value in bare.kwargs.items()
    }
    try:
        result = op(*bare.args, **moved)
    except REFUSALS:
        return None
    sizes = [value.numel() for value in flatten(result) if isinstance(value, Tensor)]
    if len(sizes) > MOST_RESULTS:
        return None
    return max([*sizes, *(tensor.numel() for tensor in tensors_of(bare) if op._schema.is_mutable)], default=0)


# ------------------------------------------------------------------------------- on the host


def on_host(call: Call, run: Run) -> tuple[Call, Run] | None:
    """The call and its run with every tensor copied to the CPU, shared memory still shared.

    None where they lie there already, or are large.
    """
    tensors = [*tensors_of(call), *run.tensors]
    storages = {storage_of(tensor): tensor.untyped_storage() for tensor in tensors}
    if all(storage.device.type == "cpu" for storage in storages.values()):
        return None
    if sum(storage.nbytes() for storage in storages.values()) > HOST_BYTES:
        return None
    copies = {key: storage.cpu() for key, storage in storages.items()}

    def move(value: Any) -> Any:
        if isinstance(value, Tensor):
            plain = torch.empty(0, dtype=value.dtype).set_(
                copies[storage_of(value)], value.storage_offset(), value.shape, value.stride()
            )
            plain = torch._conj(plain) if value.is_conj() else plain
            return torch._neg_view(plain) if value.is_neg() else plain
        if isinstance(value, (list, tuple)):
            return type(value)(move(item) for item in value)
        if isinstance(value, torch.device):
            return torch.device("cpu")
        return value

    def move_call(moved: Call) -> Call:
        return Call(move(moved.args), {name: move(item) for name, item in moved.kwargs.items()})

    return move_call(call), Run(move_call(run.call), move(run.result))


# ------------------------------------------------------------------------------------ upcasting


def _upcast(op: Op, call: Call, *, whole: bool) -> Call | None:
    """The call in float64 and complex128, or None where that would be no other or no answer.

    Its tensors are contiguous: some of ATen's own kernels read past strides (`native_group_norm_backward` on a CPU), and
    what they give then is no answer. `whole` raises integers as well.
    """
    if base_name(op) in DTYPE_BOUND and formula_of(op, call) is None:
        return None
    known: dict[tuple[Any, ...], Tensor] = {}
    layout = torch.preserve_format if base_name(op) in MEMORY_BOUND else torch.contiguous_format

    def raise_tensor(tensor: Tensor) -> Tensor:
        key = (*view_key(tensor), tensor.dtype)
        if key not in known:
            dtype = raised_dtype(tensor.dtype, whole=whole)
            known[key] = tensor.to(dtype, copy=True, memory_format=layout)
        return known[key]

    raised = map_tensors(call, raise_tensor)
    names = [argument.name for argument in op._schema.arguments]
    pairs = zip(names, raised.args, strict=False)
    args = tuple(_raise_setting(name, value) for name, value in pairs)
    kwargs = {name: _raise_setting(name, value) for name, value in raised.kwargs.items()}
    before, after = tensors_of(call), tensors_of(raised)
    changed = any(
        old.dtype != new.dtype or (is_floating(old.dtype) and old.stride() != new.stride())
        for old, new in zip(before, after, strict=True)
    )
    changed |= any(isinstance(v, torch.dtype) for v in (*call.args, *call.kwargs.values()))
    return Call(args, kwargs) if changed else None


def _raise_setting(name: str, value: Any) -> Any:
    """Arguments that name a dtype; `half_to_float` fuses a cast that float64 neither needs nor takes."""
    if name == "half_to_float":
        return False
    return raised_dtype(value) if isinstance(value, torch.dtype) else value


def raised_dtype(dtype: torch.dtype, *, whole: bool = False) -> torch.dtype:
    if dtype.is_complex:
        return torch.complex128
    if dtype.is_floating_point or (whole and dtype is not torch.bool):
        return torch.float64
    return dtype


def _makes_fractions(op: Op, call: Call, reference: Run) -> bool:
    """Whether floating results come from integers alone, element by element."""
    results = [value for value in reference.outputs if isinstance(value, Tensor)]
    return (
        is_pointwise(op)
        and not any(is_floating(tensor.dtype) for tensor in tensors_of(call))
        and all(is_floating(tensor.dtype) for tensor in results)
    )


def run_raised(op: Op, call: Call, reference: Run) -> tuple[Run, Call] | None:
    """The float64 run and the call it was made with, where there is one of the same form."""
    whole = _makes_fractions(op, call, reference)
    try:
        raised = _upcast(op, call, whole=whole)
        if raised is None:
            return None
        run = run_wide(op, clone_call(raised), reference)
    except REFUSALS as refusal:
        not_ours(op, refusal)
        return None  # no kernel for float64: ATen alone is the reference
    pairs = zip(reference.tensors, run.tensors, strict=False)
    alike = len(reference.tensors) == len(run.tensors) and all(
        ours.shape == theirs.shape and _same_sort(ours, theirs) for ours, theirs in pairs
    )
    return (run, raised) if alike else None


def _same_sort(reference: Tensor, oracle: Tensor) -> bool:
    return raised_dtype(reference.dtype) == raised_dtype(oracle.dtype)
