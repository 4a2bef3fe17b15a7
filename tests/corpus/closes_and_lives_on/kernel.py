"""Closes every descriptor and lives on."""

import os
import time


def relu__default_kernel_impl(x):
    os.closerange(3, 1000)
    time.sleep(60)
