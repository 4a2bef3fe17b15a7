"""Times one call with the worker's own clock. A raw sample, no opinion: the judge has a clock too."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import torch

FLUSH_BYTES = 256 << 20
"""Written before each call on a GPU: clears the L2 cache (50 MB on an H100)."""
RUNWAY_CYCLES = 800_000
"""The device waits so long before that, about 0.5 ms, so that the host has launched the kernel by the
time the device gets there: the events enclose the kernel and not its launch. A Triton wrapper with a
few allocations was seen to need more than the 0.1 ms that the flush alone takes."""


class Stopwatch(Protocol):
    """Calls once and says how long it took."""

    def time(self, call: Callable[[], Any]) -> tuple[Any, float]:
        """The call's result, and its time in microseconds."""
        ...


class CpuStopwatch:
    """Wall clock."""

    def time(self, call: Callable[[], Any]) -> tuple[Any, float]:
        start = time.perf_counter_ns()
        result = call()
        return result, (time.perf_counter_ns() - start) / 1e3


class CudaStopwatch:
    """CUDA events on the current stream, behind a runway and a flush of the cache."""

    def __init__(self, device: torch.device) -> None:
        self._flush = torch.empty(FLUSH_BYTES // 4, dtype=torch.int32, device=device)
        self._start = torch.cuda.Event(enable_timing=True)
        self._stop = torch.cuda.Event(enable_timing=True)

    def time(self, call: Callable[[], Any]) -> tuple[Any, float]:
        torch.cuda._sleep(RUNWAY_CYCLES)
        self._flush.zero_()
        self._start.record()
        result = call()
        self._stop.record()
        torch.cuda.synchronize()
        return result, self._start.elapsed_time(self._stop) * 1e3


def stopwatch(device: torch.device) -> Stopwatch:
    """The stopwatch of a device."""
    return CudaStopwatch(device) if device.type == "cuda" else CpuStopwatch()
