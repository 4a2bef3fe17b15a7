"""The kernel is an object that counts its calls, talks, warns, and says good-bye at the end."""

import atexit
import sys
import warnings

import torch


class Relu:
    def __init__(self):
        self.calls = 0
        atexit.register(self.report)

    def report(self):
        print(f"{self.calls} calls", file=sys.stderr)

    def __call__(self, x):
        self.calls += 1
        print("call", self.calls, "[bold red]{not a format}[/]")
        warnings.warn("a slow path", stacklevel=2)
        return torch.clamp_min(x, 0)


relu__default_kernel_impl = Relu()
