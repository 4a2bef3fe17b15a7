"""Does a mutant that was not caught do what the operator does? A stricter look than the checker's.

Says only how near one answer lies to ATen's; the checker alone decides what passes.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from backend_bench.cases import Call
from backend_bench.grading.checker import Observed
from backend_bench.grading.inputs import clone_call
from backend_bench.grading.oracle import Expectation, Expected, Unjudgeable
from backend_bench.grading.running import Run, run_raised, run_reference
from backend_bench.grading.sameness import is_floating, same_values
from backend_bench.grading.traits import Op

_STEPS = 2.0
"""Steps of the dtype, or times ATen's own error, within which two answers differ by rounding alone."""


class Likeness(enum.IntEnum):
    """How near an answer that passed lies to ATen's, the worst last."""

    SAME = 0
    ROUNDED = 1
    DIFFERENT = 2


def likeness(expectation: Expectation, observed: Observed) -> Likeness:
    """Over all outputs, and over the inputs that the operator writes."""
    pairs = [(e, o.value) for e, o in zip(expectation.outputs, observed.outputs, strict=False)]
    pairs += [(expectation.inputs[number], observed.inputs[number]) for number in expectation.written]
    return max((_near(expected, value) for expected, value in pairs), default=Likeness.SAME)


def _near(expected: Expected, value: object) -> Likeness:
    reference = expected.reference
    if not isinstance(reference, Tensor) or not isinstance(value, Tensor):
        return Likeness.SAME  # a scalar that passed is equal
    free = expected.choice is not None or expected.unordered_dim is not None
    if free or expected.undefined or expected.unshaped:
        return Likeness.SAME  # whatever passed is as right as ATen's
    value = value.to(reference.device).resolve_conj().resolve_neg()
    equal = same_values(value, reference)
    if expected.contested is not None:
        equal = equal | expected.contested.to(equal.device)
    if bool(equal.all()):
        return Likeness.SAME
    if not is_floating(reference.dtype):
        return Likeness.DIFFERENT
    return (
        Likeness.ROUNDED if bool((equal | _rounded(expected, reference, value)).all()) else Likeness.DIFFERENT
    )


def _rounded(expected: Expected, reference: Tensor, value: Tensor) -> Tensor:
    wide = torch.complex128 if reference.dtype.is_complex else torch.float64
    ours, theirs = value.to(wide), reference.to(wide)
    limits = torch.finfo(reference.dtype)
    step = theirs.abs() * limits.eps + limits.smallest_normal
    near = (ours - theirs).abs() <= _STEPS * step
    if expected.oracle is None:
        return near
    target = expected.oracle.to(wide)
    return near | ((ours - target).abs() <= _STEPS * (theirs - target).abs())


_IDENTICAL = 1e-9
"""Relative difference in float64 that still is the same formula; a float32 step anywhere inside is more."""


def is_identity(op: Op, kernel: Callable[..., Any], calls: Sequence[Call]) -> bool:
    """Whether `kernel` is `op` in exact arithmetic: on these calls in float64, their results agree to 1e-9.

    False where an operator has no float64 form, or nothing could be compared.
    """
    compared = 0
    for call in calls:
        try:
            raised = run_raised(op, call, run_reference(op, clone_call(call)))
        except Unjudgeable:
            continue
        if raised is None:
            continue
        run, wide = raised
        mine = clone_call(wide)
        try:
            results = Run(mine, kernel(*mine.args, **mine.kwargs)).tensors
        except Exception:  # noqa: BLE001  (whatever it raises, it is not the operator)
            return False
        compared += 1
        if not all(_identical(one, other) for one, other in zip(run.tensors, results, strict=True)):
            return False
    return compared > 0


def _identical(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not is_floating(one.dtype):
        return torch.equal(one, other)
    size = one.abs().nan_to_num(0.0, 0.0, 0.0).amax() if one.numel() else 0.0
    return bool((same_values(one, other) | ((one - other).abs() <= _IDENTICAL * size)).all())
