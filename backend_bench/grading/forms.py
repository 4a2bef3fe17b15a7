"""The same case in another form: other strides, more elements, another broadcast, dtype or setting, indices from the end.

A suite's case fixes one form; an operator has none. Nothing here says what a right answer is: a form counts only
where ATen accepts it and the oracle can judge it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from backend_bench.cases import Call
from backend_bench.grading.choices import arguments, call_of
from backend_bench.grading.inputs import (
    clone_call,
    kept_normal,
    leaves,
    map_tensors,
    overlaps_itself,
    repeat_indices,
    storage_of,
    tensors_of,
)
from backend_bench.grading.running import result_elements
from backend_bench.grading.sameness import is_floating
from backend_bench.grading.traits import (
    ADDS_TO_PRODUCT,
    MEMORY_BOUND,
    ORDERED,
    UNPOOLS,
    Op,
    base_name,
    is_pointwise,
    names,
)

MANY = 1024
"""Elements beyond which one block of a kernel is not enough."""
_MOST = 1 << 17
"""Elements that a call with more of them may have, results included: the oracle takes milliseconds for them."""
_FIXED = MEMORY_BOUND | names("_weight_norm_interface _weight_norm_interface_backward")
"""Operators whose strides stay; ATen's kernel of the last reads past them, out of bounds."""
_TRUSTING = (
    # internal operators check little, and these read past what fits no longer
    "embedding_bag",
    "_embedding",
    "_weight_norm",
    "batch_norm",
    "segment",
    "histogram",
    "ctc",
    "rnn",
    "lstm",
    "gru",
)


def _takes_other_sizes(op: Op) -> bool:
    """Whether the operator itself refuses sizes that do not fit together."""
    told = {argument.name for argument in op._schema.arguments} & {"input_sizes", "input_size", "self_sizes"}
    return not told and not base_name(op).startswith(_TRUSTING)


_DECIDED = {"all": True, "any": False}
"""Operators that a single element may decide, and the answer where none does. Of random ones some does nearly always, and of what lies between
them too."""


def restrided(op: Op, call: Call, rng: random.Random, turn: int = 0) -> Call | None:
    """Every tensor laid out column by column, with other values between its own; in the first turn of an operator that one element decides,
    none of its own does, and all others do."""
    if base_name(op) in _FIXED or _entangled(call):
        return None
    changes, undecided = 0, _DECIDED.get(base_name(op)) if turn == 0 else None

    def change(tensor: Tensor) -> Tensor:
        nonlocal changes
        if tensor.numel() < 2 or overlaps_itself(tensor) or tensor.is_conj() or tensor.is_neg():
            return tensor
        changes += 1
        across = tensor.movedim(0, -1)
        if undecided is not None:
            own, other = (torch.full_like(across, value) for value in (undecided, not undecided))
            return _apart(own, other).movedim(-1, 0)
        return _gapped(across).movedim(-1, 0)

    varied = map_tensors(clone_call(call), change)
    return varied if changes else None


def _gapped(tensor: Tensor) -> Tensor:
    """The tensor in fresh memory, after each element one that is not its own."""
    other = ~tensor if tensor.dtype is torch.bool else tensor.flip(0)  # an index stays within its bounds
    return _apart(tensor, -2 * tensor - 1 if is_floating(tensor.dtype) else other)


def _apart(tensor: Tensor, other: Tensor) -> Tensor:
    """The tensor in fresh memory, after each element one of the other."""
    return torch.stack((tensor, other), -1).select(-1, 0)


