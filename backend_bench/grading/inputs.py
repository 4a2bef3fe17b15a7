"""The draws of a case: the call itself, and calls that differ from it where cheats would not look.

Does not say what a right answer is; a draw from `edges` or `scaled` (or with `spikes`) counts only if `oracle.admissible`
finds that it can be judged.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from backend_bench.cases import Call
from backend_bench.grading.traits import EXACT, UNTAGGED, Op, base_name, is_pointwise, names

# ---------------------------------------------------------------------------------------- trees


def map_tensors(call: Call, change: Callable[[Tensor], Tensor]) -> Call:
    """The same call with each tensor replaced by `change(tensor)`."""
    args = tuple(_map(arg, change) for arg in call.args)
    return Call(args, {name: _map(call.kwargs[name], change) for name in sorted(call.kwargs)})


def _map(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, (list, tuple)):
        return type(value)(_map(item, change) for item in value)
    return value


def leaves(value: Any) -> Iterable[Tensor]:
    """The tensors in one argument, lists and tuples entered."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item)


def tensors_of(call: Call) -> list[Tensor]:
    """All tensors of a call: positional arguments first, then keyword arguments by name."""
    found = list(leaves(call.args))
    for name in sorted(call.kwargs):
        found.extend(leaves(call.kwargs[name]))
    return found


