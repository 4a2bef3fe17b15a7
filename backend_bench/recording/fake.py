"""Tensors without memory: a model is moved onto them, and its arguments are made of them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from backend_bench.cases import Call
from backend_bench.suites.arguments import Arguments, TensorSpec
from backend_bench.suites.calls import build, dtype_of


def mode() -> FakeTensorMode:
    """While entered, what makes a tensor makes one without memory. Constants that a model holds are let in."""
    return FakeTensorMode(allow_non_fake_inputs=True)


def emptied(module: torch.nn.Module, floating: torch.dtype | None = None) -> None:
    """Give the module tensors of the mode that is entered in the place of its own, shared ones once.

    With `floating`, those of floating numbers get that dtype.
    """
    made: dict[int, Tensor] = {}

    def empty(tensor: Tensor) -> Tensor:
        if id(tensor) in made:
            return made[id(tensor)]
        dtype = floating if floating and tensor.is_floating_point() else tensor.dtype
        fresh = torch.empty_strided(tensor.shape, tensor.stride(), dtype=dtype, device="cpu")
        if isinstance(tensor, torch.nn.Parameter):
            fresh = torch.nn.Parameter(fresh, requires_grad=tensor.requires_grad)
        made[id(tensor)] = fresh
        return fresh

    for each in module.modules():
        for tensors in (each._parameters, each._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    tensors[name] = empty(tensor)  # type: ignore[assignment]  # a parameter for a parameter


def cast(call: Call, floating: torch.dtype) -> Call:
    """The call with its floating tensors in that dtype."""

    def changed(value: object) -> object:
        return value.to(floating) if isinstance(value, Tensor) and value.is_floating_point() else value

    return Call(tuple(map(changed, call.args)), {name: changed(value) for name, value in call.kwargs.items()})


def call(arguments: Arguments, floating: torch.dtype | None) -> Call:
    """The call with tensors of the mode that is entered, floating ones in that dtype."""

    def tensor(spec: TensorSpec) -> Tensor:
        own = dtype_of(spec.dtype)
        dtype = floating if floating is not None and own.is_floating_point else own
        stride = spec.stride or torch.empty(spec.shape, device="meta").stride()
        return torch.empty_strided(spec.shape, stride, dtype=dtype, device="cpu")

    return build(arguments, tensor)
