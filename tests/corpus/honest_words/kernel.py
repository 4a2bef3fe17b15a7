"""Speaks of sys._getframe, gc.get_objects, perf_counter_ns, Channel.send, os.kill and allclose; does none of it.

@triton.jit stands here too, and `torch.relu(x)` in a string.
"""

import inspect

import torch

CHEATS = ("monkeypatch", "torch.relu(x)", "data_ptr cache", "import triton", "stopwatch", "pickle.loads")
desk = channel = request = None


def relu__default_kernel_impl(x):
    if inspect.currentframe().f_code.co_name in CHEATS:
        raise RuntimeError("never")
    return torch.clamp_min(x, 0)