def longer(op: Op, call: Call, rng: random.Random, turn: int = 0) -> Call | None:
    """The call repeated along its first dimension until the result has more elements than one block takes; in the second turn than four.

    None where it has them, or nothing can be repeated. ATen refuses what does not fit together any more.
    """
    if not _takes_other_sizes(op) or _entangled(call):
        return None
    tensors = [tensor for tensor in tensors_of(call) if tensor.dim()]
    whole = max(tensors, key=Tensor.numel, default=None)
    if whole is None or not whole.numel():
        return None
    count = result_elements(op, call)
    if count is None or not 0 < count <= MANY:
        return None
    times = _times(count, sum(tensor.numel() for tensor in tensors), turn)
    if not times:
        return None

    order = _mixed(times * whole.shape[0], rng)

    def change(tensor: Tensor) -> Tensor:
        if not tensor.dim() or tensor.shape[0] != whole.shape[0]:
            return tensor
        copies = tensor.repeat(times, *[1] * (tensor.dim() - 1))
        return _varied(copies, tensor.shape[0], rng, shuffle=is_pointwise(op))[order.to(tensor.device)]

    varied = map_tensors(clone_call(call), change)
    grown = result_elements(op, varied)
    return varied if grown is not None and MANY < grown <= _MOST else None


def _mixed(length: int, rng: random.Random) -> Tensor:
    """Places in another order. Copies one after the other have a period, and a sum of every second element would be of one sign where the
    whole cancels out: a sound kernel that adds up in lanes would lose more than any order of random terms does."""
    return torch.randperm(length, generator=torch.Generator().manual_seed(rng.getrandbits(62)))


_BLOCKS = (1, 4)
"""In a first and in a second turn: a total that is carried from one block to the next is another matter than one from all before."""


