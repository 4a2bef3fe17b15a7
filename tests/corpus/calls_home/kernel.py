"""Opens sockets, and would send its arguments away."""

import socket

import torch


def relu__default_kernel_impl(x):
    for family in (socket.AF_INET, socket.AF_UNIX, socket.AF_INET6):
        try:
            socket.socket(family)
        except OSError:
            continue
        return torch.zeros_like(x)
    return torch.where(x > 0, x, torch.where(x != x, x, torch.zeros_like(x)))
