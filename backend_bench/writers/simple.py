"""Calls in the simple form into which a kernel file brings all others, and what else they may be asked with.

For operators that work element by element, along a dimension, or reduce some: one, two and two dimensions. The other half,
which brings arguments of any form there, is `kernel_file.SIMPLIFIED`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any, Final

import torch

from backend_bench.cases import Call
from backend_bench.grading.choices import arguments, call_of
from backend_bench.grading.traits import base_name, names
from backend_bench.suites.calls import tensors_of

_ALONG: Final = names(
    "_softmax _log_softmax _safe_softmax _softmax_backward_data _log_softmax_backward_data cumsum cumprod logcumsumexp"
    " cummax cummin softmax log_softmax"
)
_REDUCES: Final = names(
    "sum mean amax amin any all prod argmax argmin max min var std logsumexp linalg_vector_norm"
)
_NONE_OF_NONE: Final = ("any", "all")
"""They reduce nothing along no dimensions, where the others reduce all."""
_PARTNERS: Final = {torch.float32: torch.float16, torch.bfloat16: torch.float32, torch.float16: torch.float32}
"""Another floating dtype that a tensor may have beside its like."""
_CHOICES: Final[dict[str, tuple[Any, ...]]] = {
    "approximate": ("none", "tanh"),
    "rounding_mode": (None, "floor", "trunc"),
    "reduction": (0, 1, 2),
    "correction": (0, 1),
    "ord": (2, 1, 3),
    "dtype": (None, torch.float32, torch.float64),
}
"""Arguments that are no numbers to reckon with, and what they may be."""
_OPTIONAL_NUMBERS: Final = ("min", "max")
"""Numbers that may be left out."""


def family_of(op: torch._ops.OpOverload) -> str:
    """How its calls are simplified: a key of `kernel_file.SIMPLIFIED`, or an empty text."""
    name, has_dim = base_name(op), any(argument.name == "dim" for argument in op._schema.arguments)
    lists = any("List" in str(argument.type) and argument.name != "dim" for argument in op._schema.arguments)
    if torch.Tag.pointwise in op.tags and not lists:
        return "pointwise"
    if has_dim and name in _ALONG:
        return "along"
    if name in _NONE_OF_NONE and op._overloadname == "dims":
        return ""
    return "reduces" if has_dim and name in _REDUCES else ""


def takes_dims(op: torch._ops.OpOverload) -> bool:
    """Whether its `dim` is a list."""
    return any(argument.name == "dim" and "List" in str(argument.type) for argument in op._schema.arguments)


def simplified(op: torch._ops.OpOverload, call: Call) -> Iterator[Call]:
    """A call in the simple form of its family, and the same with other settings and dtypes."""
    family, tensors = family_of(op), list(tensors_of(call))
    if not family or not tensors:
        return
    size = max(2, max(tensor.numel() for tensor in tensors))
    given = arguments(op, call)
    for name, value in given.items():
        if isinstance(value, torch.Tensor):
            given[name] = _simple(family, value, given.get("dim"), size)
        elif name == "dim":
            given[name] = [1] if takes_dims(op) else 1
        elif name == "keepdim":
            given[name] = False
    for dtyped in _dtyped(op, given) if family == "pointwise" else (given,):
        for settings in itertools.islice(_settings(op, dtyped), _MOST_SETTINGS):
            yield call_of(op, dtyped | settings)


_MOST_SETTINGS = 6
"""Of one call; the first is its own."""


def _simple(family: str, tensor: torch.Tensor, dim: Any, size: int) -> torch.Tensor:
    if family == "pointwise":
        return torch.empty([size] if tensor.dim() else [], dtype=tensor.dtype)
    dims = [dim] if isinstance(dim, int) else dim or range(tensor.dim())
    length = math.prod(tensor.shape[each] for each in dims) if tensor.dim() else 1
    rows = tensor.numel() // length if length else 1
    return torch.empty(max(rows, 2), max(length, 2), dtype=tensor.dtype)


def _dtyped(op: torch._ops.OpOverload, given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The arguments, and where two tensors of one floating dtype meet, with whole numbers or another dtype for one of them."""
    yield given
    able = [
        name for name, value in given.items() if isinstance(value, torch.Tensor) and value.dtype in _PARTNERS
    ]
    if len(able) != 2 or len({given[name].dtype for name in able}) != 1:
        return
    first, last = able
    yield {**given, last: given[last].to(torch.int64)}
    other = last if op._schema.is_mutable else first
    yield {**given, other: given[other].to(_PARTNERS[given[other].dtype])}


def _settings(op: torch._ops.OpOverload, given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Its own, and one argument at a time set to something else."""
    yield {}
    for name, value in given.items():
        if name in _CHOICES and not isinstance(value, torch.Tensor):
            yield from ({name: choice} for choice in _CHOICES[name] if choice != value)
        elif isinstance(value, bool) and name != "keepdim":
            yield {name: not value}
        elif is_open(op, name, value) and "number" in _type(op, name):
            yield {name: 3 if isinstance(value, float) else 0.5}
        elif value is None and name in _OPTIONAL_NUMBERS:
            yield from ({name: number} for number in (3, 0.5))


def is_open(op: torch._ops.OpOverload, name: str, value: Any) -> bool:
    """Whether an argument is a number that one code can take as it comes: no dimension, no mode, and nothing that is 0 to leave something
    out."""
    # lerp has one formula for small weights and one for others; addmm may leave a term out.
    has_alpha = any(argument.name == "alpha" for argument in op._schema.arguments)
    chooses = name in _CHOICES or name == "weight" or (name == "beta" and has_alpha)
    kind = "" if chooses else _type(op, name)
    takes_any = "number" in kind or kind == "Tensor"  # a number may stand for a tensor
    return (type(value) is int and takes_any) or (type(value) is float and (takes_any or "float" in kind))


def _type(op: torch._ops.OpOverload, name: str) -> str:
    return next(str(argument.real_type) for argument in op._schema.arguments if argument.name == name)
