"""Whether a draw in another form tells anything: a kernel that overlooks what the form changes must come to something else there.

Runs ATen on small copies on a CPU, and only to choose among draws; what is right is said elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from backend_bench.cases import Call
from backend_bench.grading.choices import arguments, call_of
from backend_bench.grading.dimensions import DIMENSIONS, map_numbers
from backend_bench.grading.inputs import clone_call, map_tensors, tensors_of
from backend_bench.grading.running import REFUSALS, Run, run_once
from backend_bench.grading.sameness import is_floating, same_values
from backend_bench.grading.sizes import MANY
from backend_bench.grading.traits import Op, base_name, is_pointwise, names

LINE, _HEAD = 256, 8
"""Elements of a line that are long enough to be read in part; and which part that is."""

_ROUNDING = 0.02
"""Share of the largest result: bfloat16 keeps eight bits."""
_ANSWERS = names(
    "eq ne lt le gt ge isin isclose isnan isinf isposinf isneginf isfinite signbit any all logical_and logical_or logical_xor logical_not"
)
"""Operators that say yes or no."""


def in_memory_order(tensor: Tensor) -> Tensor:
    """The elements in the order in which they lie in memory, from the first on; the tensor itself where that is its own order."""
    if tensor.is_contiguous() or not tensor.numel() or tensor.is_conj() or tensor.is_neg():
        return tensor
    storage = tensor.as_strided(
        (tensor.untyped_storage().nbytes() // tensor.element_size() - int(tensor.storage_offset()),), (1,)
    )
    places = torch.arange(tensor.numel(), device=tensor.device) % storage.numel()
    return storage[places].reshape(tensor.shape).clone()


def head_again(tensor: Tensor) -> Tensor:
    """Of the last dimension, or of all elements where that is one line, the first eighth in the place of the rest."""
    if not tensor.dim() or tensor.numel() <= LINE:
        return tensor
    line = tensor if tensor.shape[-1] > LINE else tensor.reshape(-1)
    size = line.shape[-1]
    places = torch.arange(size, device=tensor.device) % (size // _HEAD)
    return line[..., places].reshape(tensor.shape)


def read_flat(tensor: Tensor, whole: torch.Size) -> Tensor:
    """What is broadcast to a shape, read from its start again and again instead; the tensor itself where that is the same."""
    if tensor.shape == whole or tensor.numel() <= 1:
        return tensor
    places = torch.arange(whole.numel(), device=tensor.device) % tensor.numel()
    flat = tensor.reshape(-1)[places].reshape(whole)
    return tensor if torch.equal(flat, tensor.expand(whole)) else flat


def tells(op: Op, form: str, before: Call, after: Call) -> bool | None:
    """Whether a kernel that takes `after`, which has another form, as if it had not, is wrong on it; also where that cannot be known.

    None where ATen refuses `after`, or would not notice that it is no call: on a GPU not every operator looks at what it is given.
    """
    if form not in _OVERLOOKING:
        return True
    if form in ("turned", "raised") and _trusts_its_caller(op, after):
        return None
    is_elsewhere = any(tensor.device.type != "cpu" for tensor in tensors_of(after))
    before, after = (map_tensors(call, _on_cpu) for call in (before, after))
    try:
        right = run_once(op, clone_call(after))
    except REFUSALS:
        # On a CPU not every operator runs, and not in every dtype: then nothing is known.
        return True if is_elsewhere and not _runs(op, before) else None
    if form == "longer":
        return _varies_beyond_a_block(right)
    try:
        overlooking = _OVERLOOKING[form](op, before, after)
        if overlooking is None:
            return False
        wrong = run_once(op, clone_call(overlooking))
    except REFUSALS:
        return True
    return not _same(right, wrong)


def _runs(op: Op, call: Call) -> bool:
    try:
        run_once(op, clone_call(call))
    except REFUSALS:
        return False
    return True


def shows_order(op: Op, call: Call) -> bool:
    """Whether a kernel that writes columns for rows comes to something else: not where it has a single line of results, or all are alike."""
    return any(
        value.dim() > 1 and not _nearly(value, value.transpose(-1, -2).reshape(value.shape))
        for value in _came_to(op, call)
    )


def is_one_answer(op: Op, call: Call) -> bool:
    """Whether an operator that says yes or no says the same everywhere, as a kernel would that overlooks nearly anything."""
    if base_name(op) not in _ANSWERS:
        return False
    several = [value for value in _came_to(op, call) if value.numel() > 1]
    return bool(several) and all(bool((value == value.reshape(-1)[0]).all()) for value in several)


def _came_to(op: Op, call: Call) -> list[Tensor]:
    """The results on a CPU; none where ATen refuses the call."""
    try:
        return _results(run_once(op, map_tensors(call, _on_cpu)))
    except REFUSALS:
        return []


def _on_cpu(tensor: Tensor) -> Tensor:
    """A copy with the same strides and gaps."""
    plain = tensor.detach().resolve_conj().resolve_neg()
    storage = plain.untyped_storage()
    flat = torch.empty(0, dtype=plain.dtype, device=plain.device)
    flat.set_(storage, 0, (storage.nbytes() // plain.element_size(),), (1,))
    return flat.cpu().clone().as_strided(plain.shape, plain.stride(), plain.storage_offset())


def _results(run: Run) -> list[Tensor]:
    """What it returned, or what it may have written to where it returns nothing."""
    return [value for value in run.outputs if isinstance(value, Tensor)] or tensors_of(run.call)


def _varies_beyond_a_block(run: Run) -> bool:
    tails = [value.reshape(-1)[MANY:] for value in _results(run) if value.numel() > MANY]
    return any(bool((tail[:1] != tail).any()) for tail in tails)


def _same(right: Run, wrong: Run) -> bool:
    ours, theirs = _results(right), _results(wrong)
    return len(ours) == len(theirs) and all(map(_nearly, ours, theirs))


def _nearly(one: Tensor, other: Tensor) -> bool:
    """Whether they differ by no more than what rounding in another order explains, in any dtype."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    same = same_values(one, other)
    if bool(same.all()) or not is_floating(one.dtype):
        return bool(same.all())
    one, other = (
        value.to(torch.complex128 if value.is_complex() else torch.float64) for value in (one, other)
    )
    size = one.abs()[one.isfinite()].max() if bool(one.isfinite().any()) else 0.0
    return bool((same | ((one - other).abs() <= _ROUNDING * size)).all())


