"""What is declared of one language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from backend_bench.languages.source import Source
from backend_bench.submission import Device, Language


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One language that a kernel may be written in."""

    name: Language
    """What options and records call it."""
    title: str
    """What people call it."""
    mark: str
    """What a file in this language has, as a person would say it: `@triton.jit function`."""
    defines_kernel: Callable[[Source], bool]
    """Whether a file defines a kernel in it."""
    devices: tuple[Device, ...]
    """Where it can run."""
    interpreted_on: tuple[Device, ...] = ()
    """Where it runs in Triton's interpreter, so that values count and times do not."""
    modules: tuple[str, ...] = ()
    """Modules without which no kernel of it can be loaded."""
    install: str = ""
    """How these are had."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that its tools read, set in a worker before the kernel is loaded; `{scratch}` is the worker's folder."""

    def refusal(self, device: Device) -> str:
        """Why it cannot run on that kind of device at all; empty where it can."""
        if device in self.devices:
            return ""
        return "it needs a GPU; judge with --device cuda, on a host that has one"