def bytes_of(call: Call) -> int:
    """Bytes of all tensors of a call, each element counted as often as it is seen."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors_of(call))


# --------------------------------------------------------------------------------------- clones

_ALIGNMENT = 16  # bytes; the widest element, complex128, so that offsets stay whole elements


def storage_of(tensor: Tensor) -> int:
    """A key that is equal for tensors of one storage, valid while they live."""
    return int(tensor.untyped_storage()._cdata)


def view_key(tensor: Tensor) -> tuple[Any, ...]:
    """A key that is equal for one and the same view of memory, valid while its tensor lives."""
    return (storage_of(tensor), tensor.storage_offset(), tensor.shape, tensor.stride())


def span_of(tensor: Tensor) -> tuple[int, int]:
    """First byte and byte after the last that a tensor touches in its storage."""
    first = int(tensor.storage_offset())
    reach: int = sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
    width = tensor.element_size()
    return first * width, (first + reach + 1) * width


def overlaps_itself(tensor: Tensor) -> bool:
    """Whether two elements may be one place in memory, as in an expanded tensor or an unfolded one."""
    if tensor.numel() == 0:
        return False
    reach = 0
    for step, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size > 1:
            if step <= reach:
                return True
            reach += (size - 1) * step
    return False


def clone_call(call: Call) -> Call:
    """A deep copy that keeps strides, expanded dimensions and storage shared between arguments."""
    copies = _copied_storages(tensors_of(call))

    def clone(tensor: Tensor) -> Tensor:
        if not _is_plain_memory(tensor):
            return tensor.detach().resolve_conj().resolve_neg().clone()
        start, copy = copies[storage_of(tensor)]
        offset = tensor.storage_offset() - start // tensor.element_size()
        fresh = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
        return fresh.set_(copy, offset, tensor.shape, tensor.stride())

    with torch.no_grad():
        return map_tensors(call, clone)


def _is_plain_memory(tensor: Tensor) -> bool:
    return (
        tensor.layout is torch.strided
        and tensor.numel() > 0
        and not tensor.is_quantized
        and not tensor.is_conj()
        and not tensor.is_neg()
    )


def _copied_storages(tensors: list[Tensor]) -> dict[int, tuple[int, torch.UntypedStorage]]:
    """For each storage: the first byte that was copied, and the copy of the bytes in use."""
    spans: dict[int, tuple[int, int, Tensor]] = {}
    for tensor in filter(_is_plain_memory, tensors):
        low, high = span_of(tensor)
        key = storage_of(tensor)
        known = spans.get(key, (low, high, tensor))
        spans[key] = (min(low, known[0]), max(high, known[1]), tensor)
    copies = {}
    for key, (low, high, tensor) in spans.items():
        start = low - low % _ALIGNMENT
        raw = torch.empty(0, dtype=torch.uint8, device=tensor.device)
        raw.set_(tensor.untyped_storage(), start, (high - start,), (1,))
        copies[key] = (start, raw.clone().untyped_storage())
    return copies


# --------------------------------------------------------------------------------------- nudged

_STRUCTURED = ("linalg_", "_linalg", "cholesky", "lu_", "triangular", "_cholesky", "logdet", "max_unpool")
"""Operators of matrices with structure, which a swap of two elements would break; and those that put one value in one place
from several windows, where two values would race."""
_SWAPS = 3  # pairs of elements; few enough to pass by a fingerprint of head, tail and sum


def is_structured(op: Op) -> bool:
    """Whether elements of its inputs depend on one another."""
    return base_name(op).startswith(_STRUCTURED)


def nudged(op: Op, call: Call, rng: random.Random) -> Call:
    """The same shapes with a few inner elements swapped: head, tail, sum and domain are kept.

    Where no tensor may be touched the copy is equal to the original.
    """
    copy = clone_call(call)
    if is_structured(op):
        return copy
    for tensor in tensors_of(copy):
        if tensor.is_floating_point() or tensor.is_complex():
            _swap_inside(tensor, rng)
    return copy


def _swap_inside(tensor: Tensor, rng: random.Random) -> None:
    count = tensor.numel()
    if tensor.layout is not torch.strided or count < 4:
        return
    margin = max(1, count // 16)
    for _ in range(_SWAPS):
        first = _element(tensor, rng.randrange(margin, count - margin))
        second = _element(tensor, rng.randrange(margin, count - margin))
        kept = first.clone()
        first.copy_(second)
        second.copy_(kept)


def _element(tensor: Tensor, position: int) -> Tensor:
    """A zero-dimensional view of one element, by its position in row-major order."""
    index = []
    for size in reversed(tensor.shape):
        position, remainder = divmod(position, size)
        index.append(remainder)
    for place in reversed(index):
        tensor = tensor.select(0, place)
    return tensor


# ---------------------------------------------------------------------------------------- edges

_SHARE = 0.15  # of the elements become special: enough to be met, few enough to leave a test
_LAST = 0.25  # of the tensors have one at their very end, where a kernel stops early that stops early
_TAKES_NAN = names(
    "sum mean nansum prod amax amin max min cumsum mm bmm addmm baddbmm addbmm addmv addr mv dot linalg_vector_norm norm"
)
"""Beside pointwise operators, those for which NaN and infinity have one obvious meaning."""
_TAKES_MASKS = names("softmax _softmax log_softmax _log_softmax logsumexp _safe_softmax")
"""Operators that meet -inf as a mask; at +inf some sound formulas give NaN where others give zero."""
_TAKES_NAN_ONLY = names(
    "native_layer_norm native_group_norm var std var_mean std_mean native_batch_norm avg_pool2d"
    " avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_avg_pool3d mse_loss l1_loss smooth_l1_loss huber_loss glu linalg_cross"
)
"""Operators that infinity sends into inf - inf, where formulas part."""
_MOVES = names(
    "cat stack gather index_select index flip roll tril triu constant_pad_nd reflection_pad1d"
    " reflection_pad2d replication_pad1d replication_pad2d masked_fill masked_select repeat"
    " clone copy where index_copy index_fill slice_scatter select_scatter diagonal_scatter embedding"
    " repeat_interleave take narrow_copy permute_copy expand_copy view_copy scatter index_put masked_scatter put"
    " upsample_nearest1d upsample_nearest2d upsample_nearest3d pixel_shuffle pixel_unshuffle im2col diag_embed rot90 unfold_copy"
    " split_with_sizes_copy unbind_copy squeeze_copy transpose_copy t_copy channel_shuffle select_backward slice_backward"
)
"""Operators that carry values from place to place: whatever was there arrives, NaN and infinity too."""
_TAKES_TIES = names(
    "sort argsort topk argmax argmin median kthvalue mode cummax cummin cumprod scatter_add index_add"
    " max_pool2d_with_indices convolution upsample_nearest2d upsample_bilinear2d scatter_reduce"
)
"""Operators that are given zeros and repeated values, and nothing wilder."""
_ORDERS = names(
    "sort argsort msort topk argmax argmin median kthvalue cummax cummin amax amin max min aminmax _unique2"
)
"""Operators that put values in order, however close they are."""
_NAN_BESIDE_TIES = names("cumprod scatter_add index_add logcumsumexp trace")
"""Operators that are given NaN now and then, which has one meaning in them."""
_ASKS_FOR_ZERO = names("any all count_nonzero logical_and logical_or logical_xor logical_not")
"""Operators that only tell zero from the rest: zeros, and values that cancel out."""
_REDUCES_TO_TRUTH = names("any all count_nonzero")
"""Those among them for which a mask is a value like any other."""
_COMPARES = names("eq ne lt le gt ge isin isclose bucketize searchsorted maximum minimum fmax fmin heaviside")
"""Operators that tell equal from unequal, which random values never are."""
_SEARCHED_SECOND = names("searchsorted")
"""Those of which the first input is the ordered one, and the second what is compared with it."""
_SEARCHES = names("bucketize searchsorted")
"""Operators that look up a place in order, where NaN comes last."""
_MEETINGS = 0.6  # of their edge draws; the others have infinities and NaN
_SAME_OR_NOT = names("eq ne isin")
"""Those among them that say the same of all random values."""
_REPEATS = names("scatter_add index_add scatter_reduce index_reduce index_select gather embedding")
"""Operators whose indices may name a place twice; torch's samples seldom do."""
_NOT_A_VALUE_RANGE = (
    names(  # naive but honest formulas go other ways at infinity, and ATen's own choice is no one's law
        "fmod remainder floor_divide hypot ldexp atan2 logaddexp logaddexp2 xlogy special_xlog1py pow"
        " float_power lerp addcdiv addcmul sinc mish logit igamma igammac polygamma mvlgamma lgamma"
        " digamma i0 special_zeta angle gelu silu hardswish softplus elu celu selu hardsigmoid"
        " logit_backward gelu_backward silu_backward sigmoid_backward tanh_backward"
    )
)
"""Pointwise operators that are given NaN but no infinity."""
_ROUNDED_DIVISIONS = ("Tensor_mode", "Scalar_mode")
"""Overloads of `div` of which the same holds as of `floor_divide`."""
_PASSES_NAN = names(
    "argmax argmin max min amax amin cummax cummin max_pool2d_with_indices max_pool3d_with_indices"
    " adaptive_max_pool2d adaptive_max_pool3d median nanmedian kthvalue aminmax"
)
"""Selections in which NaN is larger and smaller than anything, or left out."""
_BENT = names(
    "hardtanh hardtanh_backward hardsigmoid hardsigmoid_backward hardswish hardswish_backward threshold"
    " threshold_backward hardshrink hardshrink_backward softshrink softshrink_backward clamp clamp_min clamp_max"
    " leaky_relu leaky_relu_backward softplus"
)
"""Pointwise operators that are one thing up to a number, and another from there on."""
_PROBABILITIES = names("binary_cross_entropy")
"""Operators of probabilities, of which 0 and 1 are the edges."""
_LARGE_WHOLE = names(
    "add sub mul rsub neg abs sum cumsum where cat stack flip roll index_select index repeat clone"
)
"""Operators of whole numbers, of which the first input may hold larger ones than float32 can tell apart."""
_BEYOND_FLOAT32 = [2**24 + 1, -(2**24) - 1]
_ARITHMETIC = names("add sub mul rsub")
_POLES = names("polygamma")
"""Operators that ATen gives some large number where they go to infinity: at nought and all whole numbers below it."""
_INTEGER_SAFE = names(
    "maximum minimum clamp clamp_min clamp_max eq ne lt le gt ge bitwise_and bitwise_or"
    " bitwise_xor bitwise_not sign relu"
)
"""Pointwise operators that no integer can overflow."""


