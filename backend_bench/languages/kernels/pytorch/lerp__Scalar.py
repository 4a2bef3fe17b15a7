import torch


def lerp__Scalar_kernel_impl(self, end, weight):
    if weight < 0.5:
        return self + weight * (end - self)
    return end - (end - self) * (1 - weight)
