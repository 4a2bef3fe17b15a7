"""Triton: kernels are Python functions under `@triton.jit`. Without a GPU its interpreter runs them."""

from __future__ import annotations

from backend_bench.languages.plugin import Plugin

PLUGIN = Plugin(
    name="triton",
    title="Triton",
    mark="@triton.jit function",
    defines_kernel=lambda source: source.uses(
        "triton.jit", "triton.autotune", "triton.heuristics", "triton.experimental.gluon.jit"
    ),
    devices=("cuda", "cpu"),
    interpreted_on=("cpu",),
    modules=("triton",),
    install='pip install "backend-bench[interpreter]" on a host without a GPU; torch for CUDA brings it along',
)
