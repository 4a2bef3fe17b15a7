"""Which torch operators a kernel of a kernel language may call: those that make or move memory and compute nothing."""

from __future__ import annotations

from collections.abc import Mapping

_ALLOCATION = """
    empty empty_like empty_strided empty_permuted new_empty new_empty_strided zeros zeros_like new_zeros zero_
    ones ones_like new_ones full full_like new_full fill fill_ arange scalar_tensor lift lift_fresh
    lift_fresh_copy
"""
_VIEWS = """
    view _unsafe_view reshape _reshape_alias as_strided as_strided_ expand expand_as broadcast_to permute
    transpose transpose_ t t_ squeeze squeeze_ unsqueeze unsqueeze_ select slice split split_with_sizes chunk
    unbind narrow unfold diagonal movedim swapaxes flatten unflatten alias detach view_as view_as_real
    view_as_complex real imag _conj _neg_view
"""
_COPIES = "clone copy copy_ _to_copy to contiguous resolve_conj resolve_neg resize_ set_ record_stream"
_QUERIES = """
    _local_scalar_dense item size stride numel dim is_contiguous storage_offset sym_size sym_numel
    sym_stride result_type promote_types can_cast is_same_size is_nonzero
"""
GROUPS: Mapping[str, tuple[str, ...]] = {
    "allocation and constants": tuple(_ALLOCATION.split()),
    "views": tuple(_VIEWS.split()),
    "copies and casts": tuple(_COPIES.split()),
    "queries": tuple(_QUERIES.split()),
}
"""By what they do; names as ATen has them, without the overload."""

ALLOWED = frozenset(name for names in GROUPS.values() for name in names)
"""All of them."""
