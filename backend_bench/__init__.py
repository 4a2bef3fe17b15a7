"""backend-bench: how well does a language model write GPU kernels for PyTorch operators?

Importing this package costs nothing: what it exports is loaded when it is first asked for.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

# The host looks at every name in it, so `install` is not there: it needs torch, which a client does not have.
__all__ = ["BackendBenchEnv", "BackendBenchTaskset", "ChatHarness"]


def __getattr__(name: str) -> Any:
    if name == "install":
        from backend_bench.backend import install

        return install
    if name in __all__:
        from backend_bench import environment

        return getattr(environment, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
