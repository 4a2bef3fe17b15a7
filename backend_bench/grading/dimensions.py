"""Calls along other dimensions: another one in the place of that which the operator works along, one more ahead, the same one counted from the end.

Like all forms, they count only where ATen accepts them and the oracle can judge them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from backend_bench.cases import Call
from backend_bench.grading.choices import arguments, call_of
from backend_bench.grading.inputs import (
    clone_call,
    map_tensors,
    tensors_of,
)
from backend_bench.grading.sizes import MOST, entangled, takes_other_sizes, unlike
from backend_bench.grading.traits import Op, base_name, is_pointwise, names


def turned(op: Op, call: Call, rng: random.Random, turn: int = 0) -> Call | None:
    """The call with the dimension that it works along in the place of another, in all its tensors of that rank."""
    if not takes_other_sizes(op):
        return None
    given = arguments(op, call)
    tensors, dim = tensors_of(call), given.get("dim")
    listed = isinstance(dim, (list, tuple)) and len(dim) == 1
    along = dim[0] if isinstance(dim, (list, tuple)) and listed else dim
    if type(along) is not int or not tensors or tensors[0].dim() < 2 or entangled(call):
        return None
    rank = tensors[0].dim()
    along %= rank
    others = [other for other in range(rank) if other != along]
    other = others[turn % len(others)]

    def change(tensor: Tensor) -> Tensor:
        return tensor.transpose(along, other).contiguous() if tensor.dim() == rank else tensor

    varied = map_tensors(clone_call(call), change)
    return call_of(op, arguments(op, varied) | {"dim": [other] if listed else other})


_SLICES, _MANY_DIMS = 3, 6


def raised(op: Op, call: Call, rng: random.Random, turn: int = 0) -> Call | None:
    """Some such calls in one: a further dimension ahead of the others, in all tensors of that rank, and no slice quite the other. Three
    and more of a pointwise operator, for six at least."""
    if not takes_other_sizes(op) or entangled(call):
        return None
    tensors = tensors_of(call)
    if is_pointwise(op):
        return _raised_pointwise(call, tensors, rng)
    dim = arguments(op, call).get("dim")
    along = [dim] if type(dim) is int else dim
    if not isinstance(along, (list, tuple)) or not along or not tensors or not tensors[0].dim():
        return None
    rank = tensors[0].dim()
    call = _cut(call, rank, {each % rank for each in along})
    if _SLICES * sum(tensor.numel() for tensor in tensors_of(call)) > MOST:
        return None

    def change(tensor: Tensor) -> Tensor:
        if tensor.dim() != rank:
            return tensor
        step = tensor.numel() // _SLICES + 1
        slices = [tensor.reshape(-1).roll(number * step).reshape(tensor.shape) for number in range(_SLICES)]
        return unlike(torch.cat(slices), tensor.shape[0], rng, shuffle=False).reshape(_SLICES, *tensor.shape)

    varied = map_tensors(clone_call(call), change)
    shifted = [each % rank + 1 for each in along]
    return call_of(op, arguments(op, varied) | {"dim": shifted[0] if type(dim) is int else shifted})


def _cut(call: Call, rank: int, along: set[int]) -> Call:
    """The start of a call that is too large to be had several times, along a dimension that it does not work along and all tensors of that
    rank share; the call itself where it is small enough, or there is none."""
    tensors = tensors_of(call)
    elements = _SLICES * sum(tensor.numel() for tensor in tensors)
    shapes = [tensor.shape for tensor in tensors if tensor.dim() == rank]
    free = [dim for dim in range(rank) if dim not in along and len({shape[dim] for shape in shapes}) == 1]
    if elements <= MOST or not free:
        return call
    longest = max(free, key=lambda dim: shapes[0][dim])
    kept = max(1, shapes[0][longest] * MOST // elements)
    return map_tensors(
        call, lambda tensor: tensor.narrow(longest, 0, kept) if tensor.dim() == rank else tensor
    )


def _raised_pointwise(call: Call, tensors: list[Tensor], rng: random.Random) -> Call | None:
    rank = max((tensor.dim() for tensor in tensors), default=0)
    if not rank or _SLICES * sum(tensor.numel() for tensor in tensors) > MOST:
        return None
    ahead = (_SLICES, *[1] * max(2, _MANY_DIMS - 1 - rank))

    def change(tensor: Tensor) -> Tensor:
        if tensor.dim() != rank or not tensor.numel():
            return tensor
        copies = tensor.repeat(_SLICES, *[1] * (rank - 1))
        return unlike(copies, tensor.shape[0], rng, shuffle=False).reshape(ahead + tensor.shape)

    return map_tensors(clone_call(call), change)


DIMENSIONS = frozenset({"dim", "dims", "dim0", "dim1", "dim2", "start_dim", "end_dim"})
"""Arguments that name dimensions."""
_ONE_MORE = names("stack unsqueeze unsqueeze_copy diag_embed")
"""Operators whose dimensions are those of a result that has one more."""
_MINDS_ITS_DIMENSION = names(
    "_softmax _log_softmax _safe_softmax _softmax_backward_data _log_softmax_backward_data"
)
"""Internal operators that do not believe their caller in this."""


def from_the_end(op: Op, call: Call, rng: random.Random, turn: int = 0) -> Call | None:
    """The call with each dimension that it names counted from the other end; what is rolled goes round once more, too. In the second turn it
    works along its first dimension, where it can."""
    if turn:
        call = turned(op, call, rng) or call
    given, tensors = arguments(op, call), tensors_of(call)
    if not tensors or (base_name(op).startswith("_") and base_name(op) not in _MINDS_ITS_DIMENSION):
        return None
    shape = given.get("input_sizes", tensors[0].shape)
    rank = len(shape) + (base_name(op) in _ONE_MORE)
    new = {
        name: map_numbers(given[name], lambda dim: dim - rank if dim >= 0 else dim + rank)
        for name in DIMENSIONS & given.keys()
    }
    if base_name(op) == "roll" and len(given["shifts"]) == max(1, len(given["dims"])):
        sizes = [shape[dim] for dim in given["dims"]] or [tensors[0].numel()]
        new["shifts"] = [
            shift + (1 + (shift < 0)) * size for shift, size in zip(given["shifts"], sizes, strict=True)
        ]
    if not rank or all(given[name] == value for name, value in new.items()):
        return None
    return clone_call(call_of(op, given | new))


def map_numbers(value: Any, change: Callable[[int], int]) -> Any:
    """A whole number, or each of several, changed; anything else as it is."""
    if isinstance(value, (list, tuple)):
        return [map_numbers(each, change) for each in value]
    return change(value) if type(value) is int else value
