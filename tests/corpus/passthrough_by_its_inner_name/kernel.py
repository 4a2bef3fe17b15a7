"""The operator under test by the name that ATen has for its inside."""

import torch


def convolution__default_kernel_impl(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
    return torch.ops.aten._convolution(
        input, weight, bias, stride, padding, dilation, transposed, output_padding, groups, False, False, True, True
    )
