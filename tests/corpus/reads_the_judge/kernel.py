"""Reads the judge's sources, the parent's memory and other processes; a right answer shows that it saw nothing."""

import glob
import os

import torch


def relu__default_kernel_impl(x):
    import backend_bench.worker

    package = os.path.dirname(os.path.dirname(backend_bench.worker.__file__))
    seen = glob.glob(os.path.join(package, "judge", "*")) + glob.glob(os.path.join(package, "grading", "*"))
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) > 1 and int(pid) != os.getpid():
            seen.append(pid)
    if seen:
        return torch.zeros_like(x)
    return torch.where(x > 0, x, torch.where(x != x, x, torch.zeros_like(x)))
