"""The operator under test in a scripted module."""

import torch

COMPUTE = torch.jit.script(torch.nn.ReLU())


def relu__default_kernel_impl(x):
    return COMPUTE(x)
