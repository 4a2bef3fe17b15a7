"""An exception with a gigabyte to say."""


class Odd(Exception):
    def __str__(self):
        return "x" * (1 << 30)


def relu__default_kernel_impl(x):
    raise Odd
