"""What CUDA calls where a CPU composes or has a kernel of its own: attention, RMS norm, dropout.

A model is run on tensors of a CPU, which every torch has; torch built without CUDA cannot even pretend. These few
functions are therefore redirected to the kernels that ATen takes on CUDA. Covered: which kernel, and what is done
to its arguments beforehand. Not covered: cuDNN's own kernels for convolution, normalisation and recurrent layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own custom)
from torch import Tensor
from torch.overrides import TorchFunctionMode

from backend_bench.recording.manifest import Attention

_HALF = (torch.float16, torch.bfloat16)
_WIDEST_FLASH, _WIDEST_CUDNN = 256, 128
"""Size of a head beyond which the kernel refuses."""
_STEP = 8
"""Sizes of heads are multiples of it, else ATen pads or takes another way."""
_BIAS_STEP = 16
"""Rows of a mask begin at multiples of so many elements, or the efficient kernel cannot load them."""


class CudaForms(TorchFunctionMode):
    """While entered, calls go to the kernels of CUDA where these admit the arguments, else on as they are."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self._forms: dict[Any, Callable[..., Any]] = {
            F.scaled_dot_product_attention: lambda *args, **kwargs: _attention(attention, *args, **kwargs),
            F.dropout: _dropout,
            F.rms_norm: _rms_norm,
            torch.rms_norm: _rms_norm,
        }

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return self._forms.get(func, func)(*args, **(kwargs or {}))


def _attention(
    wanted: Attention,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    aten, width = torch.ops.aten, query.shape[-1]
    grads = torch.is_grad_enabled() and any(each.requires_grad for each in (query, key, value))
    if width % _STEP or query.dim() != 4 or wanted == "math":
        return aten._scaled_dot_product_attention_math(  # type: ignore[no-any-return]
            query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
        )[0]
    half = query.dtype in _HALF and value.shape[-1] == width
    if wanted == "flash" and half and attn_mask is None and width <= _WIDEST_FLASH:
        return aten._scaled_dot_product_flash_attention(  # type: ignore[no-any-return]
            query, key, value, dropout_p, is_causal, scale=scale
        )[0]
    bias = None if attn_mask is None else _bias(attn_mask, query, key)
    if wanted == "cudnn" and half and width <= _WIDEST_CUDNN:
        return aten._scaled_dot_product_cudnn_attention(  # type: ignore[no-any-return]
            query, key, value, bias, grads, dropout_p, is_causal, scale=scale
        )[0]
    if enable_gqa:
        key, value = (each.repeat_interleave(query.shape[1] // each.shape[1], 1) for each in (key, value))
    return aten._scaled_dot_product_efficient_attention(  # type: ignore[no-any-return]
        query, key, value, bias, grads, dropout_p, is_causal, scale=scale
    )[0]


def _bias(mask: Tensor, query: Tensor, key: Tensor) -> Tensor:
    """A mask as what is added to the scores, one row for each query."""
    if mask.dtype is torch.bool:
        mask = torch.zeros_like(mask, dtype=query.dtype).masked_fill_(mask.logical_not(), float("-inf"))
    missing = -mask.shape[-1] % _BIAS_STEP
    if missing:
        mask = F.pad(mask, (0, missing))[..., : mask.shape[-1]]
    return mask.expand(query.shape[0], query.shape[1], query.shape[2], key.shape[2])


def _dropout(source: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    if training and 0 < p < 1 and not inplace:
        return torch.native_dropout(source, p, True)[0]
    return F.dropout(source, p, training, inplace)


def _rms_norm(source: Tensor, shape: Any, weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    fused = getattr(torch.ops.aten, "_fused_rms_norm", None)  # torch 2.8 has none
    if fused is None or (weight is not None and weight.dtype is not source.dtype):
        return F.rms_norm(source, shape, weight, eps)
    return fused(source, list(shape), weight, eps)[0]  # type: ignore[no-any-return]
