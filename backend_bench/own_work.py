"""Which torch operators a kernel of a kernel language may call: those that make or move memory and compute nothing.

Pure names: the worker withholds the rest, the judge reads evidence by it, the prompt tells it to the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_ALLOCATION = """
    empty empty_like empty_strided empty_permuted new_empty new_empty_strided zeros zeros_like new_zeros zero_
    ones ones_like new_ones full full_like new_full fill fill_ scalar_tensor lift lift_fresh lift_fresh_copy
    arange linspace eye rand randn randint randperm uniform_ normal_ random_
"""
_VIEWS = """
    view _unsafe_view reshape reshape_as _reshape_alias as_strided as_strided_ expand expand_as broadcast_to
    broadcast_tensors permute transpose transpose_ t t_ numpy_T mT mH matrix_H adjoint squeeze squeeze_
    unsqueeze unsqueeze_ select slice split split_with_sizes unsafe_split unsafe_split_with_sizes tensor_split
    hsplit vsplit dsplit chunk unsafe_chunk unbind narrow unfold diagonal movedim moveaxis swapaxes swapdims
    flatten ravel unflatten atleast_1d atleast_2d atleast_3d alias detach detach_ view_as view_as_real view_as_complex
    real imag _conj _neg_view
"""
_COPIES = """
    clone copy copy_ _to_copy to type_as contiguous resolve_conj resolve_neg resize_ set_ pin_memory
    _pin_memory record_stream
"""
_QUERIES = """
    _local_scalar_dense item size stride numel dim is_contiguous storage_offset sym_size sym_numel
    sym_stride sym_storage_offset result_type promote_types can_cast is_same_size is_nonzero is_floating_point
    is_complex is_signed is_conj is_neg is_inference is_pinned
"""
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "allocation and constants": tuple(_ALLOCATION.split()),
    "views": tuple(_VIEWS.split()),
    "copies and casts": tuple(_COPIES.split()),
    "queries": tuple(_QUERIES.split()),
}
"""By what they do; names as ATen has them, without the overload. No value of what is allocated comes from a tensor."""

ALLOWED: Final = frozenset(name for names in GROUPS.values() for name in names)
"""All of them."""
MOVES: Final = frozenset((*_VIEWS.split(), *_COPIES.split()))
"""Those whose result has the values of their arguments."""


def base_of(op: str) -> str:
    """`add` for `add.Tensor`, `add_.Tensor` and `add.out`: the computation behind a name."""
    return op.partition(".")[0].rstrip("_")


def core_of(op: str) -> str:
    """The same for all names of one implementation: `convolution` for `_convolution`, `native_batch_norm` for `_native_batch_norm_legit`."""
    core = base_of(op).lstrip("_")
    for ending in ("_functional", "_legit", "_impl", "_helper"):
        core = core.removesuffix(ending)
    return core


_TWINS: Final[Mapping[str, tuple[str, ...]]] = {
    "mm": ("addmm",),
    "bmm": ("baddbmm",),
    "mv": ("addmv",),
    "std": ("std_mean",),
    "var": ("var_mean",),
}
"""Operators that do the same if asked so: without adding anything, or with something more beside it."""


def is_same_work(op: str, under_test: str) -> bool:
    """Whether `op` computes what `under_test` does, under this name or another."""
    return core_of(op) == core_of(under_test) or base_of(op) in _TWINS.get(base_of(under_test), ())


_MOVED: Final = frozenset(map(base_of, MOVES))


def is_move(op: str) -> bool:
    """Whether an operator's result has the values of its arguments, and their order in memory may be its whole work; `permute_copy` as
    `permute`."""
    base = base_of(op)
    return base in _MOVED or base.removesuffix("_copy") in _MOVED


def is_foreign(op: str, under_test: str) -> bool:
    """Whether a kernel of a kernel language that claims to be `under_test` must not call `op` (`add.Tensor`)."""
    return base_of(op) == base_of(under_test) or op.partition(".")[0] not in ALLOWED
