"""Is what came back what was expected? One finding, with the place of the worst fault.

Covered: number, kind, shape, dtype and device of the outputs, that they are plain tensors, their
values, NaN and infinity in the same places, what happened to the inputs, and shared memory. Not
covered: strides of outputs, the sign of zero, the payload of NaN. Claims (`Output`) come from the
worker and may lie; values are the judge's own copies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from backend_bench.grading.example import example_of, show_apart
from backend_bench.grading.oracle import Expectation, Expected, Scalar
from backend_bench.grading.sameness import same_bits, same_values
from backend_bench.verdict import Example

LENIENT = 1e-2
"""BackendBench's one tolerance, absolute and relative."""


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """What the worker claims about one output leaf, and the judge's private copy of it."""

    kind: Literal["tensor", "scalar", "none", "other"]
    """What sort of value."""
    type_name: str = "Tensor"
    """Name of its type, for messages."""
    plain: bool = True
    """Whether its type is exactly torch.Tensor."""
    dtype: str = ""
    """Such as `float32`; `torch.float32` is understood."""
    shape: tuple[int, ...] = ()
    """Its shape."""
    stride: tuple[int, ...] = ()
    """Its strides, in elements."""
    device: str = ""
    """Such as `cuda:0`; only the part before the colon is compared."""
    alias: int | None = None
    """Number of the input leaf whose storage it shares."""
    same: int | None = None
    """Number of the input leaf that it is: same address, shape and strides."""
    earlier: bool = False
    """Whether it shares memory with an output of an earlier call, which is still held."""
    value: Tensor | Scalar | None = None
    """The judge's copy; None where there is none."""


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """All that came back from one call."""

    outputs: tuple[Output, ...]
    """The output leaves, lists and tuples entered."""
    single: bool
    """Whether a bare value came back, and no list or tuple."""
    inputs: tuple[Tensor, ...]
    """The judge's copies of the input leaves, taken after the call."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer for one call."""

    passed: bool
    """Whether all of it was right."""
    message: str = ""
    """What was wrong, to what; empty when passed."""
    max_abs_error: float | None = None
    """Largest absolute error against the best known value; infinite where NaN or an infinity is in the wrong
    place, None where nothing was compared."""
    max_rel_error: float | None = None
    """Largest relative error, elements expected to be zero left out; None likewise."""
    example: Example | None = None
    """Values around the worst element of the first wrong result; None where none was compared element by element."""


def check(expectation: Expectation, observed: Observed) -> Finding:
    """Compare one call's results with the expectation."""
    if expectation.profile == "backendbench":
        return _lenient(expectation, observed)
    fault = _form(expectation, observed) or _memory(expectation, observed)
    if fault:
        return Finding(False, fault)
    compared = [
        _compare(f"output {number}", expected, output.value)
        for number, (expected, output) in enumerate(zip(expectation.outputs, observed.outputs, strict=False))
    ]
    compared += [_argument(expectation, number, after) for number, after in enumerate(observed.inputs)]
    return _gather(compared)


def _gather(findings: list[Finding]) -> Finding:
    faults = [finding for finding in findings if not finding.passed]
    return Finding(
        passed=not faults,
        message=faults[0].message if faults else "",
        example=faults[0].example if faults else None,
        max_abs_error=_largest([finding.max_abs_error for finding in findings]),
        max_rel_error=_largest([finding.max_rel_error for finding in findings]),
    )


def _largest(errors: list[float | None]) -> float | None:
    return max((error for error in errors if error is not None), default=None)


# ---------------------------------------------------------------------------------------- form


def _form(expectation: Expectation, observed: Observed) -> str:
    """What is wrong before any value is looked at."""
    outputs = observed.outputs
    if len(observed.inputs) != len(expectation.inputs):
        return f"{len(observed.inputs)} inputs came back, expected {len(expectation.inputs)}"
    if not expectation.outputs:
        nothing = all(output.kind == "none" for output in outputs)
        return "" if nothing else "a value came back, expected none"
    if len(outputs) != len(expectation.outputs):
        return f"{len(outputs)} outputs came back, expected {len(expectation.outputs)}"
    if observed.single != expectation.single:
        came, wanted = ("a bare value", "a tuple") if observed.single else ("a tuple", "a bare value")
        return f"{came} came back, expected {wanted}"
    for number, (expected, output) in enumerate(zip(expectation.outputs, outputs, strict=True)):
        if fault := _leaf_form(expected, output):
            return f"output {number} {fault}"
    return ""


def _leaf_form(expected: Expected, output: Output) -> str:
    if output.kind != expected.kind:
        return f"is a {output.type_name}, expected {_noun(expected)}"
    if expected.kind == "scalar" and type(output.value) is not type(expected.reference):
        return f"is a {output.type_name}, expected {_noun(expected)}"
    if not isinstance(expected.reference, Tensor):
        return ""
    if not output.plain:
        return f"is a {output.type_name}, expected a plain torch.Tensor"
    if expected.unshaped:
        return ""
    # ATen leaves some of what nobody compares on the host.
    device = "" if expected.undefined else expected.device or expected.reference.device.type
    return _tensor_form(expected.reference, device, output)


