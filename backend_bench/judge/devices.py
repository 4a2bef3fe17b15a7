"""The devices of this host: which there are, by what name a lease knows them, and what machine it is."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
from typing import Any

import torch

from backend_bench.errors import DeviceUnavailable
from backend_bench.submission import Device

CORES_OF_A_JUDGE = 3
MEMORY_OF_A_JUDGE = 20 << 30
MOST_JUDGES = 4
"""Beyond that the device is what they wait for."""


def devices_of(name: Device) -> tuple[torch.device, ...]:
    """The torch devices of a kind, each with its index. Raises `DeviceUnavailable` where there is none."""
    if name == "cpu":
        return (torch.device("cpu"),)
    if not torch.cuda.is_available():
        raise DeviceUnavailable("no CUDA device on this host; use --device cpu, or a GPU host")
    return tuple(torch.device("cuda", index) for index in range(torch.cuda.device_count()))


def judges_of(device: torch.device, devices: int, cores: int) -> int:
    """How many processes of judges fit: the interpreter's lock lets each do one thing at a time.

    A judge and its workers hold some gigabytes of a GPU, and keep three cores busy with compiling and drawing;
    `cores` are those of all `devices`.
    """
    fit = max(cores // devices // CORES_OF_A_JUDGE, 1)
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
        fit = min(fit, max(memory // MEMORY_OF_A_JUDGE, 1))
    return min(fit, MOST_JUDGES)


def is_broken(device: torch.device) -> bool:
    """Whether this process's context on it is gone for good, as after an index out of bounds: every call fails then.

    Makes no context and waits for nothing.
    """
    if device.type == "cpu" or not torch.cuda.is_initialized():
        return False
    try:
        torch.cuda.current_stream(device).query()
    except RuntimeError:
        return True
    return False


def machine_facts() -> dict[str, Any]:
    """What a reader needs to know about the place where times were taken; plain JSON."""
    facts: dict[str, Any] = {
        "torch": str(torch.__version__),
        "triton": _triton_version(),
        "python": platform.python_version(),
        "os": f"{platform.system()} {platform.release()}",
        "cpu": _cpu_name(),
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
        "bandwidth_gb_per_s": _bandwidth_gb_per_s(properties),
        "l2_bytes": getattr(properties, "L2_cache_size", None),
        "shared_memory_per_block_bytes": getattr(properties, "shared_memory_per_block_optin", None),
        "registers_per_multiprocessor": getattr(properties, "regs_per_multiprocessor", None),
    }


def _bandwidth_gb_per_s(properties: Any) -> float | None:
    """What the memory's clock and width come to, two bits a cycle and wire; None where the driver tells neither."""
    clock_khz = getattr(properties, "memory_clock_rate", 0)
    width_bits = getattr(properties, "memory_bus_width", 0)
    return 2 * clock_khz * 1e3 * width_bits / 8 / 1e9 or None


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
