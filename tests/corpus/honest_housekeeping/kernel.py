"""Collects garbage, looks at its tensors, sets threads and precision, and starts a process that it waits for."""

import gc
import os

import torch

torch.set_num_threads(1)
torch.set_float32_matmul_precision("highest")
gc.disable()

child = os.fork()
if child == 0:
    os._exit(0)
os.waitpid(child, 0)


def relu__default_kernel_impl(x):
    if x.dim() == 1:
        gc.collect(0)
    return torch.clamp_min(x, 0)
