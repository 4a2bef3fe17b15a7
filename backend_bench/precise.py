"""Torch's own switches for less precise products, turned off for a while.

They belong to the process and not to a thread: who turns them off first remembers how they stood, who leaves last puts
them back.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import torch

_SWITCHES = (
    "allow_tf32",
    "allow_bf16_reduced_precision_reduction",
    "allow_fp16_reduced_precision_reduction",
)
_lock = threading.Lock()
_inside = 0
_before = contextlib.ExitStack()


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """No TF32 and no short accumulators meanwhile, on any thread of this process."""
    global _inside
    with _lock:
        if _inside == 0:
            _turn_off()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _before.close()


def _turn_off() -> None:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    for name in _SWITCHES:
        _before.callback(setattr, matmul, name, getattr(matmul, name))
        setattr(matmul, name, False)
    # cudnn's own attributes cannot be set once torch's test tools were imported; its context can.
    quiet = cudnn.flags(
        enabled=cudnn.enabled, benchmark=cudnn.benchmark, deterministic=cudnn.deterministic, allow_tf32=False
    )
    _before.enter_context(quiet)