def _tensor_form(reference: Tensor, device: str, output: Output) -> str:
    if tuple(output.shape) != tuple(reference.shape):
        return f"has shape {list(output.shape)}, expected {list(reference.shape)}"
    wanted = str(reference.dtype).removeprefix("torch.")
    if output.dtype.removeprefix("torch.") != wanted:
        return f"has dtype {output.dtype.removeprefix('torch.')}, expected {wanted}"
    if device and output.device.partition(":")[0] != device:
        return f"is on {output.device}, expected {device}"
    if not isinstance(output.value, Tensor):
        return "has no copy to compare"
    if output.value.shape != reference.shape or output.value.dtype != reference.dtype:
        return "was copied in another form than claimed"
    return ""


def _noun(expected: Expected) -> str:
    if expected.kind == "scalar":
        return f"a Python {type(expected.reference).__name__}"
    return "a tensor" if expected.kind == "tensor" else "None"


# -------------------------------------------------------------------------------------- memory


def _memory(expectation: Expectation, observed: Observed) -> str:
    """Outputs that share memory with inputs or earlier outputs where they must not, or do not where they must."""
    for number, (expected, output) in enumerate(zip(expectation.outputs, observed.outputs, strict=False)):
        if not isinstance(expected.reference, Tensor) or expected.reference.numel() == 0:
            continue
        if fault := _sharing(expectation, expected, output):
            return f"output {number} {fault}"
    return ""


def _sharing(expectation: Expectation, expected: Expected, output: Output) -> str:
    twins = expectation.same_as
    for claim in (output.same, output.alias):
        if claim is not None and not 0 <= claim < len(twins):
            return f"is said to share memory with input {claim}, which there is not"
    if expected.must_be is not None:
        given = None if output.same is None else twins[output.same]
        right = given == twins[expected.must_be]
        return "" if right else f"is not input {expected.must_be}, which it has to be"
    touched = output.same if output.same is not None else output.alias
    if touched is None and output.earlier:
        return "shares memory with the result of an earlier call, expected fresh memory"
    if touched is None or touched in expected.may_share:
        return ""
    if twins[touched] in {twins[number] for number in expected.may_share}:
        return ""
    return f"shares memory with input {touched}, expected fresh memory"


def _argument(expectation: Expectation, number: int, after: Tensor) -> Finding:
    expected = expectation.inputs[number]
    if number in expectation.written:
        return _compare(f"input {number} after the call", expected, after)
    if isinstance(expected.reference, Tensor) and same_bits(
        expected.reference, after.to(expected.reference.device)
    ):
        return Finding(True)
    return Finding(False, f"input {number} was changed; the operator leaves it alone")


# -------------------------------------------------------------------------------------- values


def _compare(label: str, expected: Expected, value: Tensor | Scalar | None) -> Finding:
    if expected.undefined or expected.kind == "none":
        return Finding(True)
    reference = expected.reference
    if not isinstance(reference, Tensor):
        return _compare_scalars(label, reference, value)
    if not isinstance(value, Tensor) or value.shape != reference.shape:
        return Finding(False, f"{label} has another shape than {list(reference.shape)}")
    if value.dtype != reference.dtype:
        return Finding(False, f"{label} has another dtype than {reference.dtype}")
    value = value.detach().to(reference.device).resolve_conj().resolve_neg()
    if expected.choice is not None:
        fault = expected.choice.fault(value, reference)
        return Finding(not fault, f"{label}: {fault}" if fault else "")
    return _compare_tensors(label, expected, value)


def _compare_scalars(label: str, reference: object, value: object) -> Finding:
    same = value == reference or (_is_nan(value) and _is_nan(reference))
    return Finding(same, "" if same else f"{label} is {value!r}, expected {reference!r}")


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _compare_tensors(label: str, expected: Expected, value: Tensor) -> Finding:
    reference = expected.reference
    assert isinstance(reference, Tensor)
    if expected.unordered_dim is not None:
        value = value.sort(expected.unordered_dim).values
        reference = reference.sort(expected.unordered_dim).values
        expected = Expected("tensor", reference)
    right = _right(expected, reference, value)
    if expected.contested is not None:
        right = right | expected.contested.to(right.device)
    target = reference if expected.oracle is None else expected.oracle
    error, relative = _errors(value, target)
    worst_abs, worst_rel = _worst(error), _worst(relative)
    if bool(right.all()):
        return Finding(True, "", worst_abs, worst_rel)
    if not bool(error[~right].isfinite().all()):
        worst_abs = worst_rel = math.inf  # NaN or an infinity where there is none
    message, example = _differ(label, right, error, expected, reference, value)
    return Finding(False, message, worst_abs, worst_rel, example)


