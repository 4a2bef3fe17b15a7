"""PyTorch: other operators put together. For learning and for a CPU, not for training rewards."""

from __future__ import annotations

from backend_bench.languages.plugin import Plugin

PLUGIN = Plugin(
    name="pytorch",
    title="PyTorch",
    mark="PyTorch code",
    defines_kernel=lambda source: False,  # what has no kernel of another language is PyTorch
    devices=("cuda", "cpu"),
)