def _misread(read: Callable[[Tensor], Tensor]) -> Callable[[Op, Call, Call], Call | None]:
    """Every tensor read in another way, but for indices: out of bounds an operator may read anything."""

    def overlooking(op: Op, before: Call, after: Call) -> Call | None:
        changes = 0

        def change(tensor: Tensor) -> Tensor:
            nonlocal changes
            if not (is_floating(tensor.dtype) or tensor.dtype is torch.bool or is_pointwise(op)):
                return tensor
            other = read(tensor)
            changes += other is not tensor
            return other

        misread = map_tensors(after, change)
        return misread if changes else None

    return overlooking


def _flat(op: Op, before: Call, after: Call) -> Call | None:
    whole = torch.broadcast_shapes(*(tensor.shape for tensor in tensors_of(after)))
    return _misread(lambda tensor: read_flat(tensor, whole))(op, before, after)


def _unchanged(op: Op, before: Call, after: Call) -> Call:
    return before


def _along_the_old(op: Op, before: Call, after: Call) -> Call:
    """The new sizes and the old dimension."""
    return call_of(op, arguments(op, after) | {"dim": arguments(op, before)["dim"]})


def _from_the_start(op: Op, before: Call, after: Call) -> Call:
    """The dimensions without their sign."""
    given = arguments(op, after)
    return call_of(op, given | {name: map_numbers(given[name], abs) for name in DIMENSIONS & given.keys()})


def _trusts_its_caller(op: Op, call: Call) -> bool:
    """Whether sizes that do not fit together, or an index out of bounds, may go unnoticed and write anywhere: tensors of one size have
    nothing that could not fit."""
    tensors = tensors_of(call)
    is_alike = len({tensor.shape for tensor in tensors}) < 2 and all(is_floating(t.dtype) for t in tensors)
    return base_name(op).startswith("_") and len(tensors) > 1 and not is_alike


def _first_slice(op: Op, before: Call, after: Call) -> Call:
    """The first slice in the place of each, wherever there is a dimension more than before."""
    ranks = iter([tensor.dim() for tensor in tensors_of(before)])
    return map_tensors(
        after,
        lambda tensor: (
            tensor if tensor.dim() == next(ranks) else tensor[:1].expand(tensor.shape).contiguous()
        ),
    )


_OVERLOOKING: dict[str, Callable[[Op, Call, Call], Call | None]] = {
    "restrided": _misread(in_memory_order),
    "longer": _unchanged,
    "deeper": _misread(head_again),
    "late": _misread(head_again),
    "spread": _flat,
    "turned": _along_the_old,
    "raised": _first_slice,
    "without": _unchanged,
    "dilated": _unchanged,
    "reset": _unchanged,
    "renumbered": _unchanged,
    "from the end": _from_the_start,
    "single": _unchanged,
    "fewer": _unchanged,
    "poisoned": _unchanged,
    "uneven": _unchanged,
    "oblong": _unchanged,
    "skipping": _unchanged,
    "masked": _unchanged,
}
"""What a kernel takes a call for that overlooks what a form changes in it; None where that changes nothing."""