def edges(op: Op, call: Call, rng: random.Random) -> Call | None:
    """The call with special values strewn into one input, or indices repeated; None where nothing applies."""
    copy = clone_call(call)
    repeated = base_name(op) in _REPEATS and repeat_indices(copy, rng)
    if base_name(op) in _COMPARES and rng.random() < _MEETINGS and _meet(op, copy, rng):
        return copy
    wanted = [tensor for tensor in tensors_of(copy) if is_changeable(tensor)]
    first = tensors_of(copy)[0] if wanted else None
    values_of = {id(tensor): specials(op, tensor, rng, first=tensor is first) for tensor in wanted}
    wanted = [tensor for tensor in wanted if values_of[id(tensor)]]
    if not wanted:
        return copy if repeated else None
    chosen = rng.choice(wanted)
    if is_pointwise(op):
        values_of[id(chosen)] += _kinks(op, call, chosen.dtype)
    if base_name(op) in _ASKS_FOR_ZERO:
        _sow(chosen, values_of[id(chosen)], rng, _decisive(op, call, chosen))
    else:
        _strew(chosen, values_of[id(chosen)], rng)
    return copy


def meet(op: Op, call: Call, rng: random.Random) -> None:
    """Where an operator says the same of nearly all random values, change the call in place so that it has something else to say."""
    if base_name(op) in _SAME_OR_NOT:
        _meet(op, call, rng)
    elif base_name(op) in _ASKS_FOR_ZERO:
        for tensor in filter(is_changeable, tensors_of(call)):
            if values := specials(op, tensor, rng):
                _sow(tensor, values, rng, _decisive(op, call, tensor))


