"""Times calls with the worker's own clock. A raw sample, no opinion: the judge has a clock too."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from backend_bench.gate import Gate, Word


def on_cpu(call: Callable[[], Any]) -> tuple[Any, float]:
    """The call's result, and its wall time in microseconds."""
    start = time.perf_counter_ns()
    result = call()
    return result, (time.perf_counter_ns() - start) / 1e3


class Course:
    """Queues the calls of a block behind the judge's gate, on a GPU.

    The device stands still until the judge opens the gate, so that all launches are in its queue by
    then: the events enclose the kernels and not their launching.
    """

    def __init__(self, gate: Gate, turn: int) -> None:
        self._gate, self._turn = gate, turn
        self._stream = torch.cuda.current_stream()
        self._laps: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
        self._over = torch.cuda.Event()

    def queue(self, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        """What the calls return; the device may not have begun with them."""
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        if self._laps:
            self._gate.write(Word.PASSED, self._turn, self._stream)
            self._turn += 1
        self._gate.wait(Word.OPEN, self._turn, self._stream)
        start.record()
        results = [call() for call in calls]
        stop.record()
        self._laps.append((start, stop))
        return results

    def begin(self) -> None:
        """Let the judge begin: all is queued."""
        self._gate.write(Word.PASSED, self._turn, self._stream)
        self._over.record(self._stream)
        self._gate.say(Word.ENQUEUED, self._turn)

    def is_over(self) -> bool:
        """Whether the stream has passed the end. Raises what went wrong on the device."""
        return bool(self._over.query())

    def elapsed_us(self) -> float:
        """Wait for the end; the time of all calls in microseconds."""
        self._over.synchronize()
        return float(sum(start.elapsed_time(stop) for start, stop in self._laps)) * 1e3
