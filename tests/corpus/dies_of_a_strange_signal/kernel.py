"""Dies of a signal for which Python has no name."""

import os


def relu__default_kernel_impl(x):
    os.kill(os.getpid(), 40)
