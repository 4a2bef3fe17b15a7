"""The same case in another form: other strides, more elements, another broadcast, another setting.

A suite's case fixes one form; an operator has none. Nothing here says what a right answer is: a form counts only
where ATen accepts it and the oracle can judge it.
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
    leaves,
    map_tensors,
    overlaps_itself,
    storage_of,
    tensors_of,
)
from backend_bench.grading.running import result_elements
from backend_bench.grading.sameness import is_floating
from backend_bench.grading.traits import Op, base_name, is_pointwise, names

MANY = 1024
"""Elements beyond which one block of a kernel is not enough."""
_MOST = 1 << 17
"""Elements that a call with more of them may have, results included: the oracle takes milliseconds for them."""
_FIXED = names("as_strided as_strided_copy as_strided_scatter _unsafe_view view view_copy _reshape_alias set")
"""Operators that name places in memory: other strides are another question."""
_TRUSTING = (
    # internal operators check little, and these read past what fits no longer
    "embedding_bag",
    "_embedding",
    "batch_norm",
    "segment",
    "histogram",
    "ctc",
    "rnn",
    "lstm",
    "gru",
)


def restrided(op: Op, call: Call, rng: random.Random) -> Call | None:
    """Every tensor laid out column by column, with other values between its own."""
    if base_name(op) in _FIXED or _entangled(call):
        return None
    changes = 0

    def change(tensor: Tensor) -> Tensor:
        nonlocal changes
        if tensor.numel() < 2 or overlaps_itself(tensor) or tensor.is_conj() or tensor.is_neg():
            return tensor
        changes += 1
        return _gapped(tensor.movedim(0, -1)).movedim(-1, 0)

    varied = map_tensors(clone_call(call), change)
    return varied if changes else None


def _gapped(tensor: Tensor) -> Tensor:
    """The tensor in fresh memory, after each element one that is not its own."""
    other = ~tensor if tensor.dtype is torch.bool else tensor.flip(0)  # an index stays within its bounds
    return torch.stack((tensor, -2 * tensor - 1 if is_floating(tensor.dtype) else other), -1).select(-1, 0)


def longer(op: Op, call: Call, rng: random.Random) -> Call | None:
    """The call repeated along its first dimension until the result has more elements than one block takes.

    None where it has them, or nothing can be repeated. ATen refuses what does not fit together any more.
    """
    if base_name(op).startswith(_TRUSTING) or _entangled(call):
        return None
    tensors = [tensor for tensor in tensors_of(call) if tensor.dim()]
    whole = max(tensors, key=Tensor.numel, default=None)
    if whole is None or not whole.numel():
        return None
    count = result_elements(op, call)
    if count is None or not 0 < count <= MANY:
        return None
    times = -(-(MANY + MANY // 8) // count)
    if times * sum(tensor.numel() for tensor in tensors) > _MOST:
        return None

    def change(tensor: Tensor) -> Tensor:
        if not tensor.dim() or tensor.shape[0] != whole.shape[0]:
            return tensor
        copies = tensor.repeat(times, *[1] * (tensor.dim() - 1))
        return _varied(copies, tensor.shape[0], rng, shuffle=is_pointwise(op))

    varied = map_tensors(clone_call(call), change)
    grown = result_elements(op, varied)
    return varied if grown is not None and MANY < grown <= _MOST else None


def _varied(copies: Tensor, first: int, rng: random.Random, *, shuffle: bool) -> Tensor:
    """No copy is quite the other: half of the floating values become smaller, others may change places."""
    generator = torch.Generator().manual_seed(rng.getrandbits(62))
    if is_floating(copies.dtype):
        factor = 1 - 0.25 * torch.rand(copies.shape, generator=generator, dtype=torch.float64)
        factor[:first] = 1
        factor[torch.rand(copies.shape, generator=generator) < 0.5] = (
            1  # what was equal to something may stay so
        )
        return copies * factor.to(copies.device, copies.dtype)
    if not shuffle:
        return copies
    order = torch.randperm(copies.numel(), generator=generator).to(copies.device)
    return copies.reshape(-1)[order].reshape(copies.shape)


def spread(op: Op, call: Call, rng: random.Random) -> Call | None:
    """A pointwise call in which one input has a single column, which is broadcast."""
    if not is_pointwise(op) or _entangled(call):
        return None
    copy = clone_call(call)
    written = {
        id(tensor)
        for argument in op._schema.arguments
        if argument.alias_info is not None and argument.alias_info.is_write
        for tensor in leaves(arguments(op, copy)[argument.name])
    }
    tensors = [tensor for tensor in tensors_of(copy) if tensor.numel() > 1]
    whole = max((tensor.shape for tensor in tensors), key=torch.Size.numel, default=torch.Size())
    able = [tensor for tensor in tensors if id(tensor) not in written and _fits(tensor, whole)]
    if len(whole) < 2 or min(whole) < 2 or not able or len(tensors) < 2:
        return None
    chosen = rng.choice(able)
    column = chosen.expand(whole)[..., :1].clone()
    varied = map_tensors(copy, lambda tensor: column if tensor is chosen else tensor)
    left = [tensor.shape for tensor in tensors_of(varied)]
    return varied if whole in left else None


def _fits(tensor: Tensor, whole: torch.Size) -> bool:
    """Whether it has that shape, or is broadcast to it."""
    try:
        return tuple(torch.broadcast_shapes(tensor.shape, whole)) == tuple(whole)
    except RuntimeError:
        return False


_SETTINGS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("alpha", "beta"), (2, -3)),
    **dict.fromkeys(("min", "min_val"), (-2,)),
    **dict.fromkeys(("max", "max_val"), (2,)),
    **dict.fromkeys(("value", "fill_value", "threshold", "other", "start"), (-3, 2)),
    **dict.fromkeys(("negative_slope", "scale", "input_scale", "lambd", "weight"), (0.25, 2.0)),
    **dict.fromkeys(("keepdim", "count_include_pad", "ceil_mode", "align_corners"), (True, False)),
    **dict.fromkeys(("descending", "largest", "invert", "right", "upper", "unitriangular"), (True, False)),
    **dict.fromkeys(("correction",), (0, 1)),
    **dict.fromkeys(("reduction",), (0, 1, 2)),
    **dict.fromkeys(("dtype",), (torch.float64, torch.float32)),
}
"""Arguments, by name, that may have any of these values wherever the schema has them."""


def settings(op: Op) -> list[str]:
    """The arguments of `op` that can be set to something else."""
    if base_name(op).startswith("_"):
        return []  # internal operators trust their caller
    return [argument.name for argument in op._schema.arguments if argument.name in _SETTINGS]


def reset(op: Op, call: Call, rng: random.Random, name: str) -> Call | None:
    """The call with one setting changed, which a suite's cases may all leave alone."""
    given = arguments(op, call)
    able = [value for value in _SETTINGS[name] if _is_another(given[name], value)]
    return clone_call(call_of(op, given | {name: rng.choice(able)})) if able else None


def _is_another(old: Any, new: Any) -> bool:
    """Whether `new` may stand in the place of `old` and is not the same; a tensor stays a tensor."""
    if isinstance(new, torch.dtype):
        return (old is None or isinstance(old, torch.dtype)) and old is not new
    if isinstance(new, bool) or isinstance(old, bool):
        return type(old) is type(new) and old is not new
    if isinstance(new, float):
        return isinstance(old, float) and bool(old != new)
    return isinstance(old, (int, float)) and bool(old != new)


FORMS: dict[str, Callable[[Op, Call, random.Random], Call | None]] = {
    "restrided": restrided,
    "longer": longer,
    "spread": spread,
}
"""By the purpose of their draws."""


def _entangled(call: Call) -> bool:
    """Whether two arguments share memory, which another form would part."""
    storages = [storage_of(tensor) for tensor in tensors_of(call)]
    return len(set(storages)) < len(storages)
