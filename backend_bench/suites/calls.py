"""Between a call with tensors and its text: describe one, build one, take a copy of one.

Values are not chosen here; a builder is given something that makes a tensor from its spec.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from backend_bench.cases import Call
from backend_bench.suites.arguments import (
    CODES,
    CONSTANTS,
    DTYPES,
    Arguments,
    Constant,
    DeviceName,
    Dtype,
    TensorSpec,
    Value,
    render,
)


class Unspeakable(Exception):
    """A call holds something that the text of a case has no word for."""


def describe(call: Call) -> str:
    """The case as text, without the values of its tensors; `Unspeakable` where it has no text form."""
    return render(arguments_of(call))


def arguments_of(call: Call) -> Arguments:
    """The call with a spec in the place of each tensor."""
    return Arguments(
        tuple(_value(arg) for arg in call.args),
        {name: _value(arg) for name, arg in call.kwargs.items()},
    )


def spec_of(tensor: torch.Tensor) -> TensorSpec:
    """Shape, dtype and stride of a strided tensor."""
    if tensor.layout is not torch.strided:
        raise Unspeakable(f"a tensor of layout {tensor.layout}")
    stride = None if tensor.is_contiguous() else tuple(tensor.stride())
    return TensorSpec(tuple(tensor.shape), code_of(tensor.dtype), stride)


def code_of(dtype: torch.dtype) -> str:
    """The text's code of a dtype, `f16`."""
    name = str(dtype).removeprefix("torch.")
    if name not in CODES:
        raise Unspeakable(f"dtype {dtype}")
    return CODES[name]


def dtype_of(code: str) -> torch.dtype:
    """The dtype of a code of the text."""
    dtype = getattr(torch, DTYPES[code])
    assert isinstance(dtype, torch.dtype)
    return dtype


def _value(value: Any) -> Value:
    if isinstance(value, torch.Tensor):
        return spec_of(value)
    if value is None or isinstance(value, bool | int | float | complex | str):
        return value
    if isinstance(value, torch.dtype):
        return Dtype(code_of(value))
    if isinstance(value, torch.device):
        return DeviceName(str(value))
    if isinstance(value, torch.layout | torch.memory_format) and str(value) in CONSTANTS:
        return Constant(str(value))
    if isinstance(value, tuple):
        return tuple(_value(item) for item in value)
    if isinstance(value, list):
        return [_value(item) for item in value]
    raise Unspeakable(f"an argument of type {type(value).__name__}")


def build(arguments: Arguments, tensor: Callable[[TensorSpec], torch.Tensor]) -> Call:
    """A call with the tensors that `tensor` makes, asked for from left to right."""

    def made(value: Value) -> Any:
        match value:
            case TensorSpec():
                return tensor(value)
            case Dtype(code):
                return dtype_of(code)
            case Constant(name):
                return getattr(torch, name.removeprefix("torch."))
            case DeviceName(name):
                return torch.device(name)
            case tuple():
                return tuple(made(item) for item in value)
            case list():
                return [made(item) for item in value]
            case dict():
                return {key: made(item) for key, item in value.items()}
            case _:
                return value

    args = tuple(made(arg) for arg in arguments.args)
    return Call(args, {name: made(arg) for name, arg in arguments.kwargs.items()})


def tensors_of(call: Call) -> Iterator[torch.Tensor]:
    """Every tensor of the call, from left to right."""

    def inside(value: Any) -> Iterator[torch.Tensor]:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, tuple | list):
            for item in value:
                yield from inside(item)

    for value in (*call.args, *call.kwargs.values()):
        yield from inside(value)


def snapshot(call: Call) -> Call:
    """The call with copies of its tensors: the same strides, offsets and sharing, nothing in common with it.

    A storage is copied once, so tensors that shared one before share one afterwards.
    """
    storages: dict[int, torch.UntypedStorage] = {}

    def copied(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return _copied_tensor(value, storages)
        if isinstance(value, tuple | list):
            return type(value)(copied(item) for item in value)
        return value

    return Call(
        tuple(copied(arg) for arg in call.args),
        {name: copied(arg) for name, arg in call.kwargs.items()},
    )


def _copied_tensor(tensor: torch.Tensor, storages: dict[int, torch.UntypedStorage]) -> torch.Tensor:
    if tensor.layout is not torch.strided or tensor.is_quantized:
        raise Unspeakable(f"a tensor of layout {tensor.layout} and dtype {tensor.dtype}")
    plain = tensor.detach().resolve_conj().resolve_neg()
    storage = plain.untyped_storage()
    if storage._cdata not in storages:
        storages[storage._cdata] = storage.clone()
    copy = torch.empty(0, dtype=plain.dtype, device=plain.device)
    return copy.set_(storages[storage._cdata], plain.storage_offset(), plain.shape, plain.stride())
