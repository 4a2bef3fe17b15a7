"""Operators that are not tested, and why: one table, and what torch's own schemas and tags say.

An operator that is excluded stays in the index, without cases and with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from backend_bench.operator import Operator

RANDOM = "random: its results cannot be compared"
VIEW = "a view: it returns the same memory under another shape and computes nothing"
METADATA = "metadata: it changes the tensor's shape in place and computes nothing"
HOST = "host-only: its result is not a tensor"
UNINITIALISED = "uninitialised: its result holds whatever was in the memory before"
SPARSE = "sparse: its tensors have no strides, so a case cannot be drawn"
PARTLY = "partly uninitialised: some elements of its results are never written"
UNSTABLE = "not drawable: its arguments are sparse, or of another shape with every seed"
AMBIGUOUS = "ambiguous: its result is fixed only up to sign, phase or order"

EXCLUDED: Mapping[str, str] = {
    "empty": UNINITIALISED,
    "empty_like": UNINITIALISED,
    "empty_permuted": UNINITIALISED,
    "empty_strided": UNINITIALISED,
    "new_empty": UNINITIALISED,
    "new_empty_strided": UNINITIALISED,
    "resize_": UNINITIALISED,
    "resize_as_": UNINITIALISED,
    "_ctc_loss": PARTLY,
    "linalg_lstsq": PARTLY,
    "_linalg_eigh": AMBIGUOUS,
    "_linalg_svd": AMBIGUOUS,
    "linalg_svd": AMBIGUOUS,
    "svd": AMBIGUOUS,
    "linalg_eig": AMBIGUOUS,
    "geqrf": AMBIGUOUS,
    "linalg_qr": AMBIGUOUS,
    "_unsafe_view": VIEW,  # which its schema does not say
}
"""By the operator's base name, for all overloads."""

DROPPING = frozenset(
    f"_scaled_dot_product_{kernel}_attention{pass_}"
    for kernel in ("flash", "efficient", "cudnn")
    for pass_ in ("", "_backward", "_for_cpu", "_for_cpu_backward")
)
"""Random only where they drop something: a recorded call with `dropout_p` 0 has one answer."""

_SPARSE_PREFIXES = ("_sparse", "sparse_", "_to_sparse", "_coalesce", "_nested")


def reason(op: Operator, overload: torch._ops.OpOverload) -> str:
    """Why the operator is not tested, in one sentence; empty where it is."""
    if op.base in EXCLUDED:
        return EXCLUDED[op.base]
    if op.base.startswith(_SPARSE_PREFIXES):
        return SPARSE
    if torch.Tag.nondeterministic_seeded in overload.tags:
        return RANDOM
    if torch.Tag.inplace_view in overload.tags:
        return METADATA
    returns = overload._schema.returns
    if not any("Tensor" in str(value.type) for value in returns):
        return HOST
    if any(value.alias_info is not None and not value.alias_info.is_write for value in returns):
        return VIEW
    return ""
