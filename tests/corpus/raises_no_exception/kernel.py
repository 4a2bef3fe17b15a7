"""Raises what `except Exception` does not catch and what cannot be printed: the fork must not return."""


class Odd(BaseException):
    def __repr__(self):
        raise self

    __str__ = __repr__


def relu__default_kernel_impl(x):
    raise Odd
