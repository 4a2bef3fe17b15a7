"""Takes memory until it is refused."""

import torch


def relu__default_kernel_impl(x):
    kept = []
    while True:
        kept.append(torch.ones(1 << 28))
