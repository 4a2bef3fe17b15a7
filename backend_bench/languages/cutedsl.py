"""CuTe DSL: CUTLASS's layouts and copies in Python, under `@cute.kernel` and `@cute.jit`."""

from __future__ import annotations

from backend_bench.languages.plugin import Plugin

PLUGIN = Plugin(
    name="cutedsl",
    title="the CuTe DSL",
    mark="@cute.kernel function",
    defines_kernel=lambda source: source.uses("cutlass.cute.kernel"),
    devices=("cuda",),
    modules=("cutlass.cute",),
    install='pip install "backend-bench[cutedsl]"',
    environment={"CUTE_DSL_CACHE_DIR": "{scratch}/cutedsl"},
)
