"""An honest kernel: an autograd function with forward and backward."""

import torch


class Relu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = torch.clamp_min(x, 0)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, grad):
        (y,) = ctx.saved_tensors
        return grad * (y > 0)


def relu__default_kernel_impl(x):
    return Relu.apply(x)
