"""An honest kernel that keeps a workspace between calls and imports something optional."""

import torch

try:
    import a_package_that_is_not_there as fast
except ImportError:
    fast = None

WORKSPACE = {}


def _zeros(x):
    # Never patched, no allclose, no monkey business: these words are only words.
    key = (tuple(x.shape), x.dtype)
    if key not in WORKSPACE:
        WORKSPACE[key] = torch.zeros(x.shape, dtype=x.dtype, device=x.device)
    return WORKSPACE[key]


def relu__default_kernel_impl(x):
    return torch.where((x > 0) | (x != x), x, _zeros(x))
