"""What an operator computes, written out: for the float64 run of operators that ATen has no float64 kernel of on some device.

Attention after Vaswani et al., "Attention Is All You Need" (2017), section 3.2.1; its backward pass from the statistics of the forward
pass after Dao et al., "FlashAttention" (2022), appendix B.2.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from backend_bench.cases import Call
from backend_bench.grading.choices import arguments
from backend_bench.grading.traits import Op, base_name

Formula = Callable[[dict[str, Any]], tuple[Tensor, ...]]
"""From the arguments by name to the first results. Raises `NotImplementedError` where they mean nothing, or take too much memory."""

MOST_AT_ONCE = 1 << 25
"""Elements of a matrix of queries and keys, of all heads that are worked out together; some five such are there at a time."""
MOST_OF_A_HEAD = 1 << 27
"""Of one: a gigabyte in float64."""


def formula_of(op: Op, call: Call) -> Formula | None:
    """How the operator's results follow from such arguments, if it is written out here and means one thing."""
    formula = FORMULAS.get(base_name(op)) if op._overloadname == "default" else None
    return formula if formula is not None and _is_plain(arguments(op, call)) else None


def _is_plain(given: dict[str, Any]) -> bool:
    """No dropout, as many heads for each or several of queries for one of keys, no gradient of a bias, and where queries see only keys
    before them, as many queries as keys."""
    query, key, value = given["query"], given["key"], given["value"]
    same_heads = (
        query.dim() > 2
        and query.shape[:-3] == key.shape[:-3]
        and key.shape[:-2] == value.shape[:-2]
        and bool(key.shape[-3])
        and query.shape[-3] % key.shape[-3] == 0
    )
    is_square = query.shape[-2] == key.shape[-2]
    of_bias = any(given.get("grad_input_mask", ())[3:])
    return bool(
        given["dropout_p"] == 0 and same_heads and not of_bias and (is_square or not given["is_causal"])
    )


def _parts(given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The arguments, some heads at a time where all would make very large matrices: (heads, rows, width) of each, and of the mask a view."""
    query, key = given["query"], given["key"]
    rows, columns = query.shape[-2], key.shape[-2]
    if rows * columns > MOST_OF_A_HEAD:
        raise NotImplementedError(f"{rows} queries and {columns} keys: too large a matrix in float64")
    mask = next((given[name] for name in ("attn_bias", "attn_mask") if given.get(name) is not None), None)
    if mask is not None and not mask.numel():  # a backward pass is given an empty one for none
        mask = None
    given = given | {"mask": None if mask is None else mask.expand(*query.shape[:-1], columns)}
    if "logsumexp" in given:  # a kernel may round up the number of rows
        given["logsumexp"] = given["logsumexp"].reshape(*query.shape[:-2], -1)[..., :rows]
    heads = query.shape[-3]
    step = max(MOST_AT_ONCE // max(rows * columns, 1), 1)
    for item in itertools.product(*map(range, query.shape[:-3])):
        for first in range(0, heads, step):
            yield {
                name: value[item][first : first + step] if name in _PER_HEAD and value is not None else value
                for name, value in given.items()
            }


_PER_HEAD = frozenset({"query", "key", "value", "out", "logsumexp", "grad_out", "grad_out_", "mask"})


def _scores(part: dict[str, Any]) -> Tensor:
    """Scaled products of queries and keys, (heads, queries, keys); minus infinity where a key is not seen."""
    scores: Tensor = (part["query"] @ part["key"].mT).mul_(_scale(part))
    if part["mask"] is not None:
        is_seen = part["mask"].dtype is torch.bool
        scores = scores.masked_fill_(~part["mask"], -math.inf) if is_seen else scores.add_(part["mask"])
    if part["is_causal"]:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill_(later, -math.inf)
    if bool(scores.isneginf().all(-1).any()):
        raise NotImplementedError("a query that sees no key: every kernel has an answer of its own")
    return scores


def _scale(given: dict[str, Any]) -> float:
    scale: float | None = given["scale"]
    return given["query"].shape[-1] ** -0.5 if scale is None else scale


def attention(given: dict[str, Any]) -> tuple[Tensor, ...]:
    """The output."""
    given = _of_own_heads(given)
    found = [_scores(part).softmax(-1) @ part["value"] for part in _parts(given)]
    return (_joined(found, given["query"]),)


def attention_backward(given: dict[str, Any]) -> tuple[Tensor, ...]:
    """Gradients of query, key and value, by the output and the logarithms of sums that the forward pass left."""
    heads, given = given["key"].shape[-3], _of_own_heads(given)
    found = [_gradients(part) for part in _parts(given)]
    likes = (given["query"], given["key"], given["value"])
    query, *shared = (
        _joined(parts, like) for parts, like in zip(zip(*found, strict=True), likes, strict=True)
    )
    return query, *(each.unflatten(-3, (heads, -1)).sum(-3) for each in shared)


def _of_own_heads(given: dict[str, Any]) -> dict[str, Any]:
    """With keys and values for each head of queries, where several in a row share theirs (Ainslie et al., "GQA", 2023)."""
    group = given["query"].shape[-3] // given["key"].shape[-3]
    return given | {name: given[name].repeat_interleave(group, -3) for name in ("key", "value")}


def _gradients(part: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    grad = part["grad_out_"] if "grad_out_" in part else part["grad_out"]
    weights = (_scores(part) - part["logsumexp"][..., None]).exp_()
    slopes = (grad @ part["value"].mT).sub_((grad * part["out"]).sum(-1, keepdim=True))
    slopes = slopes.mul_(weights).mul_(_scale(part))
    return slopes @ part["key"], slopes.mT @ part["query"], weights.mT @ grad


def _joined(parts: Sequence[Tensor], like: Tensor) -> Tensor:
    """The heads of all parts, in the order of `like`."""
    return torch.cat(list(parts)).reshape(*like.shape[:-1], parts[0].shape[-1])


_KINDS = ("flash", "efficient", "cudnn")
FORMULAS: dict[str, Formula] = {
    **{f"_scaled_dot_product_{kind}_attention": attention for kind in _KINDS},
    **{f"_scaled_dot_product_{kind}_attention_backward": attention_backward for kind in _KINDS},
}
"""By operator; those of a GPU, whose kernels take no float64."""
