"""What a device can do at most: no honest call is faster than its memory traffic and its arithmetic allow.

Bandwidth and matrix rate are measured on the device itself by each judge, the best that was ever seen on this host counts
(a busy or warm device may fall short of it), and a floor takes a tenth off. Counted is only what
every implementation must do: read the floating inputs of a pointwise operator, whose values nobody knows, and multiply the
matrices of a product. Anything else has no floor here: convolutions have short cuts, masks spare work.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from backend_bench.cases import Call
from backend_bench.files import keep
from backend_bench.grading.inputs import storage_of, tensors_of
from backend_bench.suites import index_cache

MARGIN = 1.1
"""A floor is so much below what was measured."""
_BETTER = 0.99
"""What is quicker by less is as quick."""
_COPY_BYTES = 1 << 30
_SIDE = 8192
"""Of the square matrices whose product is timed."""
_STEADY_S, _MOST_S = 0.05, 2.0
"""Until it has got no quicker for so long, and no longer than that: a GPU that was idle has been seen to begin at half its rate."""
_PRODUCTS = frozenset({"mm", "addmm", "bmm", "baddbmm"})
_UNREAD = frozenset({"fill", "copy", "zero"})
"""Pointwise operators that need not read what they are given."""


@dataclass(frozen=True, slots=True)
class Peaks:
    """What one device has been seen to do."""

    bytes_per_us: float = math.inf
    """Read and written together."""
    flops_per_us: float = math.inf
    """Of bfloat16 matrices, the quickest there are: wider ones can be put together from them."""

    def with_better(self, other: Peaks) -> Peaks:
        """The higher of both, one by one."""
        return Peaks(max(self.bytes_per_us, other.bytes_per_us), max(self.flops_per_us, other.flops_per_us))

    def floor_us(self, overload: torch._ops.OpOverload, call: Call) -> float:
        """Time in microseconds that no implementation of this call stays below; 0 where nothing is known."""
        base = overload.overloadpacket.__name__.rstrip("_")
        if base in _PRODUCTS:
            return self._work_us(overload, call) / MARGIN
        if torch.Tag.pointwise in overload.tags and base not in _UNREAD and not base.endswith("_like"):
            return self._traffic_us(overload, call) / MARGIN
        return 0.0

    def _traffic_us(self, overload: torch._ops.OpOverload, call: Call) -> float:
        read = {storage_of(tensor): tensor for tensor in tensors_of(call) if _must_be_read(tensor)}
        nbytes: int = sum(tensor.untyped_storage().nbytes() for tensor in read.values())
        return nbytes / self.bytes_per_us

    def _work_us(self, overload: torch._ops.OpOverload, call: Call) -> float:
        args, kwargs = tree_map_only(torch.Tensor, _on_meta, (tuple(call.args), dict(call.kwargs)))
        with FlopCounterMode(display=False) as counter:
            overload(*args, **kwargs)
        return float(counter.get_total_flops()) / self.flops_per_us


def _on_meta(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to("meta")


def _must_be_read(tensor: torch.Tensor) -> bool:
    """It has values that matter, and every byte of its storage is one of its elements."""
    matters = tensor.is_floating_point() or tensor.is_complex()
    return matters and tensor.numel() * tensor.element_size() == tensor.untyped_storage().nbytes()


def best(device: torch.device) -> Peaks:
    """The device's peaks, measured now and held against those of before; have it to yourself. None are known of a CPU."""
    if device.type != "cuda":
        return Peaks()
    now, path = _measured(device), _place(device)
    seen = _read(path)
    found = seen.with_better(now) if seen else now
    if found != seen:
        keep(path, msgspec.json.encode(found))
    return found


def _place(device: torch.device) -> Path:
    uuid = torch.cuda.get_device_properties(device).uuid
    return index_cache.folder() / "peaks" / f"{uuid}.json"


def _read(path: Path) -> Peaks | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Peaks)
    except (OSError, msgspec.DecodeError):
        return None


def _measured(device: torch.device) -> Peaks:
    one = torch.empty(_COPY_BYTES, dtype=torch.uint8, device=device)
    other = torch.empty_like(one)
    bandwidth = 2 * _COPY_BYTES / _quickest_us(lambda: other.copy_(one))
    # Zeros: the device's clock stays highest, and no data can be quicker.
    square = torch.zeros(_SIDE, _SIDE, dtype=torch.bfloat16, device=device)
    out = torch.empty_like(square)
    return Peaks(bandwidth, 2.0 * _SIDE**3 / _quickest_us(lambda: torch.mm(square, square, out=out)))


def _quickest_us(work: Callable[[], object]) -> float:
    quickest = math.inf
    begun = better = time.monotonic()
    while time.monotonic() < min(better + _STEADY_S, begun + _MOST_S):
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        work()
        stop.record()
        stop.synchronize()
        took = start.elapsed_time(stop) * 1e3
        if took < quickest * _BETTER:
            better = time.monotonic()
        quickest = min(quickest, took)
    return quickest
