"""The verifiers door: the taskset, the feedback loop and the chat harness. Only here is it imported.

Loaded on demand, because importing the host takes seconds and `eval.translate` does not need it.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["BackendBenchEnv", "BackendBenchTaskset", "ChatHarness"]

_HOMES = {"BackendBenchEnv": "loop", "BackendBenchTaskset": "taskset", "ChatHarness": "harness"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
