"""An honest kernel: decorators that count, retry and keep the name."""

import functools
from collections import Counter

CALLS = Counter()


def counted(function):
    @functools.wraps(function)
    def call(*args, **kwargs):
        CALLS[function.__name__] += 1
        return function(*args, **kwargs)

    return call


def retried(times):
    def wrap(function):
        @functools.wraps(function)
        def call(*args, **kwargs):
            for _ in range(times):
                return function(*args, **kwargs)

        return call

    return wrap


@retried(3)
@counted
def add___Tensor_kernel_impl(x, other, *, alpha=1):
    return x.sub_(other, alpha=-alpha)
