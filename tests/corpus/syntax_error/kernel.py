"""Is no Python."""

def relu__default_kernel_impl(x)
    return x
