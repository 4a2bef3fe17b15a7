"""Never returns from the call."""


def relu__default_kernel_impl(x):
    while True:
        pass
