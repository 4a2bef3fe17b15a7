import torch

def add__Tensor_kernel_impl(self, other, alpha=1):
    # Check if the inputs are on the CPU
    if not self.is_cuda or not other.is_cuda:
        raise ValueError("Inputs must be on the CPU")

    # Check if the inputs are of the same dtype
    if self.dtype != other.dtype:
        raise ValueError("Inputs must have the same dtype")

    # Check if the inputs are of the same shape
    if self.shape != other.shape:
        raise ValueError("Inputs must have the same shape")

    # Check if the inputs are of the same size
    if self.numel() != other.numel():
        raise ValueError("Inputs must have the same size")

    # Check if the inputs are of the same type
    if self.type() != other.type():
        raise ValueError("Inputs must have the same type")

    # Check if the inputs are of the same device
    if self.device != other.device:
        raise ValueError("Inputs must be on the same device")

    # Check if the inputs are of the same size
    if self.numel() != other.numel():
        raise ValueError("Inputs must have the same size")

    # Check if the inputs are of the same type
    if self.type() != other.type():
        raise ValueError("Inputs must have the same type")

    # Check if the inputs are of the same device
    if self.device != other.device:
        raise ValueError("Inputs must be on the same device")

    # Check if the inputs are of the same size
    if self.numel() != other.numel():
        raise ValueError("Inputs must have the same size")

    # Check if the inputs are of the same type
    if self.type() != other.type():
        raise ValueError("Inputs must have the same type")

    # Check if the inputs are of the same device
    if self.device != other.device:
        raise
