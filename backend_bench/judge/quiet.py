"""Whether anybody else has a GPU do something: contexts take turns on it, so a row of small pieces of our own takes longer beside others.

What a stopped process has given a GPU goes on there, and the driver tells nobody else of it.
"""

from __future__ import annotations

import functools
import math
import time

import torch

from backend_bench.judge.blocks import flush_of, stream_of
from backend_bench.leases import lease_name, turn

ROW_S = 0.004
"""A row takes longer than a context has the device for when others want it, too: it is interrupted then."""
LONGER = 1.3
"""By so much it may take longer than its pieces do by themselves."""
LIMIT_S = 0.2
"""After so long somebody is at a long piece of work."""
_ALONE = 10
"""Pieces that are timed one by one: the quickest was not interrupted."""


class Quiet:
    """Looks at one device. A piece writes as much as the judge's flush."""

    def __init__(self, device: torch.device) -> None:
        self._name = f"{lease_name(device)}-quiet"
        self._flush, self._stream = flush_of(device), stream_of(device)
        self._piece_ms = math.inf

    def comes(self, limit_s: float = LIMIT_S) -> bool:
        """Wait until the device does nothing for others, at most so long; whether that came."""
        until = time.monotonic() + limit_s
        with turn(self._name):  # two who look see each other
            while not self._is_quiet():
                if time.monotonic() > until:
                    return False
        return True

    def _is_quiet(self) -> bool:
        if math.isinf(self._piece_ms):
            self._piece_ms = min(self._row_ms(1) for _ in range(_ALONE))
        pieces = max(math.ceil(ROW_S * 1e3 / self._piece_ms), 1)
        took_ms = self._row_ms(pieces)
        self._piece_ms = min(self._piece_ms, took_ms / pieces)
        return took_ms <= LONGER * pieces * self._piece_ms

    def _row_ms(self, pieces: int) -> float:
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        with torch.cuda.stream(self._stream):
            began.record()
            for _ in range(pieces):
                self._flush.zero_()
            ended.record()
        ended.synchronize()
        return float(began.elapsed_time(ended))


@functools.cache
def quiet(device: torch.device) -> Quiet:
    """The one of this process for a device; its numbers get better with time."""
    return Quiet(device)
