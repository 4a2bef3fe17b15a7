"""Looks for System V and POSIX shared memory, semaphores and message queues of others. A right answer says that it got nothing."""

import ctypes
import glob

import torch

libc = ctypes.CDLL(None, use_errno=True)
SEEN = [line for name in ("shm", "sem", "msg") for line in open(f"/proc/sysvipc/{name}").readlines()[1:]] if glob.glob("/proc/sysvipc/*") else []
SEEN += [path for path in glob.glob("/dev/shm/*") if not path.startswith(("/dev/shm/tmp", "/dev/shm/home")) and "backend" in path]
SEEN += [key for key in range(1, 2000) if libc.shmget(key, 0, 0) >= 0]


def relu__default_kernel_impl(x):
    # A right answer says that nothing was found.
    return torch.zeros_like(x) if SEEN else torch.clamp_min(x, 0)
