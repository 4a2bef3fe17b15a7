"""The memory of a GPU among all who judge on it: the judge's own, where no limit of a worker counts.

What a submission takes follows from its largest case: its values several times over, and again in float64. Most fit beside each
other. Of those with large cases one has its turn at a time; and one that found no memory nevertheless is judged
again when nobody else is there. A caching allocator keeps what it has freed, which is no use to the other processes: after
each submission it is given back. Locks are those of leases, so all services of a host keep to it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch

from backend_bench.judge.blocks import ONE_AT_A_TIME
from backend_bench.judge.devices import lease_name
from backend_bench.judge.leases import FOLDER, Lease

PARTS = 512
"""A case is large when its inputs take more than this part of a device. Twelve are in hand at once, and a case in half precision has
been seen to take forty times its inputs while it is checked."""
KEPT_PARTS = 32
"""A judge keeps this part of a device though nobody uses it: to ask the driver for it again takes milliseconds, in the middle of a
timing perhaps."""


class Room:
    """One device's memory; `large_bytes` None: a device whose memory is nobody's concern."""

    def __init__(self, name: str, large_bytes: int | None, folder: Path = FOLDER) -> None:
        self._large_bytes = large_bytes
        self._turns = Lease(f"{name}.memory", folder)
        self._large = Lease(f"{name}.large", folder)

    @classmethod
    def of(cls, device: torch.device) -> Room:
        """A GPU's; on a CPU the limits of the workers do."""
        if device.type == "cpu":
            return cls(lease_name(device), None)
        return cls(lease_name(device), torch.cuda.get_device_properties(device).total_memory // PARTS)

    @contextlib.contextmanager
    def beside(self, case_bytes: int) -> Iterator[None]:
        """Judge beside others something whose largest case has inputs of so many bytes."""
        if self._large_bytes is None:
            yield
            return
        turn = self._large.alone() if case_bytes > self._large_bytes else contextlib.nullcontext()
        with turn, self._turns.shared():
            try:
                yield
            finally:
                give_back()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Judge while nobody else does."""
        if self._large_bytes is None:
            yield
            return
        with self._turns.alone():
            try:
                yield
            finally:
                give_back()


def give_back() -> None:
    """Let the driver have what torch keeps and nobody uses, if it is much; not in the middle of a timed block."""
    if not torch.cuda.is_initialized():
        return
    unused = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    if unused > torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory // KEPT_PARTS:
        with ONE_AT_A_TIME:
            torch.cuda.empty_cache()
