"""The device that a judge owns: who may use it when, and what machine it is.

Timing takes the device for itself; everything else shares it. A lease is a lock in this process:
the judge service is the only one that schedules work on a device.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import threading
from collections.abc import Iterator
from typing import Any

import torch

from backend_bench.errors import DeviceUnavailable
from backend_bench.submission import Device


class Lease:
    """Shared by many or held by one. Whoever wants it alone goes before new sharers."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sharers = 0
        self._alone = False
        self._waiting_alone = 0

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """Use the device beside others, for work that is not timed."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone and not self._waiting_alone)
            self._sharers += 1
        try:
            yield
        finally:
            with self._changed:
                self._sharers -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Have the device to oneself, for timing."""
        with self._changed:
            self._waiting_alone += 1
            try:
                self._changed.wait_for(lambda: not self._alone and not self._sharers)
            finally:
                self._waiting_alone -= 1
            self._alone = True
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()


def device_of(name: Device) -> torch.device:
    """The torch device. Raises `DeviceUnavailable` where there is none."""
    if name == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise DeviceUnavailable("no CUDA device on this host; use --device cpu, or a GPU host")
    return torch.device("cuda", torch.cuda.current_device())


def machine_facts() -> dict[str, Any]:
    """What a reader needs to know about the place where times were taken; plain JSON."""
    facts: dict[str, Any] = {
        "torch": str(torch.__version__),
        "triton": _triton_version(),
        "python": platform.python_version(),
        "os": f"{platform.system()} {platform.release()}",
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "devices": ["cpu"],
    }
    if torch.cuda.is_available():
        facts["devices"].append("cuda")
        facts["cuda"] = torch.version.cuda
        facts["gpus"] = [_gpu_facts(index) for index in range(torch.cuda.device_count())]
    return facts


def _gpu_facts(index: int) -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(index)
    return {
        "name": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "memory_bytes": properties.total_memory,
        "multiprocessors": properties.multi_processor_count,
        "uuid": str(getattr(properties, "uuid", "")),
    }


def _triton_version() -> str | None:
    try:
        return importlib.metadata.version("triton")
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_name() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
