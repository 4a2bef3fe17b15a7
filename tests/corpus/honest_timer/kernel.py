"""Times two ways on the first call of a shape and keeps the better one; it reads clocks and sets none."""

import time

import torch

BEST = {}


def ways(x):
    yield lambda: torch.clamp_min(x, 0)
    yield lambda: torch.nn.functional.threshold(x, 0, 0)


def took(way):
    start = time.perf_counter_ns()
    way()
    return time.perf_counter_ns() - start


def relu__default_kernel_impl(x):
    choices = list(ways(x))
    if x.shape not in BEST:
        BEST[x.shape] = min(range(len(choices)), key=lambda number: took(choices[number]))
    return choices[BEST[x.shape]]()
