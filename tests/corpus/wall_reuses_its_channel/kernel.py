"""Aims the socket that it was given at somebody else: connect, bind, listen, sendto with an address. A right answer says that it got nothing."""

import contextlib
import os
import socket
import stat

import torch

SEEN = []
for fd in range(3, 64):
    with contextlib.suppress(OSError):
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            continue
        own = socket.socket(fileno=os.dup(fd))
        for attempt in (
            lambda: own.connect("\0backend-bench"),
            lambda: own.bind("\0backend-bench"),
            lambda: own.listen(),
            lambda: own.sendto(b"x", "/tmp/backend-bench-0/service.sock"),
        ):
            with contextlib.suppress(OSError, TypeError):
                attempt()
                SEEN.append(attempt)
        own.detach()


def relu__default_kernel_impl(x):
    # A right answer says that nothing was found.
    return torch.zeros_like(x) if SEEN else torch.clamp_min(x, 0)
