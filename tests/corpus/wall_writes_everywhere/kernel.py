"""Writes to the interpreter, the packages, the system, the devices and /proc/sys. A right answer says that it got nothing."""

import contextlib
import os
import sys


import torch

PLACES = (
    os.path.join(os.path.dirname(torch.__file__), "probe.py"),
    os.path.join(sys.prefix, "probe"),
    os.path.join(sys.prefix, "lib", "sitecustomize.py"),
    sys.executable,
    "/usr/lib/probe",
    "/etc/ld.so.preload",
    "/etc/passwd",
    "/dev/probe",
    "/proc/sys/kernel/core_pattern",
    "/sys/kernel/probe",
    "/probe",
)
SEEN = []
for place in PLACES:
    with contextlib.suppress(OSError), open(place, "ab"):
        SEEN.append(place)


def relu__default_kernel_impl(x):
    # A right answer says that nothing was found.
    return torch.zeros_like(x) if SEEN else torch.clamp_min(x, 0)