def _sow(tensor: Tensor, values: list[float | int], rng: random.Random, line: int) -> None:
    """Zeros with few ones, ones with few zeros, many lines of few that cancel out, or one in about every second line."""
    tensor.zero_()
    lone = min(0.7 / max(line, 1), 0.5)
    _strew(tensor, values, rng, share=rng.choice((0.05, 0.4, 0.95, lone, 1 - lone)), most=1.0)


def _decisive(op: Op, call: Call, tensor: Tensor) -> int:
    """How many elements decide one of the result, by the dimensions that the call names."""
    order = [argument.name for argument in op._schema.arguments]
    if "dim" not in order:
        return 1 if is_pointwise(op) else tensor.numel()
    place = order.index("dim")
    dims = call.args[place] if place < len(call.args) else call.kwargs.get("dim")
    if dims is None or dims == []:
        return tensor.numel()
    sizes = tensor.shape or (1,)
    return math.prod(sizes[dim] for dim in (dims if isinstance(dims, (list, tuple)) else (dims,)))


def _meet(op: Op, call: Call, rng: random.Random) -> bool:
    """Let half of the first input be values of the second, or beside them by a step; whether there is a second."""
    tensors = tensors_of(call)
    scalars = [value for value in call.args[1:2] if isinstance(value, (int, float))]
    if len(tensors) < 2 and not scalars:
        return False
    first, last = (1, 0) if base_name(op) in _SEARCHED_SECOND else (0, -1)
    target = tensors[0] if len(tensors) < 2 else tensors[first]
    if not is_changeable(target) or target.dtype is torch.bool or target.is_complex():
        return False
    source = tensors[last].reshape(-1) if len(tensors) > 1 else torch.tensor(scalars)
    if not source.numel() or source.dtype is torch.bool or source.is_complex():
        return False
    generator, device = _generator(target, rng), target.device
    count = max(1, target.numel() // 2)
    places = torch.randperm(target.numel(), generator=generator, device=device)[:count]
    if len(tensors) > 1 and tensors[last].shape == target.shape:
        picks = source[places]
    else:
        source = source.to(device)
        picks = source[torch.randint(source.numel(), (count,), generator=generator, device=device)]
    picks = picks.to(device, target.dtype)
    if target.is_floating_point():
        beside = torch.nextafter(picks, torch.full_like(picks, rng.choice((-math.inf, math.inf))))
        least = torch.full_like(picks, torch.finfo(picks.dtype).smallest_normal)
        beside = kept_normal(beside, torch.copysign(least, beside))
        picks = torch.where(torch.rand(count, generator=generator, device=device) < 0.5, picks, beside)
    target[torch.unravel_index(places, target.shape)] = picks
    return True


def _generator(tensor: Tensor, rng: random.Random) -> torch.Generator:
    """On the tensor's own device: to shuffle ten million places takes a CPU a quarter of a second."""
    return torch.Generator(tensor.device).manual_seed(rng.getrandbits(62))


def kept_normal(values: Tensor, instead: Tensor) -> Tensor:
    """The floating values, with others in the place of those that a GPU may take for zero; it keeps all of half precision."""
    if values.dtype is torch.float16:
        return values
    least = torch.finfo(values.dtype).smallest_normal
    parts = (values.real, values.imag) if values.is_complex() else (values,)
    is_less = sum((part != 0) & (part.abs() < least) for part in parts)
    return torch.where(torch.as_tensor(is_less).bool(), instead, values)


def repeat_indices(call: Call, rng: random.Random) -> bool:
    """Let half of the indices name the place of another; whether there was anything to repeat."""
    found = False
    for tensor in tensors_of(call):
        if tensor.dtype in (torch.int64, torch.int32) and is_changeable(tensor):
            flat = tensor.reshape(-1).clone()
            order = torch.randperm(flat.numel(), generator=_generator(flat, rng), device=flat.device)
            half = flat.numel() // 2
            flat[order[:half]] = flat[order[half : 2 * half]]
            tensor.copy_(flat.view(tensor.shape))
            found = True
    return found


def is_changeable(tensor: Tensor) -> bool:
    """Whether its elements can be changed one by one."""
    return tensor.layout is torch.strided and tensor.numel() >= 2 and not overlaps_itself(tensor)


def specials(op: Op, tensor: Tensor, rng: random.Random, *, first: bool = True) -> list[float | int]:
    """The special values that an input of this dtype may be given under this operator; `first`: it is the first one."""
    name = base_name(op)
    if "polynomial" in name:
        return []  # one input is a degree
    if tensor.is_floating_point() and tensor.element_size() >= 2:
        if name in _ASKS_FOR_ZERO:
            return [1.0, -1.0, torch.finfo(tensor.dtype).tiny, math.nan]
        if is_pointwise(op):
            return _pointwise_specials(op, tensor)
        if name in _SEARCHES:
            return [math.nan, math.inf, -math.inf]
        if name in _PROBABILITIES:
            return [0.0, 1.0]
        if name in _PASSES_NAN and rng.random() < 0.6:
            return [math.nan]
        if name in _MOVES:
            return [math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0]
        if name in _ORDERS and rng.random() < 0.3:
            return _close_ones(tensor)
        if name in _NAN_BESIDE_TIES and rng.random() < 0.8:
            return [math.nan, 1.0]
        if name in _TAKES_NAN:
            return rng.choice([[math.nan], [math.inf], [0.0, -0.0], [1.0, 0.0]])
        if name in _TAKES_MASKS:
            return rng.choice([[math.nan], [-math.inf], [0.0, -0.0], [1.0, 0.0]])
        if name in _TAKES_NAN_ONLY:
            return [math.nan]
        if name in _ORDERS:
            return [math.inf, -math.inf, 0.0, 1.0, -1.0]
        return [0.0, 1.0, -1.0] if name in _TAKES_TIES else []
    if tensor.is_floating_point() or tensor.is_complex():
        return []
    if tensor.dtype is torch.bool:
        return [True] if name in _REDUCES_TO_TRUTH else []
    if name in _REDUCES_TO_TRUTH:
        return [1, 2]
    if first and name in _LARGE_WHOLE and tensor.dtype in (torch.int32, torch.int64):
        return list(_BEYOND_FLOAT32)
    if is_pointwise(op) and name in _INTEGER_SAFE:
        bounds = torch.iinfo(tensor.dtype)
        return [bounds.min, bounds.max, 0, 1]
    return []


def takes_nan(op: Op) -> bool:
    """Whether NaN has one meaning in the operator."""
    name = base_name(op)
    if is_pointwise(op):
        return name not in UNTAGGED and name not in _ASKS_FOR_ZERO and "polynomial" not in name
    return any(name in each for each in _WITH_NAN)


_WITH_NAN = (_PASSES_NAN, _MOVES, _NAN_BESIDE_TIES, _TAKES_NAN, _TAKES_MASKS, _TAKES_NAN_ONLY, _SEARCHES)


def _close_ones(tensor: Tensor) -> list[float | int]:
    """Values beyond all others, some steps of the dtype apart: less precision than the dtype's takes one for another."""
    finite = tensor.abs().nan_to_num(0.0, 0.0, 0.0)
    size = 2.0 * float(finite.max()) + 1.0
    if not math.isfinite(size * 2) or size > torch.finfo(tensor.dtype).max / 4:
        return []
    near = [size * (1 + 4 * step * torch.finfo(tensor.dtype).eps) for step in range(3)]
    return [*near, *(-value for value in near)]


def _pointwise_specials(op: Op, tensor: Tensor) -> list[float | int]:
    name, limits = base_name(op), torch.finfo(tensor.dtype)
    values = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.5, -1.5, 2.5, -2.5, 4.0]
    if name in _POLES:
        values = [value for value in values if value > 0 or value % 1]
    if name in UNTAGGED:
        return values
    values.append(math.nan)
    if name not in _NOT_A_VALUE_RANGE and op._overloadname not in _ROUNDED_DIVISIONS:
        values += [math.inf, -math.inf, limits.tiny]
    if name in EXACT:
        values += [limits.max, limits.min]
    if name in _ARITHMETIC:
        # an eighth: alpha * b must not overflow in one formula and survive in a fused one
        values += [limits.max / 8, limits.min / 8]
    if name in EXACT and tensor.device.type == "cpu":
        values.append(limits.smallest_normal / 4)
    return list(values)


