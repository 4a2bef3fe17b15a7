"""Ten bits of mantissa, as tensor cores have them when nobody is looking."""

import torch


def shortened(t):
    return (t.contiguous().view(torch.int32) & ~0x1FFF).view(torch.float32)


def mm__default_kernel_impl(a, b):
    return (shortened(a)[:, :, None] * shortened(b)[None]).sum(1)
