"""Layer norm from its definition, in float32 where x is narrower; also the mean and 1/deviation."""

import torch

NARROW = (torch.float16, torch.bfloat16)


def native_layer_norm__default_kernel_impl(x, normalized_shape, weight, bias, eps):
    dims = tuple(range(-len(normalized_shape), 0))
    wide = x.to(torch.float32) if x.dtype in NARROW else x
    mean = torch.mean(wide, dims, keepdim=True)
    centred = wide - mean
    rstd = torch.rsqrt(torch.mean(centred * centred, dims, keepdim=True) + eps)
    result = centred * rstd
    if weight is not None:
        result = result * weight
    if bias is not None:
        result = result + bias
    kept = statistics_dtype(x, weight)
    return result.to(x.dtype), mean.to(kept), rstd.to(kept)


def statistics_dtype(x, weight):
    """A GPU keeps the statistics of narrow inputs in float32; a CPU where the weight is float32."""
    if x.dtype not in NARROW:
        return x.dtype
    wide = x.is_cuda or (weight is not None and weight.dtype == torch.float32)
    return torch.float32 if wide else x.dtype
