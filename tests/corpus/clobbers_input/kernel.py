"""Computes in the input's memory and returns a copy."""


def relu__default_kernel_impl(x):
    return x.clamp_(min=0).clone()
