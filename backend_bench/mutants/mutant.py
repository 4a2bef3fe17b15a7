"""What a mutant is, and how one is made from the operator itself: by another answer, or another reading.

Runs ATen and no candidate. Whether a mutant is caught is not decided here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from backend_bench.cases import Call
from backend_bench.grading.choices import arguments, call_of
from backend_bench.grading.inputs import clone_call, leaves, map_tensors, storage_of, tensors_of
from backend_bench.grading.sameness import same_bits
from backend_bench.grading.traits import Op

Kernel = Callable[..., Any]
Given = dict[str, Any]
"""A call's arguments by name, defaults filled in."""


class DoesNotApply(Exception):
    """On these arguments the mutant does what the operator does; the text says what it would take."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A kernel for one operator that is wrong in one way, unless the operator is as trivial."""

    kind: str
    """What is wrong with it, the same for all operators: `ignores an argument`."""
    name: str
    """What is wrong with this one: `ignores alpha`."""
    kernel: Kernel
    """Takes the operator's arguments."""


def given(op: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Given:
    """The arguments by name."""
    return arguments(op, Call(args, kwargs))


# ------------------------------------------------------------------------------- another answer


def answering(op: Op, change: Callable[[Tensor, Call], Tensor]) -> Kernel:
    """The operator, with each tensor that it returns, or writes to, replaced by `change(right, call)`.

    `call` is as it was before. What is written in place is overwritten in place, so that only values differ.
    """
    mutable = op._schema.is_mutable

    def kernel(*args: Any, **kwargs: Any) -> Any:
        call = Call(args, kwargs)
        before = clone_call(call) if mutable else call
        result = op(*args, **kwargs)
        owned = {storage_of(tensor) for tensor in tensors_of(call)} if mutable else set()

        def replace(right: Tensor) -> Tensor:
            wrong = change(right, before)
            if storage_of(right) not in owned:
                return wrong
            right.copy_(wrong)
            return right

        if not op._schema.returns:
            for tensor in written(op, call):
                replace(tensor)
            return result
        return map_tensors(Call((result,)), replace).args[0]

    return kernel


def written(op: Op, call: Call) -> list[Tensor]:
    """The tensors that the schema says are written."""
    named = arguments(op, call)
    marked = [a.name for a in op._schema.arguments if a.alias_info is not None and a.alias_info.is_write]
    return [tensor for name in marked for tensor in leaves(named[name])]


# ------------------------------------------------------------------------------ another reading


def reading(op: Op, revise: Callable[[Given], Given]) -> Kernel:
    """The operator on other arguments than it was given; what it writes still arrives in the right place."""

    def kernel(*args: Any, **kwargs: Any) -> Any:
        mine = given(op, args, kwargs)
        copy = clone_call(call_of(op, mine))
        read = revise(arguments(op, copy))
        call = call_of(op, read)
        before = tensors_of(clone_call(call))
        result = op(*call.args, **call.kwargs)
        changed = {
            id(after): old
            for after, old in zip(tensors_of(call), before, strict=True)
            if not same_bits(after, old)
        }
        places: dict[int, Tensor] = {}
        for name, value in read.items():
            for own, other in zip(leaves(mine[name]), leaves(value), strict=False):
                if id(other) in changed:
                    own.copy_(other)
                places[id(other)] = own
        return map_tensors(Call((result,)), lambda tensor: places.get(id(tensor), tensor)).args[0]

    return kernel


def misreading(op: Op, read: Callable[[Tensor], Tensor], what: str) -> Kernel:
    """The operator with each tensor read in another way; `DoesNotApply` where that changes none of them."""

    def revise(named: Given) -> Given:
        changes = 0

        def change(tensor: Tensor) -> Tensor:
            nonlocal changes
            other = read(tensor)
            changes += other is not tensor
            return other

        revised = map_tensors(Call((), named), change).kwargs
        if not changes:
            raise DoesNotApply(what)
        return revised

    return reading(op, revise)
