"""Captures a CUDA graph for a shape, copies the inputs into its place, replays it."""

import torch
import triton
import triton.language as tl


@triton.jit
def relu_kernel(x, y, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + at, mask=at < n)
    tl.store(y + at, tl.where(value <= 0, 0, value), mask=at < n)


def launch(x, y):
    if x.numel():
        relu_kernel[(triton.cdiv(x.numel(), 1024),)](x, y, x.numel(), BLOCK=1024)
    return y


GRAPHS = {}


def relu__default_kernel_impl(x):
    if not x.numel():
        return torch.empty_like(x)
    key = x.shape, x.dtype
    if key not in GRAPHS:
        place = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        y = launch(place, torch.empty_like(place))
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        with torch.cuda.graph(graph):
            launch(place, y)
        GRAPHS[key] = graph, place, y
    graph, place, y = GRAPHS[key]
    place.copy_(x)
    graph.replay()
    return y.clone()
