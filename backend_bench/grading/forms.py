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
from backend_bench.grading.dimensions import from_the_end, raised, turned
from backend_bench.grading.inputs import (
    clone_call,
    is_changeable,
    kept_normal,
    leaves,
    map_tensors,
    meet,
    overlaps_itself,
    takes_nan,
    tensors_of,
)
from backend_bench.grading.running import REFUSALS, result_elements, run_once
from backend_bench.grading.sameness import is_floating
from backend_bench.grading.settings import (
    masked,
    renumbered,
    without,
)
from backend_bench.grading.sizes import MANY, MOST, entangled, mixed_places, takes_other_sizes, unlike
from backend_bench.grading.traits import (
    MEMORY_BOUND,
    ORDERED,
    UNPOOLS,
    Op,
    base_name,
    is_pointwise,
    names,
)
from backend_bench.grading.windows import dilated, oblong, skipping

_FIXED = MEMORY_BOUND | names(
    "_weight_norm_interface _weight_norm_interface_backward"
    " _scaled_dot_product_cudnn_attention _scaled_dot_product_cudnn_attention_backward"
)
"""Operators whose strides stay; ATen's kernels of weight norms read past them, out of bounds, and cuDNN's attention takes no others."""
_DECIDED = {"all": True, "any": False}
"""Operators that a single element may decide, and the answer where none does. Of random ones some does nearly always, and of what lies between
them too."""


def restrided(op: Op, call: Call, rng: random.Random, turn: int = 0) -> Call | None:
    """Every tensor laid out column by column, with other values between its own; in the first turn of an operator that one element decides,
    none of its own does, and all others do."""
    if base_name(op) in _FIXED or entangled(call):
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
    if not takes_other_sizes(op) or entangled(call):
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

    order = mixed_places(times * whole.shape[0], rng)

    def change(tensor: Tensor) -> Tensor:
        if not tensor.dim() or tensor.shape[0] != whole.shape[0]:
            return tensor
        copies = tensor.repeat(times, *[1] * (tensor.dim() - 1))
        return unlike(copies, tensor.shape[0], rng, shuffle=is_pointwise(op))[order.to(tensor.device)]

    varied = map_tensors(clone_call(call), change)
    grown = result_elements(op, varied)
    return varied if grown is not None and MANY < grown <= MOST else None


_BLOCKS = (1, 4)
"""In a first and in a second turn: a total that is carried from one block to the next is another matter than one from all before."""


