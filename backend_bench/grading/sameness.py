"""When two tensors are the same: by value, by the places of NaN and infinity, or bit by bit."""

from __future__ import annotations

import torch
from torch import Tensor


def same_values(one: Tensor, other: Tensor) -> Tensor:
    """Element by element: equal, or both NaN."""
    return (one == other) | (one.isnan() & other.isnan())


def same_places(one: Tensor, other: Tensor) -> bool:
    """Whether NaN and infinity, by sign, stand at the same places."""
    if not is_floating(one.dtype):
        return True
    if one.dtype.is_complex:
        return torch.equal(one.isfinite(), other.isfinite())
    return bool((one.isfinite() | other.isfinite() | same_values(one, other)).all()) and (
        torch.equal(one.isfinite(), other.isfinite())
    )


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors hold the same bytes, in row-major order."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return torch.equal(_bits(one), _bits(other))


_WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def _bits(tensor: Tensor) -> Tensor:
    plain = tensor.detach().resolve_conj().resolve_neg()
    if plain.dtype.is_complex:
        plain = torch.view_as_real(plain)
    return plain.view(_WORDS[plain.element_size()])


def is_floating(dtype: torch.dtype) -> bool:
    """Whether values of this dtype round: floating or complex."""
    return dtype.is_floating_point or dtype.is_complex
