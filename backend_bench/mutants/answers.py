"""Mutants that answer wrongly: constants, an input, the right answer spoilt.

Each gets the right answer and spoils it, so shape, dtype and place are right and only values can tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from backend_bench.cases import Call
from backend_bench.grading.inputs import clone_call, tensors_of
from backend_bench.grading.sameness import is_floating
from backend_bench.grading.traits import SCATTERED_SUMS, Op, base_name
from backend_bench.mutants.mutant import DoesNotApply, Kernel, Mutant, answering

Change = Callable[[Tensor, Call], Tensor]

BLOCK = 1024
"""Elements that a kernel of one block writes; a usual size of a block."""
_TAIL = 16
"""Elements at a time of a kernel that forgets the rest; small, since most cases are."""


def wrong_answers(op: Op) -> Iterator[Mutant]:
    """The mutants of `op` that answer wrongly."""
    for name, change in _CHANGES.items():
        if name in _ROUNDINGS and base_name(op) in SCATTERED_SUMS:
            change = _of_long_mantissas(change)
        yield Mutant(name, name, answering(op, change))
    yield Mutant("writes its first output only", "writes its first output only", _first_output_only(op))
    yield Mutant("remembers answers by shape", "remembers answers by shape", _remembering(op))
    if op._schema.is_mutable and op._schema.returns:
        yield Mutant("does not write in place", "does not write in place", _not_in_place(op))


def _filled(value: float) -> Change:
    def change(right: Tensor, _: Call) -> Tensor:
        if not is_floating(right.dtype) and not float(value).is_integer():
            raise DoesNotApply("an output with a fraction")
        return torch.full_like(right, value)

    return change


def _input(place: int) -> Change:
    """One input in the shape and dtype of the output, repeated or cut where it is of another size."""

    def change(right: Tensor, call: Call) -> Tensor:
        inputs = tensors_of(call)
        if not inputs or (place and len(inputs) < 2):
            raise DoesNotApply("an input" if not inputs else "a second input")
        return _shaped(inputs[place], right)

    return change


def _shaped(source: Tensor, like: Tensor) -> Tensor:
    if source.dtype.is_complex and not like.dtype.is_complex:
        source = source.real
    if source.shape != like.shape:
        if not source.numel():
            return torch.zeros_like(like)
        flat = source.reshape(-1)
        places = torch.arange(like.numel(), device=flat.device) % flat.numel()
        source = flat[places].reshape(like.shape)
    return source.to(like.device, like.dtype, copy=True)


def _input_and_tiny(right: Tensor, call: Call) -> Tensor:
    source = _input(0)(right, call)
    return source + 1e-4 if is_floating(right.dtype) else source


def _negated(right: Tensor, _: Call) -> Tensor:
    if right.dtype is torch.bool:
        return ~right
    return -right


def _absolute(right: Tensor, _: Call) -> Tensor:
    if not right.dtype.is_signed or right.dtype.is_complex:
        raise DoesNotApply("a signed output")
    return right.abs()


def _a_little_more(right: Tensor, _: Call) -> Tensor:
    """A thousandth, or in a short dtype a twentieth: what a dropped term or a wrong constant costs."""
    if not is_floating(right.dtype):
        raise DoesNotApply("a floating output")
    return right * (1.05 if right.element_size() < 4 else 1.001)


def _short(right: Tensor, _: Call) -> Tensor:
    """Eight bits of mantissa, or four in a dtype that has no more than eight."""
    if not is_floating(right.dtype) or right.dtype.is_complex:
        raise DoesNotApply("a real floating output")
    mantissa, exponent = torch.frexp(right.double())
    bits = 4 if right.element_size() < 4 else 8
    short = torch.ldexp((mantissa * 2**bits).round() / 2**bits, exponent)
    return torch.where(right.isfinite(), short, right).to(right.dtype)


def _of_long_mantissas(change: Change) -> Change:
    """Where each addition of a sum is rounded to a short dtype, as with atomics on a GPU, a right result is as far off."""

    def changed(right: Tensor, call: Call) -> Tensor:
        if is_floating(right.dtype) and right.element_size() < 4:
            raise DoesNotApply("sums in more than a short dtype")
        return change(right, call)

    return changed


def _truncated(right: Tensor, _: Call) -> Tensor:
    if not is_floating(right.dtype) or right.dtype.is_complex:
        raise DoesNotApply("a real floating output")
    return right.trunc()


def _rolled(dim: int) -> Change:
    def change(right: Tensor, _: Call) -> Tensor:
        if not right.dim() or right.shape[dim] < 2 or not right.numel():
            raise DoesNotApply("an output with more than one " + ("row" if dim == 0 else "column"))
        return right.roll(1, dim)

    return change


def _first_row(right: Tensor, _: Call) -> Tensor:
    if not right.dim() or right.shape[0] < 2 or not right.numel():
        raise DoesNotApply("an output with more than one row")
    return right[:1].expand(right.shape).clone()


def _transposed(right: Tensor, _: Call) -> Tensor:
    if right.dim() < 2 or min(right.shape[-2:]) < 2 or not right.numel():
        raise DoesNotApply("an output with rows and columns")
    return right.transpose(-1, -2).reshape(right.shape)


def _unwritten(first: Callable[[int], int], what: str) -> Change:
    """Elements from `first(count)` on stay zero."""

    def change(right: Tensor, _: Call) -> Tensor:
        start = first(right.numel())
        if start >= right.numel():
            raise DoesNotApply(what)
        flat = right.reshape(-1).clone()
        flat[start:] = 0
        return flat.reshape(right.shape)

    return change


_CHANGES: dict[str, Change] = {
    "zeros": _filled(0.0),
    "ones": _filled(1.0),
    "one half": _filled(0.5),
    "NaN": _filled(math.nan),
    "the first input": _input(0),
    "the last input": _input(-1),
    "the first input and a little": _input_and_tiny,
    "negated": _negated,
    "without a sign": _absolute,
    "a little too large": _a_little_more,
    "rounded to a short mantissa": _short,
    "cut to whole numbers": _truncated,
    "rows shifted": _rolled(0),
    "columns shifted": _rolled(-1),
    "the first row for all": _first_row,
    "written transposed": _transposed,
    "the last element unwritten": _unwritten(lambda count: count - 1, "an output"),
    "the tail of a block unwritten": _unwritten(lambda count: count - count % _TAIL, "an output with a tail"),
    "one block only": _unwritten(lambda count: BLOCK, f"an output of more than {BLOCK} elements"),
}


_ROUNDINGS = frozenset({"a little too large", "rounded to a short mantissa"})


def _first_output_only(op: Op) -> Kernel:
    def kernel(*args: Any, **kwargs: Any) -> Any:
        if len(op._schema.returns) < 2:
            raise DoesNotApply("a second output")
        seen = 0

        def change(right: Tensor, _: Call) -> Tensor:
            nonlocal seen
            seen += 1
            return right if seen == 1 else torch.zeros_like(right)

        return answering(op, change)(*args, **kwargs)

    return kernel


def _remembering(op: Op) -> Kernel:
    """The first answer that there was to tensors of these shapes."""
    known: dict[Any, list[Tensor]] = {}

    def kernel(*args: Any, **kwargs: Any) -> Any:
        key = tuple((tuple(t.shape), t.dtype) for t in tensors_of(Call(args, kwargs)))
        old = list(known.get(key, ()))
        fresh: list[Tensor] = []

        def change(right: Tensor, _: Call) -> Tensor:
            fresh.append(right.clone())
            usable = bool(old) and old[0].shape == right.shape and old[0].dtype == right.dtype
            return old.pop(0).clone() if usable else right

        result = answering(op, change)(*args, **kwargs)
        known.setdefault(key, fresh)
        return result

    return kernel


def _not_in_place(op: Op) -> Kernel:
    """The right values, but in fresh memory."""

    def kernel(*args: Any, **kwargs: Any) -> Any:
        copy = clone_call(Call(args, kwargs))
        return op(*copy.args, **copy.kwargs)

    return kernel