def _times(size: int, elements: int, turn: int) -> int:
    """How often what has so many elements is repeated for `size` to exceed some blocks, or one where that is too much; 0 where it is, too."""
    for blocks in (_BLOCKS[turn % 2], _BLOCKS[0]):
        times = -(-(blocks * MANY + MANY // 8) // size)
        if times * elements <= MOST:
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
    "isin": (("test_elements", 0),),
    "bucketize": (("boundaries", 0),),
    "searchsorted": (("sorted_sequence", -1),),
}
"""Matrix products, and the dimension of each factor that they sum over; and what is looked up in something, and along what."""


def deeper(op: Op, call: Call, rng: random.Random, turn: int = 0) -> Call | None:
    """The call repeated along the dimension that it works along, until that has more elements than one block takes; in the second turn
    than four."""
    if not takes_other_sizes(op) or entangled(call):
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
        length: mixed_places(times * length, rng)
        for length in sorted({tensor.shape[dim] for tensor, dim in grown})
    }

    def change(tensor: Tensor) -> Tensor:
        if id(tensor) not in along:
            return tensor
        front = tensor.movedim(along[id(tensor)], 0)
        copies = front.repeat(times, *[1] * (tensor.dim() - 1))
        mixed = unlike(copies, size, rng, shuffle=False)[orders[front.shape[0]].to(front.device)]
        return mixed.movedim(0, along[id(tensor)]).contiguous()

    varied = map_tensors(copy, change)
    if normalized := arguments(op, call).get("normalized_shape"):
        varied = call_of(
            op, arguments(op, varied) | {"normalized_shape": [*normalized[:-1], times * normalized[-1]]}
        )
    if base_name(op) == "isin":  # what is looked up has to be found far down
        meet(op, varied, rng)
    count = result_elements(op, varied)
    return varied if count is not None and count <= MOST else None


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
    if len(alone) != 1 or entangled(grown):
        return None
    [old] = alone
    dims = [dim for tensor, dim in _worked_along(op, grown) if tensor is old]
    if dims:
        decided = _decided_late(old.movedim(dims[0], -1).contiguous(), rng, turn)
        decided = None if decided is None else decided.movedim(-1, dims[0]).contiguous()
    elif result_elements(op, grown) == 1 and takes_other_sizes(op):
        times = max(1, -(-(MANY + MANY // 8) // old.numel()))
        lines = unlike(old.repeat(times, *[1] * (old.dim() - 1)), old.shape[0], rng, shuffle=True)
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
    if size < _LATE or lines.numel() > MOST:
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


def spread(op: Op, call: Call, rng: random.Random, turn: int = 0) -> Call | None:
    """A pointwise call in which one input has a single column, which is broadcast."""
    if not is_pointwise(op) or "backward" in base_name(op) or entangled(call):
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
    " copysign xlogy rsub stack"
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
    if base_name(op) not in _PROMOTES or entangled(call):
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
    if base_name(op) not in _WRAPS or entangled(call):
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


def single(op: Op, call: Call, rng: random.Random, turn: int = 0) -> Call | None:
    """A pointwise call of one element of each tensor, without any dimension."""
    tensors = tensors_of(call)
    if not is_pointwise(op) or entangled(call) or not all(tensor.numel() for tensor in tensors):
        return None
    if all(not tensor.dim() for tensor in tensors):
        return None

    def pick(tensor: Tensor) -> Tensor:
        return tensor[_somewhere(tensor, rng)].clone()

    # Beside nothing else a result of nearly nothing has no tolerance, though formulas lose the same there.
    return max(
        (map_tensors(call, pick) for _ in range(_CANDIDATES)), key=lambda each: _size_of_result(op, each)
    )


_CANDIDATES = 4


def _somewhere(tensor: Tensor, rng: random.Random) -> tuple[int, ...]:
    """The place of one of its elements."""
    return tuple(rng.randrange(size) for size in tensor.shape)


def _size_of_result(op: Op, call: Call) -> float:
    """Of the first element of the first result; less than nothing where it is not finite, or ATen refuses."""
    try:
        found = [value for value in run_once(op, clone_call(call)).outputs if isinstance(value, Tensor)]
    except REFUSALS:
        return -1.0
    if not found or not found[0].numel() or not bool(found[0].isfinite().all()):
        return -1.0
    return float(abs(found[0].reshape(-1)[0].item()))


def poisoned(op: Op, call: Call, rng: random.Random, turn: int = 0) -> Call | None:
    """The call with a NaN in its first floating tensor, or in the last one."""
    if not takes_nan(op) or entangled(call):
        return None
    copy = clone_call(call)
    able = [
        tensor
        for tensor in tensors_of(copy)
        if tensor.is_floating_point() and tensor.element_size() > 1 and is_changeable(tensor)
    ]
    if not able:
        return None
    target = able[-1 if turn else 0]
    target[_somewhere(target, rng)] = torch.nan
    return copy


_PICKS = names("gather scatter scatter_add scatter_reduce")
"""Operators of which the indices may be fewer along each dimension than what they choose from."""


def fewer(op: Op, call: Call, rng: random.Random, turn: int = 0) -> Call | None:
    """The call with indices for less than all that there is, along each dimension."""
    if base_name(op) not in _PICKS or entangled(call):
        return None
    copy = clone_call(call)
    index = arguments(op, copy)["index"]
    if not index.dim() or not index.numel() or max(index.shape) < 2:
        return None
    some = index[tuple(slice(max(1, size - 1 - turn)) for size in index.shape)].clone()
    return map_tensors(copy, lambda tensor: some if tensor is index else tensor)


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
    "renumbered": renumbered,
    "from the end": from_the_end,
    "single": single,
    "fewer": fewer,
    "poisoned": poisoned,
    "oblong": oblong,
    "skipping": skipping,
    "masked": masked,
}
"""By the purpose of their draws. Each is asked in two turns."""
