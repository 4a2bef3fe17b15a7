"""An honest kernel: context managers of its own around the work, and suppressed exceptions."""

import contextlib
import warnings

import torch


@contextlib.contextmanager
def quietly():
    with warnings.catch_warnings(), contextlib.suppress(StopIteration):
        warnings.simplefilter("ignore")
        yield


def _softmax__default_kernel_impl(x, dim, half_to_float):
    with contextlib.ExitStack() as stack:
        stack.enter_context(quietly())
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        if not x.numel():
            return torch.empty_like(wide if half_to_float else x)
        powers = torch.exp(wide - wide.amax(dim, keepdim=True))
        result = powers / powers.sum(dim, keepdim=True)
    return result if half_to_float else result.to(x.dtype)
