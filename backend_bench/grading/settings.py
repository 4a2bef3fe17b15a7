"""Calls with other arguments that are no tensors: a setting that all cases leave alone, a number that is data, a part that is not asked for.

Like all forms, they count only where ATen accepts them and the oracle can judge them.
"""

from __future__ import annotations

import math
import random
from typing import Any

import torch
from torch import Tensor

from backend_bench.cases import Call
from backend_bench.grading.choices import arguments, call_of
from backend_bench.grading.inputs import (
    clone_call,
    overlaps_itself,
    repeat_indices,
    tensors_of,
)
from backend_bench.grading.sameness import is_floating
from backend_bench.grading.sizes import takes_other_sizes
from backend_bench.grading.traits import ADDS_TO_PRODUCT, Op, base_name
from backend_bench.grading.windows import SCALES

IN_THE_PLACE_OF_SPECIAL = ("nan", "posinf", "neginf")
"""Settings that change nothing where no value is special."""
_SETTINGS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("alpha", "beta"), (0, 2, -3)),
    **dict.fromkeys(("min",), (4, -2)),  # above the largest value that a case allows, too
    **dict.fromkeys(("min_val",), (-2,)),
    **dict.fromkeys(("max", "max_val"), (2,)),
    **dict.fromkeys(("value", "fill_value", "threshold", "start"), (-3, 2)),
    **dict.fromkeys(("other",), (-3, 2, 0.0)),
    **dict.fromkeys(("negative_slope", "scale", "input_scale", "lambd", "weight"), (0.25, 2.0)),
    **dict.fromkeys(("keepdim", "count_include_pad", "ceil_mode", "align_corners"), (True, False)),
    **dict.fromkeys(
        ("descending", "largest", "invert", "right", "upper", "unitriangular", "transpose", "transposed"),
        (True, False),
    ),
    **dict.fromkeys(SCALES, (4.0, 16.0)),
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
    **dict.fromkeys(("self",), (3, 0.5, -2, 0, 1)),
    **dict.fromkeys(("dim",), (0, 1)),
    **dict.fromkeys(("k",), (3, 1)),
    **dict.fromkeys(("upscale_factor", "downscale_factor"), (1, 2)),
    **dict.fromkeys(("padding_idx",), (0, 1)),
    **dict.fromkeys(("ord",), (1, 3, -math.inf, 0)),
    **dict.fromkeys(("p",), (1.0, 0.0, 3.0, 0.5, -math.inf)),
    **dict.fromkeys(("maxnorm",), (0.5, 50.0)),
    **dict.fromkeys(("train", "training", "is_causal"), (True, False)),
    **dict.fromkeys(IN_THE_PLACE_OF_SPECIAL, (2.5, 0.0, math.inf)),
    **dict.fromkeys(("eps",), (0.25, 1e-3)),
    **dict.fromkeys(("momentum",), (0.3, 0.9)),
    **dict.fromkeys(("divisor_override",), (3, 5)),
    **dict.fromkeys(("dtype",), (torch.float64, torch.float32)),
    **dict.fromkeys(("approximate",), ("none", "tanh")),
    **dict.fromkeys(("reduce",), ("prod", "mean", "amax", "sum")),
    **dict.fromkeys(("rounding_mode",), ("floor", "trunc")),
}
"""Arguments, by name, that may have any of these values wherever the schema has them."""
_OF_ATTENTION: dict[str, tuple[Any, ...]] = {"scale": (0.0625, 0.1), "is_causal": (True, False)}
"""With a larger scale a short dtype could not tell scores apart."""
_IN_TRAINING = frozenset({"train", "training"})
_MAY_BE_LEFT_OUT = (
    "dtype",
    "divisor_override",
    "rounding_mode",
    "min",
    "max",
    "scale",
    *IN_THE_PLACE_OF_SPECIAL,
)
"""Those that are None where they are not wanted, and may be set."""


def of(op: Op) -> list[str]:
    """The arguments of `op` that can be set to something else."""
    able = _values_by_name(op)
    return [
        argument.name
        for argument in op._schema.arguments
        if argument.name in able and "Tensor" not in str(argument.type)
    ]


def _values_by_name(op: Op) -> dict[str, tuple[Any, ...]]:
    if not base_name(op).startswith("_"):
        return _SETTINGS
    # Other internal operators trust their caller.
    return _OF_ATTENTION if base_name(op).endswith(("attention", "attention_for_cpu")) else {}


def turns(name: str) -> int:
    """In how many turns a setting has each of its values."""
    return max(2, len(_SETTINGS[name]))


