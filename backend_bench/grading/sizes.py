"""Whether a call can be had in another size, and copies of its values for a larger one."""

from __future__ import annotations

import random

import torch
from torch import Tensor

from backend_bench.cases import Call
from backend_bench.grading.inputs import (
    kept_normal,
    storage_of,
    tensors_of,
)
from backend_bench.grading.sameness import is_floating
from backend_bench.grading.traits import Op, base_name

MANY = 1024
"""Elements beyond which one block of a kernel is not enough."""
MOST = 1 << 17
"""Elements that a call with more of them may have, results included: the oracle takes milliseconds for them."""


_TRUSTING = (
    # internal operators check little, and these read past what fits no longer
    "embedding_bag",
    "_embedding",
    "_weight_norm",
    "batch_norm",
    "segment",
    "histogram",
    "ctc",
    "rnn",
    "lstm",
    "gru",
)


def takes_other_sizes(op: Op) -> bool:
    """Whether the operator itself refuses sizes that do not fit together."""
    told = {argument.name for argument in op._schema.arguments} & {"input_sizes", "input_size", "self_sizes"}
    return not told and not base_name(op).startswith(_TRUSTING)


def mixed_places(length: int, rng: random.Random) -> Tensor:
    """Places in another order. Copies one after the other have a period, and a sum of every second element would be of one sign where the
    whole cancels out: a sound kernel that adds up in lanes would lose more than any order of random terms does."""
    return torch.randperm(length, generator=torch.Generator().manual_seed(rng.getrandbits(62)))


def unlike(copies: Tensor, first: int, rng: random.Random, *, shuffle: bool) -> Tensor:
    """No copy is quite the other: half of the floating values become smaller, others may change places."""
    generator = torch.Generator().manual_seed(rng.getrandbits(62))
    if is_floating(copies.dtype):
        factor = 1 - 0.25 * torch.rand(copies.shape, generator=generator, dtype=torch.float64)
        factor[:first] = 1
        factor[torch.rand(copies.shape, generator=generator) < 0.5] = (
            1  # what was equal to something may stay so
        )
        return kept_normal(copies * factor.to(copies.device, copies.dtype), copies)
    if not shuffle:
        return copies
    order = torch.randperm(copies.numel(), generator=generator).to(copies.device)
    return copies.reshape(-1)[order].reshape(copies.shape)


def entangled(call: Call) -> bool:
    """Whether two arguments share memory, which another form would part."""
    storages = [storage_of(tensor) for tensor in tensors_of(call)]
    return len(set(storages)) < len(storages)
