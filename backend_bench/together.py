"""torch's copies of many tensors at once: one operator, and on a GPU one kernel, where there would be as many as tensors."""

from __future__ import annotations

import torch

DTYPES = frozenset(
    (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16,
     torch.float32, torch.float64, torch.complex64, torch.complex128)
)  # fmt: skip
"""Those that `torch._foreach_copy_` takes on every device; of wider unsigned ones it has none on a GPU."""
