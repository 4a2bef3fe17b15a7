"""The memory of a GPU among all who judge on it: the judge's own, where no limit of a worker counts.

What a submission takes follows from its largest case: its values several times over, and again in float64. Most fit beside each
other. Of those with large cases one has its turn at a time; and one that found no memory nevertheless is judged
again when nobody else is there. A caching allocator keeps what it has freed, which is no use to the other processes: after
each submission it is given back. Locks are those of leases, so all services of a host keep to it.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import torch

from backend_bench.judge.blocks import ONE_AT_A_TIME
from backend_bench.leases import FOLDER, Lease, lease_name, turn

log = logging.getLogger(__name__)

PARTS = 400
"""A case is large when its inputs and results take more than this part of a device. Twelve are in hand at once, and a case in half
precision has been seen to take thirty times as much while it is checked."""
KEPT_PARTS = 16
"""A judge keeps this part of a device though nobody uses it: to ask the driver for it again takes milliseconds, in the middle of a
timing perhaps. Four judges keep a quarter."""


class Room:
    """One device's memory; `large_bytes` None: a device whose memory is nobody's concern.

    What is large is told by inputs and results of a single call.
    """

    def __init__(self, name: str, large_bytes: int | None, folder: Path = FOLDER) -> None:
        self._name, self._large_bytes, self._folder = name, large_bytes, folder
        self._turns = Lease(f"{name}.memory", folder)

    @property
    def counts(self) -> bool:
        """Whether anybody has to know how large a case is."""
        return self._large_bytes is not None

    @classmethod
    def of(cls, device: torch.device) -> Room:
        """A GPU's; on a CPU the limits of the workers do."""
        if device.type == "cpu":
            return cls(lease_name(device), None)
        return cls(lease_name(device), torch.cuda.get_device_properties(device).total_memory // PARTS)

    @contextlib.contextmanager
    def beside(self, case_bytes: int) -> Iterator[None]:
        """Judge beside others something whose largest case has inputs and results of so many bytes."""
        if self._large_bytes is None:
            yield
            return
        is_large = case_bytes > self._large_bytes
        with (
            turn(f"{self._name}.large", self._folder) if is_large else contextlib.nullcontext(),
            self._turns.shared(),
        ):
            try:
                yield
            finally:
                release_cache()

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
                release_cache()

    def is_tight(self) -> bool:
        """Whether others hold most of the device at this moment; whoever filled it alone is dead by now."""
        if self._large_bytes is None:
            return False
        free, total = torch.cuda.mem_get_info()
        return free < total // 2


ROUND_OF_MUCH = threading.Lock()
"""For a round of timed cases that holds much of a GPU's memory: one at a time in this process."""


def release_cache() -> None:
    """Let the driver have what torch keeps and nobody uses, if it is much; not in the middle of a timed block."""
    if not torch.cuda.is_initialized():
        return
    unused = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    if unused > torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory // KEPT_PARTS:
        try:
            with ONE_AT_A_TIME:
                torch.cuda.empty_cache()
        except RuntimeError:  # a broken context: the process ends for that elsewhere
            log.exception("memory could not be given back")
