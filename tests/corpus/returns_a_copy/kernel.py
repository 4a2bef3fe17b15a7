"""Works in place and returns a copy, so a caller who goes on with the result writes to another tensor."""


def add___Tensor_kernel_impl(x, other, alpha=1):
    return x.sub_(other, alpha=-alpha).clone()
