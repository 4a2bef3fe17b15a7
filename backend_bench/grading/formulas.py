"""What an operator computes, written out: for the float64 run of operators that ATen has no float64 kernel of on some device.

Attention after Vaswani et al., "Attention Is All You Need" (2017), section 3.2.1; its backward pass from the statistics of the forward
pass after Dao et al., "FlashAttention" (2022), appendix B.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from backend_bench.cases import Call
from backend_bench.grading.choices import arguments
from backend_bench.grading.traits import Op, base_name

Formula = Callable[[dict[str, Any]], tuple[Tensor, ...]]
"""From the arguments by name to the first results. Raises `NotImplementedError` where they mean nothing."""


def formula_of(op: Op, call: Call) -> Formula | None:
    """How the operator's results follow from such arguments, if it is written out here and means one thing."""
    formula = FORMULAS.get(base_name(op))
    return formula if formula is not None and _is_plain(arguments(op, call)) else None


def _is_plain(given: dict[str, Any]) -> bool:
    """No dropout, as many heads for each, no gradient of a bias, and where queries see only keys before them, as many queries as keys."""
    query, key, value = given["query"], given["key"], given["value"]
    same_heads = query.shape[:-2] == key.shape[:-2] == value.shape[:-2]
    is_square = query.shape[-2] == key.shape[-2]
    of_bias = any(given.get("grad_input_mask", ())[3:])
    return bool(
        given["dropout_p"] == 0 and same_heads and not of_bias and (is_square or not given["is_causal"])
    )


def _scores(given: dict[str, Any]) -> Tensor:
    """Scaled products of queries and keys, (..., queries, keys); minus infinity where a key is not seen."""
    scores: Tensor = (given["query"] @ given["key"].mT) * _scale(given)
    mask = next((given[name] for name in ("attn_bias", "attn_mask") if given.get(name) is not None), None)
    if mask is not None and mask.numel():  # a backward pass is given an empty one for none
        scores = scores.masked_fill(~mask, -math.inf) if mask.dtype is torch.bool else scores + mask
    if given["is_causal"]:
        later = torch.ones_like(scores, dtype=torch.bool).triu(1)
        scores = scores.masked_fill(later, -math.inf)
    if bool(scores.isneginf().all(-1).any()):
        raise NotImplementedError("a query that sees no key: every kernel has an answer of its own")
    return scores


def _scale(given: dict[str, Any]) -> float:
    scale: float | None = given["scale"]
    return given["query"].shape[-1] ** -0.5 if scale is None else scale


def attention(given: dict[str, Any]) -> tuple[Tensor, ...]:
    """The output."""
    return (_scores(given).softmax(-1) @ given["value"],)


def attention_backward(given: dict[str, Any]) -> tuple[Tensor, ...]:
    """Gradients of query, key and value, by the output and the logarithms of sums that the forward pass left."""
    grad = given["grad_out_"] if "grad_out_" in given else given["grad_out"]
    query, key, value = given["query"], given["key"], given["value"]
    rows = query.shape[:-1]
    sums = given["logsumexp"].reshape(*rows[:-1], -1)[
        ..., : rows[-1]
    ]  # a kernel may round up the number of rows
    weights = (_scores(given) - sums[..., None]).exp()
    slopes = weights * (grad @ value.mT - (grad * given["out"]).sum(-1, keepdim=True)) * _scale(given)
    return slopes @ key, slopes.mT @ query, weights.mT @ grad


_KINDS = ("flash", "efficient", "cudnn")
FORMULAS: dict[str, Formula] = {
    **{f"_scaled_dot_product_{kind}_attention": attention for kind in _KINDS},
    **{f"_scaled_dot_product_{kind}_attention_backward": attention_backward for kind in _KINDS},
}
"""By operator; those of a GPU, whose kernels take no float64."""