def reset(op: Op, call: Call, rng: random.Random, turn: int = 0, *, name: str) -> Call | None:
    """The call with one setting changed, which a suite's cases may all leave alone; each turn to another value, None where it has that."""
    given = arguments(op, call)
    if name == "dim" and any(each in given for each in ("index", "indices")):
        return None  # which would name places that are not there; a GPU does not survive that
    if name in _IN_TRAINING and not all(
        isinstance(given.get(each), Tensor) for each in ("running_mean", "running_var")
    ):
        return None  # without statistics there is nothing else to normalise by, and ATen does not look
    if name == "is_causal" and (_is_masked(given) or given["query"].shape[-2] != given["key"].shape[-2]):
        return None  # which means one thing to one kernel and another to the next
    leaves_out = name == "beta" and base_name(op) in ADDS_TO_PRODUCT
    values = _values_by_name(op)[name]
    is_number = "number" in str(next(a.type for a in op._schema.arguments if a.name == name))
    has_fractions = is_number and any(tensor.is_floating_point() for tensor in tensors_of(call))
    old = float(given[name]) if has_fractions and type(given[name]) is int else given[name]
    value = values[turn % len(values)]
    if name == "dim" and isinstance(old, (list, tuple)) and old:
        value = []  # all of them, in most operators
    elif not _is_another(old, value, name):
        return None
    if name in SCALES and given.get("align_corners"):
        given = given | {"align_corners": False}  # else it has no say
    varied = clone_call(call_of(op, given | {name: value}))
    if leaves_out and value == 0:
        # what is added is not looked at then, be it NaN
        added = arguments(op, varied)["self"]
        if isinstance(added, Tensor) and added.is_floating_point() and not overlaps_itself(added):
            added.fill_(torch.nan)
    if name == "accumulate" and value:
        repeat_indices(varied, rng)
    return varied


def _is_masked(given: dict[str, Any]) -> bool:
    return any(given.get(name) is not None for name in ("attn_mask", "attn_bias"))


def _is_another(old: Any, new: Any, name: str) -> bool:
    """Whether `new` may stand in the place of `old` and is not the same; a tensor stays a tensor."""
    if old is None:
        return name in _MAY_BE_LEFT_OUT
    if isinstance(new, (torch.dtype, str, bool)) or isinstance(old, bool):
        return type(old) is type(new) and bool(old != new)
    if name == "exponent":
        return isinstance(old, (int, float)) and bool(old != new)
    if name in SCALES:
        return isinstance(old, float) and bool(old < new)
    if isinstance(new, float):
        return isinstance(old, float) and bool(old != new)
    return isinstance(old, (int, float)) and bool(old != new)


_DATA = frozenset({"fill_value", "value", "other", "s"})
"""Numbers that a result is made of, by their names, be it that the schema has a tensor there."""
_NARROW = (torch.int8, torch.uint8)


def renumbered(op: Op, call: Call, rng: random.Random, turn: int = 0) -> Call | None:
    """The call with another number in the place of one that is data, or a sequence that begins and ends elsewhere; whole ones first, then
    fractions where there may be any. No kernel can know them, as it may those of `reset`."""
    if base_name(op).startswith("_") or "shift" in base_name(op):
        return None  # which shift by more bits than there are, or trust their caller
    given = arguments(op, call)
    tensors, dtype = tensors_of(call), given.get("dtype")
    span: dict[str, Any] = (
        {} if tensors or dtype in _NARROW else {name: given.get(name) for name in ("start", "end")}
    )
    moved = bool(span) and all(map(_is_number, span.values()))
    old: dict[str, Any]  # a sequence's ends, or what is data
    data = _DATA | {"alpha", "beta"} if base_name(op) in ADDS_TO_PRODUCT else _DATA
    old = span if moved else {name: given[name] for name in data & given.keys() if _is_number(given[name])}
    if not old:
        return None
    whole_only = all(type(number) is int for number in old.values()) and not any(
        is_floating(each) for each in (*(tensor.dtype for tensor in tensors), dtype) if each is not None
    )
    by = rng.randrange(33, 128, 2) if whole_only or turn == 0 else round(rng.uniform(-9, 9), 3)
    if base_name(op) == "logspace":
        by = by / 64
    new = {name: type(number)(by) if turn == 0 else by for name, number in old.items()}
    if moved:
        new = {name: number + by for name, number in span.items()}
    return clone_call(call_of(op, given | new))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


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


def masked(op: Op, call: Call, rng: random.Random, turn: int = 0) -> Call | None:
    """The call of a gradient with one fewer asked for. Never the first: without it ATen's own group normalisation writes to nowhere, on a
    CPU, in bfloat16 and channels last, and the process ends."""
    mask: list[bool] = arguments(op, call).get("output_mask") or []
    able = [place for place, asked in enumerate(mask) if asked and place]
    if not able or not takes_other_sizes(op):
        return None
    left_out = rng.choice(able)
    kept = [asked and place != left_out for place, asked in enumerate(mask)]
    return clone_call(call_of(op, arguments(op, call) | {"output_mask": kept}))