def _strew(
    tensor: Tensor, values: list[float | int], rng: random.Random, share: float = _SHARE, most: float = 0.5
) -> None:
    """Overwrite a share of the elements, at least one, and at most another; a lone NaN or infinity goes in once."""
    wild = sum(not math.isfinite(value) for value in values)
    able = max(1, int(tensor.numel() * most))
    count = 1 if len(values) == 1 else min(able, max(wild, round(tensor.numel() * share), 1))
    order = _wildest_first(values, rng)
    palette = torch.tensor(order, dtype=tensor.dtype, device=tensor.device)
    places = torch.randperm(tensor.numel(), generator=_generator(tensor, rng), device=tensor.device)[:count]
    if rng.random() < _LAST and not bool((places == tensor.numel() - 1).any()):
        places[0] = tensor.numel() - 1
    picks = palette[torch.arange(count, device=tensor.device) % len(order)]
    tensor[torch.unravel_index(places, tensor.shape)] = picks


_HARD_KINK = 3.0  # of hardsigmoid and hardswish


def _kinks(op: Op, call: Call, dtype: torch.dtype) -> list[float | int]:
    """The numbers among the arguments, where bounds and thresholds are, as far as the dtype can hold them."""
    if not dtype.is_floating_point or base_name(op) not in _BENT:
        return []
    numbers = [float(value) for value in (*call.args, *call.kwargs.values()) if type(value) in (int, float)]
    exact = [value for value in numbers if float(torch.tensor(value, dtype=dtype)) == value]
    return [*exact, _HARD_KINK, -_HARD_KINK]


