"""Mutants that read their arguments wrongly: another order, another dtype, an argument left out.

Each runs the operator itself on what it misread.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from backend_bench.cases import Call
from backend_bench.grading.choices import arguments
from backend_bench.grading.inputs import leaves, map_tensors, tensors_of
from backend_bench.grading.overlooked import LINE, head_again, in_memory_order, read_flat
from backend_bench.grading.sameness import is_floating
from backend_bench.grading.traits import ADDS_TO_PRODUCT, SUMS, Op, base_name, is_pointwise
from backend_bench.mutants.mutant import (
    DoesNotApply,
    Given,
    Kernel,
    Mutant,
    answering,
    misreading,
    reading,
)

_PARTS = 32
"""Partial sums of a kernel that rounds each of them."""


def wrong_readings(op: Op, first: Call) -> Iterator[Mutant]:
    """The mutants of `op` that misread; `first` is the call whose settings some of them hard-code."""
    yield Mutant("reads transposed", "reads transposed", misreading(op, _transposed, "a matrix"))
    yield Mutant(
        "ignores strides",
        "ignores strides",
        misreading(op, in_memory_order, "an input that is not contiguous"),
    )
    if is_pointwise(op):
        yield Mutant("broadcasts wrongly", "broadcasts wrongly", reading(op, _broadcast_flat))
    yield Mutant(
        "reads the head of a line",
        "reads the head of a line",
        misreading(op, head_again, f"a line of more than {LINE} elements"),
    )
    yield Mutant("swaps two inputs", "swaps two inputs", reading(op, _swapped))
    yield Mutant("takes another dim", "takes another dim", reading(op, _another_dim))
    yield Mutant("float16 inside", "float16 inside", _float16_inside(op))
    if base_name(op) in SUMS and base_name(op) not in ADDS_TO_PRODUCT:
        yield Mutant("adds up in float16", "adds up in float16", _float16_sums(op))
    yield from _without_arguments(op, first)


def _transposed(tensor: Tensor) -> Tensor:
    if tensor.dim() < 2 or min(tensor.shape[-2:]) < 2 or not tensor.numel():
        return tensor
    return tensor.transpose(-1, -2).contiguous().view(tensor.shape)


def _broadcast_flat(named: Given) -> Given:
    """Each input read from its start again and again, whatever its shape is."""
    tensors = tensors_of(Call((), named))
    shapes = [tuple(tensor.shape) for tensor in tensors]
    if len(set(shapes)) < 2:
        raise DoesNotApply("inputs of two shapes")
    whole = torch.broadcast_shapes(*shapes)
    changed = map_tensors(Call((), named), lambda tensor: read_flat(tensor, whole)).kwargs
    if all(a is b for a, b in zip(tensors_of(Call((), changed)), tensors, strict=True)):
        raise DoesNotApply("an input that is broadcast along its last dimension")
    return changed


def _swapped(named: Given) -> Given:
    names = [name for name, value in named.items() if isinstance(value, Tensor)]
    pairs = [
        (one, two)
        for one, two in itertools.pairwise(names)
        if named[one].shape == named[two].shape and named[one].dtype == named[two].dtype
        if named[one].numel() > 1
    ]
    if not pairs:
        raise DoesNotApply("two inputs of one shape and dtype")
    one, two = pairs[0]
    return named | {one: named[two], two: named[one]}


def _another_dim(named: Given) -> Given:
    """The next dimension in the place of each one that is named."""
    rank = max((tensor.dim() for tensor in tensors_of(Call((), named))), default=0)
    value = named.get("dim")
    if rank < 2 or value is None or value == []:
        raise DoesNotApply("a dim of a tensor of two dimensions or more")
    if isinstance(value, int):
        return named | {"dim": (value + 1) % rank}
    if not isinstance(value, (list, tuple)) or len(value) == rank:
        raise DoesNotApply("a dim among others")
    return named | {"dim": [(dim + 1) % rank for dim in value]}


def _to_half_and_back(tensor: Tensor) -> Tensor:
    if tensor.dtype not in (torch.float32, torch.float64) or not tensor.numel():
        return tensor  # a short dtype has no more digits, and is as likely to be worked on in another one
    return tensor.to(torch.float16).to(tensor.dtype)


def _float16_inside(op: Op) -> Kernel:
    """Inputs and results rounded to float16, which is the least that work in float16 does to them."""
    misread = misreading(op, _to_half_and_back, "an input of float32 or more")

    def kernel(*args: Any, **kwargs: Any) -> Any:
        result = misread(*args, **kwargs)
        if op._schema.is_mutable:
            return result
        return map_tensors(Call((result,)), _to_half_and_back).args[0]

    return kernel


def _float16_sums(op: Op) -> Kernel:
    """The sum of partial results, each rounded to float16."""

    def total(right: Tensor, call: Call) -> Tensor:
        source = next((t for t in tensors_of(call) if t.is_floating_point()), None)
        if source is None or right.element_size() < 4 or not is_floating(right.dtype):
            raise DoesNotApply("an input of float32 or more")
        part = torch.arange(source.numel(), device=source.device).reshape(source.shape) % _PARTS
        sums = torch.zeros_like(right)
        for number in range(min(_PARTS, source.numel())):
            some = torch.where(part == number, source, 0.0)
            partial = map_tensors(call, lambda t, some=some: some if t is source else t)  # type: ignore[misc]
            sums = (sums + op(*partial.args, **partial.kwargs)).to(torch.float16).to(right.dtype)
        return sums

    return answering(op, total)


# ------------------------------------------------------------------------------ left-out arguments


def _without_arguments(op: Op, first: Call) -> Iterator[Mutant]:
    """For each argument one that ignores it: the default in its place, or what the first call had."""
    usual = arguments(op, first)
    for argument in op._schema.arguments:
        name = argument.name
        written = argument.alias_info is not None and argument.alias_info.is_write
        if written or name in _NO_VALUE:
            continue
        if argument.has_default_value():
            value = argument.default_value
            yield Mutant("ignores an argument", f"ignores {name}", _setting(op, name, value))
        elif name in usual and not any(True for _ in leaves(usual[name])) and usual[name] is not None:
            yield Mutant("hard-codes an argument", f"hard-codes {name}", _setting(op, name, usual[name]))


_NO_VALUE = frozenset({"generator", "layout", "device", "pin_memory", "non_blocking", "memory_format", "out"})
"""Arguments that say where or how and not what."""


def _setting(op: Op, name: str, value: Any) -> Kernel:
    def revise(named: Given) -> Given:
        if _is_same(named[name], value):
            raise DoesNotApply(f"another {name} than {value}")
        return named | {name: value}

    return reading(op, revise)


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        return one is other
    return type(one) is type(other) and bool(one == other)
