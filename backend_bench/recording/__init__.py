"""Which operators a model calls: run one on tensors without memory, and write down every call.

A model is built from its configuration, never from weights; its tensors have shapes and no values (FakeTensor), so
that one of 70 billion parameters runs on a laptop. A step of it (prefill, decode, training, …) is run once, and each
distinct call becomes a row: operator, arguments as text, how often, which model, in which phase. No value is
recorded, nothing is timed, and nothing is fetched from a network.

    manifest → library (model and inputs) → steps (forward, backward, update) → recorder → table (parquet)
"""