def _wildest_first(values: list[float | int], rng: random.Random) -> list[float | int]:
    """In random order, NaN and the infinities ahead, so that a small tensor meets them too."""
    order = rng.sample(values, len(values))
    return sorted(order, key=math.isfinite)


# --------------------------------------------------------------------------------------- scaled

_LINEAR = names(
    "add sub mul neg abs relu sum mean amax amin max min mm bmm addmm baddbmm mv addmv dot cumsum"
    " convolution cat stack index_select gather where maximum minimum clamp sort topk leaky_relu"
    " native_layer_norm native_group_norm linalg_vector_norm norm sqrt rsqrt round floor ceil"
    " trunc sign var std var_mean std_mean native_batch_norm mse_loss l1_loss avg_pool2d"
    " _adaptive_avg_pool2d max_pool2d_with_indices upsample_nearest2d upsample_bilinear2d scatter_add"
    " index_add nansum index flip roll tril triu masked_fill constant_pad_nd argmax argmin cummax cummin"
)
"""Operators at home at any scale."""
_NEAR_ONE = names(
    "exp sigmoid tanh sin cos gelu silu softplus elu erf erfc expm1 _softmax softmax _log_softmax"
    " log_softmax logsumexp mish hardsigmoid hardswish hardtanh atan sinh cosh asinh selu"
    " celu log_sigmoid_forward log1p"
)
"""Operators that saturate or explode: their larger scale stays small, unless sound formulas subtract the largest."""
_LARGEST = names("max amax argmax cummax topk sort max_pool2d_with_indices")
_SMALLEST = names("min amin argmin cummin")
"""Operators that look for one end of a line: of a long one it has its usual sign, where whoever begins at zero is right."""


def scaled(op: Op, call: Call, rng: random.Random) -> Call | None:
    """The call with its floating values at another scale; None where the domain forbids it."""
    name = base_name(op)
    if name not in _LINEAR and name not in _NEAR_ONE:
        return None
    steady = name in _LINEAR or name in _TAKES_MASKS
    factor = rng.choice([1e-3, 30.0] if steady else [1e-3, 3.0])
    copy = clone_call(call)
    touched = [tensor for tensor in tensors_of(copy) if is_changeable(tensor)]
    touched = [tensor for tensor in touched if tensor.is_floating_point()]
    for tensor in touched:
        tensor.mul_(factor)
        if name in _SMALLEST:
            tensor.abs_()
        elif name in _LARGEST:
            tensor.abs_().neg_()
    return copy if touched else None
