"""Do two sides of one call obviously agree? A quick look at timed calls, which the checker backs up.

Yes means: same form, same effect on the inputs, every value within the dtype's relative tolerance,
with no absolute part. No means nothing yet: rounding near zero, ties and free choices look different
from one right kernel to the next, and then the whole check decides.
"""

from __future__ import annotations

import torch
from torch import Tensor

from backend_bench.grading.checker import Observed, Output

FORM = ("kind", "plain", "dtype", "shape", "device", "alias", "same")
"""What both sides must say alike of an output; strides are nobody's business."""
_RELATIVE = {
    torch.float16: 1e-3,
    torch.bfloat16: 1.6e-2,
    torch.float32: 1.3e-6,
    torch.float64: 1e-7,
    torch.complex64: 1.3e-6,
    torch.complex128: 1e-7,
}
"""torch.testing's table."""


def alike(observed: Observed, trusted: Observed) -> bool:
    """Whether the candidate's results on a call are, to the eye, the trusted twin's on the same call."""
    if observed.single != trusted.single or len(observed.outputs) != len(trusted.outputs):
        return False
    outputs = zip(observed.outputs, trusted.outputs, strict=True)
    inputs = zip(observed.inputs, trusted.inputs, strict=True)
    return all(same_output(ours, theirs) for ours, theirs in outputs) and all(
        torch.equal(ours, theirs) for ours, theirs in inputs
    )


def same_output(ours: Output, theirs: Output) -> bool:
    """Whether one output is, to the eye, the other."""
    if any(getattr(ours, name) != getattr(theirs, name) for name in FORM):
        return False
    if isinstance(ours.value, Tensor) and isinstance(theirs.value, Tensor):
        return torch.equal(ours.value, theirs.value) or is_within(ours.value, theirs.value)
    return ours.kind != "tensor" and ours.value == theirs.value


def is_within(ours: Tensor, theirs: Tensor) -> bool:
    """Whether every value is the other within the relative tolerance of their dtype; False where it has none."""
    if ours.dtype not in _RELATIVE or ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return False
    # NaN or infinity on either side makes this False, which only means a closer look.
    allowance = theirs.abs().mul_(_RELATIVE[ours.dtype])
    return bool((ours - theirs).abs().sub_(allowance).amax() <= 0) if ours.numel() else True
