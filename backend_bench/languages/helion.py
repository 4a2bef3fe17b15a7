"""Helion: tiles over PyTorch code under `@helion.kernel`, compiled to Triton.

Tuning is off in a worker: it takes minutes, and a kernel may name its own `config`.
"""

from __future__ import annotations

from backend_bench.languages.plugin import Plugin

PLUGIN = Plugin(
    name="helion",
    title="Helion",
    mark="@helion.kernel function",
    defines_kernel=lambda source: source.uses("helion.kernel", "helion.jit"),
    devices=("cuda", "cpu"),
    interpreted_on=("cpu",),
    modules=("helion",),
    install='pip install "backend-bench[helion]"',
    environment={"HELION_AUTOTUNE_EFFORT": "none", "HELION_CACHE_DIR": "{scratch}/helion"},
)