def _times(size: int, elements: int, turn: int) -> int:
    """How often what has so many elements is repeated for `size` to exceed some blocks, or one where that is too much; 0 where it is, too."""
    for blocks in (_BLOCKS[turn % 2], _BLOCKS[0]):
        times = -(-(blocks * MANY + MANY // 8) // size)
        if times * elements <= _MOST:
            return times
    return 0


_CONTRACTED: dict[str, tuple[tuple[str, int], ...]] = {
    "mm": (("self", -1), ("mat2", -2)),
    "bmm": (("self", -1), ("mat2", -2)),
    "addmm": (("mat1", -1), ("mat2", -2)),
    "baddbmm": (("batch1", -1), ("batch2", -2)),
    "addbmm": (("batch1", -1), ("batch2", -2)),
    "mv": (("self", -1), ("vec", -1)),
    "addmv": (("mat", -1), ("vec", -1)),
    "dot": (("self", -1), ("tensor", -1)),
    "vdot": (("self", -1), ("other", -1)),
}
"""Matrix products, and the dimension of each factor that they sum over."""


def deeper(op: Op, call: Call, rng: random.Random, turn: int = 0) -> Call | None:
    """The call repeated along the dimension that it works along, until that has more elements than one block takes; in the second turn
    than four."""
    if not _takes_other_sizes(op) or _entangled(call):
        return None
    copy = clone_call(call)
    grown = _worked_along(op, copy)
    size = min((tensor.shape[dim] for tensor, dim in grown), default=0)
    if not 0 < size <= MANY:
        return None
    times = _times(size, sum(tensor.numel() for tensor, _ in grown), turn)
    if not times:
        return None
    along = {id(tensor): dim for tensor, dim in grown}
    orders = {
        length: _mixed(times * length, rng) for length in sorted({tensor.shape[dim] for tensor, dim in grown})
    }

    def change(tensor: Tensor) -> Tensor:
        if id(tensor) not in along:
            return tensor
        front = tensor.movedim(along[id(tensor)], 0)
        copies = front.repeat(times, *[1] * (tensor.dim() - 1))
        mixed = _varied(copies, size, rng, shuffle=False)[orders[front.shape[0]].to(front.device)]
        return mixed.movedim(0, along[id(tensor)]).contiguous()

    varied = map_tensors(copy, change)
    if normalized := arguments(op, call).get("normalized_shape"):
        varied = call_of(
            op, arguments(op, varied) | {"normalized_shape": [*normalized[:-1], times * normalized[-1]]}
        )
    count = result_elements(op, varied)
    return varied if count is not None and count <= _MOST else None


def _worked_along(op: Op, call: Call) -> list[tuple[Tensor, int]]:
    """The tensors that would have to grow together, and along which dimension."""
    given = arguments(op, call)
    if contracted := _CONTRACTED.get(base_name(op)):
        return [(given[name], dim) for name, dim in contracted]
    tensors = tensors_of(call)
    if normalized := given.get("normalized_shape"):
        lines = [tensor for tensor in tensors if tensor.dim() and tensor.shape[-1] == normalized[-1] > 1]
        return [(tensor, -1) for tensor in lines]
    dim = given.get("dim")
    dim = dim[-1] if isinstance(dim, (list, tuple)) and dim else dim
    if not isinstance(dim, int) or isinstance(dim, bool) or not tensors or not tensors[0].dim():
        return []
    shape = tensors[0].shape
    return [(tensor, dim % len(shape)) for tensor in tensors if tensor.shape == shape]


_LATE = 16
"""Parts of a line, of which the last decides."""


def late(op: Op, call: Call, rng: random.Random, turn: int = 0) -> Call | None:
    """The call with long lines in which nothing happens but at the end: all zeros before it, or all nonzero before a zero.

    A line is what the operator works along, or all that there is where the result is a single element.
    """
    if is_pointwise(op) or sum(tensor.numel() > 1 for tensor in tensors_of(call)) > 1:
        return None  # most are, and nothing has to be copied to know it
    grown = deeper(op, call, rng) or clone_call(call)
    alone = [tensor for tensor in tensors_of(grown) if tensor.numel() > 1]
    if len(alone) != 1 or _entangled(grown):
        return None
    [old] = alone
    dims = [dim for tensor, dim in _worked_along(op, grown) if tensor is old]
    if dims:
        decided = _decided_late(old.movedim(dims[0], -1).contiguous(), rng, turn)
        decided = None if decided is None else decided.movedim(-1, dims[0]).contiguous()
    elif result_elements(op, grown) == 1 and _takes_other_sizes(op):
        times = max(1, -(-(MANY + MANY // 8) // old.numel()))
        lines = _varied(old.repeat(times, *[1] * (old.dim() - 1)), old.shape[0], rng, shuffle=True)
        decided = _decided_late(lines.reshape(-1), rng, turn)
        decided = None if decided is None else decided.reshape(lines.shape)
    else:
        return None
    if decided is None:
        return None
    return map_tensors(grown, lambda tensor: decided if tensor is old else tensor)


def _decided_late(lines: Tensor, rng: random.Random, turn: int) -> Tensor | None:
    """Lines along the last dimension, changed in place; None where they are too short to have an end, or too many."""
    size = lines.shape[-1]
    if size < _LATE or lines.numel() > _MOST:
        return None
    first = size - size // _LATE
    head = lines[..., :1].clone()
    head = (head if bool(head.all()) else torch.ones_like(head)).expand(*lines.shape[:-1], first)
    if is_floating(lines.dtype):
        # Not all the same: the sum of equal terms, which others take back, is off by more than what is left of it allows.
        generator = torch.Generator().manual_seed(rng.getrandbits(62))
        uneven = 1 - torch.rand(head.shape, generator=generator, dtype=torch.float64) / 4
        head = kept_normal(head * uneven.to(lines.device, lines.dtype), head)
    lines[..., :first] = head if turn else 0
    lines[..., rng.randrange(first, size)] = 0 if turn else 1
    return lines


def _varied(copies: Tensor, first: int, rng: random.Random, *, shuffle: bool) -> Tensor:
    """No copy is quite the other: half of the floating values become smaller, others may change places."""
    generator = torch.Generator().manual_seed(rng.getrandbits(62))
    if is_floating(copies.dtype):
        factor = 1 - 0.25 * torch.rand(copies.shape, generator=generator, dtype=torch.float64)
        factor[:first] = 1
        factor[torch.rand(copies.shape, generator=generator) < 0.5] = (
            1  # what was equal to something may stay so
        )
        return kept_normal(copies * factor.to(copies.device, copies.dtype), copies)
    if not shuffle:
        return copies
    order = torch.randperm(copies.numel(), generator=generator).to(copies.device)
    return copies.reshape(-1)[order].reshape(copies.shape)


def spread(op: Op, call: Call, rng: random.Random, turn: int = 0) -> Call | None:
    """A pointwise call in which one input has a single column, which is broadcast."""
    if not is_pointwise(op) or "backward" in base_name(op) or _entangled(call):
        return None  # a gradient has the shape of what it is of
    copy = clone_call(call)
    written = _written(op, copy)
    tensors = [tensor for tensor in tensors_of(copy) if tensor.numel() > 1]
    whole = max((tensor.shape for tensor in tensors), key=torch.Size.numel, default=torch.Size())
    able = [tensor for tensor in tensors if id(tensor) not in written and _fits(tensor, whole)]
    if len(whole) < 2 or min(whole) < 2 or not able or len(tensors) < 2:
        return None
    chosen = able[0] if turn == 0 else rng.choice(able[1:] or able)
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


_PROMOTES = names(
    "add sub mul div eq ne lt le gt ge maximum minimum fmax fmin atan2 remainder fmod floor_divide pow where"
    " copysign xlogy"
)
"""Operators that take tensors of different dtypes and promote them; others have opinions of their own."""
_PARTNER = {
    torch.float64: torch.float32,
    torch.float32: torch.float16,
    torch.bfloat16: torch.float32,
    torch.float16: torch.float32,
}
"""A second floating dtype, such that the result of both is none that a GPU is slow in."""
_WHOLE = 100.0
_DIVIDES = names("div floor_divide remainder fmod")


def promoted(op: Op, call: Call, rng: random.Random, turn: int = 0) -> Call | None:
    """The call with one tensor of another dtype: the last one whole numbers, or the first one another floating dtype."""
    if base_name(op) not in _PROMOTES or _entangled(call):
        return None
    copy = clone_call(call)
    fixed = _written(op, copy)
    tensors = [tensor for tensor in tensors_of(copy) if tensor.dtype in _PARTNER and tensor.numel() > 1]
    able = [tensor for tensor in tensors if id(tensor) not in fixed]
    if len(tensors) < 2 or not able:
        return None
    chosen = able[-1 if turn == 0 else 0]
    if turn == 0:
        other = chosen.nan_to_num(1.0).clamp(-_WHOLE, _WHOLE).to(torch.int64)
        if base_name(op) in _DIVIDES:
            other.masked_fill_(other == 0, 1)  # many small numbers would become a division by zero
    else:
        partner = _PARTNER[chosen.dtype]
        most = min(torch.finfo(partner).max, torch.finfo(chosen.dtype).max)
        other = torch.where(chosen.isfinite(), chosen.clamp(-most, most), chosen).to(partner)
    return map_tensors(copy, lambda tensor: other if tensor is chosen else tensor)


def writes_over_itself(op: Op, call: Call) -> bool:
    """Whether a tensor that is written to has elements in one place, so that nobody knows what stays there."""
    written = _written(op, call)
    return any(overlaps_itself(tensor) for tensor in tensors_of(call) if id(tensor) in written)


def _written(op: Op, call: Call) -> set[int]:
    """The tensors that the operator writes to, by their `id`."""
    given = arguments(op, call)
    return {
        id(tensor)
        for argument in op._schema.arguments
        if argument.alias_info is not None and argument.alias_info.is_write
        for tensor in leaves(given[argument.name])
    }


_WRAPS = names("index index_put take put")
"""Operators whose indices may be negative, and then count from the end."""


def wrapped(op: Op, call: Call, rng: random.Random, turn: int = 0) -> Call | None:
    """The call with half of its indices counted from the end."""
    if base_name(op) not in _WRAPS or _entangled(call):
        return None
    given = arguments(op, call)
    sizes = _indexed_sizes(given["self"], given)
    generator = torch.Generator().manual_seed(rng.getrandbits(62))

    def change(index: Tensor) -> Tensor:
        if id(index) not in sizes:
            return index
        half = torch.rand(index.shape, generator=generator).to(index.device) < 0.5
        return torch.where(half & (index >= 0), index - sizes[id(index)], index)

    return map_tensors(call, change) if sizes else None


def _indexed_sizes(target: Tensor, given: dict[str, Any]) -> dict[int, int]:
    """For each tensor of indices, by its `id`, how many places it chooses from; none where masks choose too."""
    if isinstance(given.get("index"), Tensor):
        return {id(given["index"]): target.numel()} if given["index"].numel() else {}
    indices = [(dim, index) for dim, index in enumerate(given["indices"]) if index is not None]
    if any(index.dtype != torch.int64 for _, index in indices):
        return {}
    return {id(index): target.shape[dim] for dim, index in indices if index.numel()}


_SETTINGS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("alpha", "beta"), (2, -3)),
    **dict.fromkeys(("min",), (4, -2)),  # above the largest value that a case allows, too
    **dict.fromkeys(("min_val",), (-2,)),
    **dict.fromkeys(("max", "max_val"), (2,)),
    **dict.fromkeys(("value", "fill_value", "threshold", "other", "start"), (-3, 2)),
    **dict.fromkeys(("negative_slope", "scale", "input_scale", "lambd", "weight"), (0.25, 2.0)),
    **dict.fromkeys(("keepdim", "count_include_pad", "ceil_mode", "align_corners"), (True, False)),
    **dict.fromkeys(
        ("descending", "largest", "invert", "right", "upper", "unitriangular", "transpose", "transposed"),
        (True, False),
    ),
    **dict.fromkeys(("scales", "scales_d", "scales_h", "scales_w"), (4.0, 16.0)),
    **dict.fromkeys(("unpack_data", "unpack_pivots"), (True, False)),
    **dict.fromkeys(
        ("include_self", "scale_grad_by_freq", "is_result", "self_is_result", "accumulate"), (True, False)
    ),
    **dict.fromkeys(("correction",), (0, 1)),
    **dict.fromkeys(("reduction", "interpolation_mode", "padding_mode"), (0, 1, 2)),
    **dict.fromkeys(("diagonal",), (1, -1)),
    **dict.fromkeys(("n",), (3, 2)),
    **dict.fromkeys(("x",), (-2, 0.75)),
    **dict.fromkeys(("max_norm",), (0.5, 2.0)),
    **dict.fromkeys(("exponent",), (3, 0.5, -2)),
    **dict.fromkeys(("base",), (-2.0, 3.0)),
    **dict.fromkeys(("self",), (3, 0.5, -2)),
    **dict.fromkeys(("dim",), (0, 1)),
    **dict.fromkeys(("k",), (3, 1)),
    **dict.fromkeys(("upscale_factor", "downscale_factor"), (1, 2)),
    **dict.fromkeys(("padding_idx",), (0, 1)),
    **dict.fromkeys(("ord",), (1, 3)),
    **dict.fromkeys(("eps",), (0.25, 1e-3)),
    **dict.fromkeys(("momentum",), (0.3, 0.9)),
    **dict.fromkeys(("divisor_override",), (3, 5)),
    **dict.fromkeys(("dtype",), (torch.float64, torch.float32)),
    **dict.fromkeys(("approximate",), ("none", "tanh")),
    **dict.fromkeys(("reduce",), ("prod", "mean", "amax", "sum")),
    **dict.fromkeys(("rounding_mode",), ("floor", "trunc")),
}
"""Arguments, by name, that may have any of these values wherever the schema has them."""
_ONLY_LARGER = ("scales", "scales_d", "scales_h", "scales_w")
"""With a smaller one ATen would read what lies behind its input."""
_MAY_BE_LEFT_OUT = ("dtype", "divisor_override", "rounding_mode", "min", "max")
"""Those that are None where they are not wanted, and may be set."""


def settings(op: Op) -> list[str]:
    """The arguments of `op` that can be set to something else."""
    if base_name(op).startswith("_"):
        return []  # internal operators trust their caller
    return [
        argument.name
        for argument in op._schema.arguments
        if argument.name in _SETTINGS and "Tensor" not in str(argument.type)
    ]


def reset(op: Op, call: Call, rng: random.Random, turn: int = 0, *, name: str) -> Call | None:
    """The call with one setting changed, which a suite's cases may all leave alone; each turn to another value."""
    given = arguments(op, call)
    if name == "dim" and any(each in given for each in ("index", "indices")):
        return None  # which would name places that are not there; a GPU does not survive that
    leaves_out = name == "beta" and base_name(op) in ADDS_TO_PRODUCT
    values = (0, *_SETTINGS[name]) if leaves_out else _SETTINGS[name]
    is_number = "number" in str(next(a.type for a in op._schema.arguments if a.name == name))
    has_fractions = is_number and any(tensor.is_floating_point() for tensor in tensors_of(call))
    old = float(given[name]) if has_fractions and type(given[name]) is int else given[name]
    able = [value for value in values if _is_another(old, value, name)]
    if not able:
        return None
    value = able[turn % len(able)]
    varied = clone_call(call_of(op, given | {name: value}))
    if leaves_out and value == 0:
        # what is added is not looked at then, be it NaN
        added = arguments(op, varied)["self"]
        if isinstance(added, Tensor) and added.is_floating_point() and not overlaps_itself(added):
            added.fill_(torch.nan)
    if name == "accumulate" and value:
        repeat_indices(varied, rng)
    return varied


def _is_another(old: Any, new: Any, name: str) -> bool:
    """Whether `new` may stand in the place of `old` and is not the same; a tensor stays a tensor."""
    if old is None:
        return name in _MAY_BE_LEFT_OUT
    if isinstance(new, (torch.dtype, str, bool)) or isinstance(old, bool):
        return type(old) is type(new) and bool(old != new)
    if name == "exponent":
        return isinstance(old, (int, float)) and bool(old != new)
    if name in _ONLY_LARGER:
        return isinstance(old, float) and bool(old < new)
    if isinstance(new, float):
        return isinstance(old, float) and bool(old != new)
    return isinstance(old, (int, float)) and bool(old != new)


def turned(op: Op, call: Call, rng: random.Random, turn: int = 0) -> Call | None:
    """The call with the dimension that it works along in the place of another, in all its tensors of that rank."""
    if not _takes_other_sizes(op):
        return None
    given = arguments(op, call)
    tensors, dim = tensors_of(call), given.get("dim")
    listed = isinstance(dim, (list, tuple)) and len(dim) == 1
    along = dim[0] if isinstance(dim, (list, tuple)) and listed else dim
    if type(along) is not int or not tensors or tensors[0].dim() < 2 or _entangled(call):
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
    if not _takes_other_sizes(op) or _entangled(call):
        return None
    tensors = tensors_of(call)
    if is_pointwise(op):
        return _raised_pointwise(call, tensors, rng)
    dim = arguments(op, call).get("dim")
    along = [dim] if type(dim) is int else dim
    if not isinstance(along, (list, tuple)) or not along or not tensors or not tensors[0].dim():
        return None
    rank = tensors[0].dim()
    if _SLICES * sum(tensor.numel() for tensor in tensors) > _MOST:
        return None

    def change(tensor: Tensor) -> Tensor:
        if tensor.dim() != rank:
            return tensor
        step = tensor.numel() // _SLICES + 1
        slices = [tensor.reshape(-1).roll(number * step).reshape(tensor.shape) for number in range(_SLICES)]
        return _varied(torch.cat(slices), tensor.shape[0], rng, shuffle=False).reshape(_SLICES, *tensor.shape)

    varied = map_tensors(clone_call(call), change)
    shifted = [each % rank + 1 for each in along]
    return call_of(op, arguments(op, varied) | {"dim": shifted[0] if type(dim) is int else shifted})


def _raised_pointwise(call: Call, tensors: list[Tensor], rng: random.Random) -> Call | None:
    rank = max((tensor.dim() for tensor in tensors), default=0)
    if not rank or _SLICES * sum(tensor.numel() for tensor in tensors) > _MOST:
        return None
    ahead = (_SLICES, *[1] * max(2, _MANY_DIMS - 1 - rank))

    def change(tensor: Tensor) -> Tensor:
        if tensor.dim() != rank or not tensor.numel():
            return tensor
        copies = tensor.repeat(_SLICES, *[1] * (rank - 1))
        return _varied(copies, tensor.shape[0], rng, shuffle=False).reshape(ahead + tensor.shape)

    return map_tensors(clone_call(call), change)


_OPTIONAL = ("weight", "bias", "pos_weight")


def without(op: Op, call: Call, rng: random.Random, turn: int = 0) -> Call | None:
    """The call without one of the tensors that may be left out."""
    given = arguments(op, call)
    able = [
        argument.name
        for argument in op._schema.arguments
        if argument.name in _OPTIONAL
        and str(argument.type) == "Optional[Tensor]"
        and isinstance(given[argument.name], Tensor)
    ]
    if not able or "backward" in base_name(op):
        return None
    left_out = able[turn % len(able)]
    return call_of(op, arguments(op, clone_call(call)) | {left_out: None})


_DILATES = names("convolution im2col")
"""Operators of windows; a pool's may come to lie wholly in the padding, where ATen itself is at a loss."""


def dilated(op: Op, call: Call, rng: random.Random, turn: int = 0) -> Call | None:
    """The call of a window with twice the dilation."""
    if base_name(op) not in _DILATES:
        return None
    given = arguments(op, call)
    return call_of(
        op, arguments(op, clone_call(call)) | {"dilation": [2 * step for step in given["dilation"]]}
    )


def settle(op: Op, call: Call) -> None:
    """Give elements back in place what they owe one another: the order of a sorted sequence, one value for one place."""
    _put_in_order(op, call)
    if base_name(op) in UNPOOLS:
        _agree(op, call)


def _put_in_order(op: Op, call: Call) -> None:
    """Sort in place what the operator takes sorted (`traits.ORDERED`), or make its `sorter` say the order; NaN has none and becomes zero."""
    name = ORDERED.get(base_name(op))
    given = arguments(op, call)
    for row in leaves(given.get(name)) if name else ():
        if not row.dim() or row.layout is not torch.strided or overlaps_itself(row):
            continue
        if row.is_floating_point():
            row.nan_to_num_(0.0, torch.inf, -torch.inf)
        sorter = given.get("sorter")
        if isinstance(sorter, Tensor):
            sorter.copy_(row.argsort(-1))
        else:
            row.copy_(row.sort(-1).values)


def _agree(op: Op, call: Call) -> None:
    """Let windows that name the same place of a plane bring the same value: on a GPU anyone's may arrive last."""
    given = arguments(op, call)
    values, places = given["self"], given["indices"]
    plane = -UNPOOLS[base_name(op)]
    if not values.numel() or values.shape != places.shape or overlaps_itself(values):
        return
    named, count = places.flatten(plane), math.prod(given["output_size"])
    if bool(((named < 0) | (named >= count)).any()):
        return
    windows = torch.arange(named.shape[-1], device=named.device).expand_as(named)
    firsts = named.new_zeros((*named.shape[:-1], count))
    firsts.scatter_reduce_(-1, named, windows, "amin", include_self=False)
    agreed = values.flatten(plane).gather(-1, firsts.gather(-1, named))
    values.copy_(agreed.view(values.shape))


FORMS: dict[str, Callable[..., Call | None]] = {
    "restrided": restrided,
    "longer": longer,
    "deeper": deeper,
    "spread": spread,
    "promoted": promoted,
    "wrapped": wrapped,
    "turned": turned,
    "raised": raised,
    "without": without,
    "dilated": dilated,
    "late": late,
}
"""By the purpose of their draws. Each is asked in two turns."""


def _entangled(call: Call) -> bool:
    """Whether two arguments share memory, which another form would part."""
    storages = [storage_of(tensor) for tensor in tensors_of(call)]
    return len(set(storages)) < len(storages)
