"""An honest kernel: buffers in a weak dictionary, an atexit handler, a finalizer."""

import atexit
import gc
import weakref

import torch

BUFFERS = weakref.WeakValueDictionary()
atexit.register(BUFFERS.clear)


def relu__default_kernel_impl(x):
    y = torch.empty_like(x)
    BUFFERS[y.data_ptr()] = y
    weakref.finalize(y, int)
    gc.collect(0)
    torch.clamp_min(x, 0, out=y)
    return y
