"""Reads address zero."""

import ctypes


def relu__default_kernel_impl(x):
    ctypes.string_at(0)
