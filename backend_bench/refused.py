"""What ATen refused once and must not be asked for again.

cuDNN's attention keeps the plan that it failed to make (torch 2.11): the same arguments are an exception the first time, and end the process the second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_FATAL_TWICE = ("_scaled_dot_product_cudnn_attention", "_scaled_dot_product_cudnn_attention_backward")
_refused: dict[tuple[Any, ...], str] = {}


def call(op: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call ATen's operator; what it refused in this process, it refuses again without being asked."""
    packet = getattr(op, "overloadpacket", None)
    if packet is None or packet.__name__ not in _FATAL_TWICE:
        return op(*args, **kwargs)
    form = _form_of(op, args, kwargs)
    if form in _refused:
        raise RuntimeError(_refused[form])
    try:
        return op(*args, **kwargs)
    except (torch.OutOfMemoryError, torch.AcceleratorError):
        raise  # which says nothing of the arguments
    except RuntimeError as refusal:
        _refused[form] = str(refusal)
        raise


_NOT_PLANNED = ("scale",)
"""Numbers that a plan does not depend on."""


def _form_of(op: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """What a plan is made for: of a tensor all but its values, however the arguments are handed over."""
    given = {each.name: each.default_value for each in op._schema.arguments if each.has_default_value()}
    given |= dict(zip((each.name for each in op._schema.arguments), args, strict=False)) | kwargs
    return (op, *((name, _form(value)) for name, value in sorted(given.items()) if name not in _NOT_PLANNED))


def _form(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.dtype, value.device, tuple(value.shape), value.stride()
    return value
