"""A thread goes on writing to the result after the call, wrong and right in turn."""

import threading

import torch


def flicker(y, right):
    for _ in range(2000):
        y.zero_()
        y.copy_(right)


def relu__default_kernel_impl(x):
    y = torch.clamp_min(x, 0)
    threading.Thread(target=flicker, args=(y, y.clone()), daemon=True).start()
    return y
