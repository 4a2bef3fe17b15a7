"""Calls sys.exit, which is an exception and not an end."""

import sys


def relu__default_kernel_impl(x):
    sys.exit(0)