def _right(expected: Expected, reference: Tensor, value: Tensor) -> Tensor:
    """Element by element: near the oracle, or where that is doubtful near ATen's own answer."""
    if expected.oracle is None:
        return same_values(value, reference)
    right = _near(value, expected.oracle, expected.allowance)
    if expected.also is not None:
        right |= expected.also & _near(value, reference, expected.table)
    return right


def _near(value: Tensor, target: Tensor, allowance: Tensor | None) -> Tensor:
    """Within the allowance of a finite target; the same NaN or infinity as any other."""
    if allowance is None:
        return same_values(value, target)
    wide = _widened(value)
    target = target.to(wide.dtype)
    close = (wide - target).abs() <= allowance
    close &= target.isfinite() & wide.isfinite()
    if value.dtype.is_complex:
        return close | (~target.isfinite() & ~wide.isfinite())
    return close | (~target.isfinite() & same_values(wide, target)) | _overflowing(value, target, allowance)


def _overflowing(value: Tensor, target: Tensor, allowance: Tensor) -> Tensor:
    """Infinity where the true value is within a rounding of the dtype's largest, or what is allowed reaches beyond it."""
    edge = torch.finfo(value.dtype).max * (1 - torch.finfo(value.dtype).eps)
    return value.isinf() & (target.abs() + allowance >= edge) & (value.sign() == target.sign())


def _widened(tensor: Tensor) -> Tensor:
    return tensor.to(torch.complex128 if tensor.dtype.is_complex else torch.float64)


def _errors(value: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Absolute and relative errors in float64; equal values, infinite ones included, have none."""
    wide, target = _widened(value), _widened(target)
    same = same_values(wide, target)
    error = torch.where(same, 0.0, (wide - target).abs().to(torch.float64))
    size = target.abs().to(torch.float64)
    return error, torch.where(size > 0, error / size, torch.where(same, 0.0, torch.nan))


def _worst(errors: Tensor) -> float | None:
    """The largest finite error; None where there is none to speak of."""
    finite = errors[errors.isfinite()]
    return float(finite.max()) if finite.numel() else None


def _differ(
    label: str,
    right: Tensor,
    error: Tensor,
    expected: Expected,
    reference: Tensor,
    value: Tensor,
) -> tuple[str, Example]:
    count = int((~right).sum())
    badness = error if expected.allowance is None else error / expected.allowance
    badness = torch.where(right, -1.0, badness.nan_to_num(nan=torch.inf, posinf=torch.inf))
    flat = int(badness.reshape(-1).argmax())
    place = [int(index) for index in torch.unravel_index(torch.tensor(flat), right.shape)]
    prefix = "" if label == "output 0" else f"{label}: "
    where = f" at {place}" if place else ""
    tolerance = ""
    if expected.allowance is not None:
        tolerance = f" (tolerance {float(expected.allowance.reshape(-1)[flat]):.2g})"
    # What is told is the best that is known: ATen's own may be the one that is off.
    target = reference if expected.oracle is None else expected.oracle.to(reference.dtype)
    wanted, got = show_apart(target.reshape(-1)[flat].item(), value.reshape(-1)[flat].item())
    message = (
        f"{prefix}{count} of {right.numel()} elements differ; worst{where}: "
        f"expected {wanted}, got {got}{tolerance}"
    )
    excess = None if expected.allowance is None else float(badness.reshape(-1)[flat])
    return message, example_of(label, right, flat, target, value, excess)


# ------------------------------------------------------------------------------------- lenient


def _lenient(expectation: Expectation, observed: Observed) -> Finding:
    """BackendBench's comparison: one tolerance, lists and tuples alike, inputs not looked at."""
    if len(observed.outputs) != len(expectation.outputs):
        given, wanted = len(observed.outputs), len(expectation.outputs)
        return Finding(False, f"{given} outputs came back, expected {wanted}")
    if observed.single != expectation.single:
        return Finding(False, "a bare value and a tuple are not alike")
    return _gather(
        [
            _lenient_leaf(number, expected, output, observed.inputs)
            for number, (expected, output) in enumerate(
                zip(expectation.outputs, observed.outputs, strict=True)
            )
        ]
    )


def _lenient_leaf(number: int, expected: Expected, output: Output, inputs: tuple[Tensor, ...]) -> Finding:
    # there, an in-place reference *is* the argument that the candidate changes afterwards
    reference = expected.reference if expected.must_be is None else inputs[expected.must_be]
    value = output.value
    if not isinstance(reference, Tensor) or not isinstance(value, Tensor):
        same = output.kind == expected.kind and value == reference
        return Finding(same, "" if same else f"output {number} is another value")
    value = value.to(reference.device)
    try:
        torch.testing.assert_close(value, reference, atol=LENIENT, rtol=LENIENT, equal_nan=True)
    except AssertionError as difference:
        return Finding(False, f"output {number}: {' '.join(str(difference).split())}")
    error, relative = _errors(value, reference)
    return Finding(True, "", _worst(error), _worst(relative))
