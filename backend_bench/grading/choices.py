"""Index results, judged by the values that they select: a tie is not an error.

Knows which output of which operator is an index, into what and along which dimension.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from backend_bench.cases import Call
from backend_bench.grading.inputs import leaves
from backend_bench.grading.traits import INDEX_ALONG_DIM, INDEX_IN_PLANE, Op, base_name


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """How to read one output as indices."""

    source: Tensor
    """What is indexed, shaped so that `gather` along `dim` works."""
    dim: int
    """The dimension along which the indices run."""
    shape: tuple[int, ...]
    """Shape in which the indices are gathered."""
    distinct: bool = False
    """Each index at most once along `dim`: topk and sort."""
    unordered: bool = False
    """Any order along `dim` is right: topk with sorted=False."""
    backward_only: bool = False
    """The index may not lie ahead of its own place: cummax and cummin."""

    def fault(self, indices: Tensor, expected: Tensor) -> str:
        """What is wrong with `indices`, or an empty string."""
        given = indices.reshape(self.shape)
        size = self.source.shape[self.dim]
        outside = (given < 0) | (given >= size)
        if bool(outside.any()):
            return f"index {int(given[outside][0])} is outside [0, {size})"
        if self.distinct and self._repeats(given):
            return "the same index is given twice"
        if self.backward_only and self._looks_ahead(given):
            return "an index lies ahead of its own place"
        return self._misses(given, expected.reshape(self.shape))

    def _repeats(self, given: Tensor) -> bool:
        ordered = given.sort(self.dim).values
        return bool((ordered.diff(dim=self.dim) == 0).any())

    def _looks_ahead(self, given: Tensor) -> bool:
        places = torch.arange(given.shape[self.dim], device=given.device)
        view = [1] * given.dim()
        view[self.dim] = -1
        return bool((given > places.view(view)).any())

    def _misses(self, given: Tensor, expected: Tensor) -> str:
        chosen = self.source.gather(self.dim, given)
        wanted = self.source.gather(self.dim, expected)
        if self.unordered:
            chosen, wanted = chosen.sort(self.dim).values, wanted.sort(self.dim).values
        missed = ~((chosen == wanted) | (chosen.isnan() & wanted.isnan()))
        count = int(missed.sum())
        if not count:
            return ""
        place = missed.nonzero()[0].tolist()
        return (
            f"{count} of {given.numel()} indices select another value; at {place}: "
            f"index {int(given[tuple(place)])} selects {chosen[tuple(place)].item():.6g}, "
            f"expected {wanted[tuple(place)].item():.6g}"
        )


def arguments(op: Op, call: Call) -> dict[str, Any]:
    """The arguments by name, defaults filled in."""
    schema = op._schema.arguments
    named = {argument.name: argument.default_value for argument in schema}
    named |= {argument.name: value for argument, value in zip(schema, call.args, strict=False)}
    return named | call.kwargs


def call_of(op: Op, named: dict[str, Any]) -> Call:
    """The call again from all its arguments by name."""
    schema = op._schema.arguments
    args = tuple(named[argument.name] for argument in schema if not argument.kwarg_only)
    return Call(args, {argument.name: named[argument.name] for argument in schema if argument.kwarg_only})


def choice_of(op: Op, call: Call, output: int, indices: Tensor) -> Choice | None:
    """How output number `output`, which ATen gave as `indices`, is to be read; None if no index."""
    if indices.dtype not in (torch.int64, torch.int32) or indices.numel() == 0:
        return None
    name, given = base_name(op), arguments(op, call)
    if INDEX_IN_PLANE.get(name) and output == 1:
        return _in_plane(next(iter(leaves(call.args))), indices, INDEX_IN_PLANE[name])
    if INDEX_ALONG_DIM.get(name) != output or given.get("stable"):
        return None
    return _along_dim(name, given, next(iter(leaves(call.args))), indices)


def _in_plane(source: Tensor, indices: Tensor, dims: int) -> Choice:
    flat = source.flatten(-dims)
    return Choice(flat, flat.dim() - 1, tuple(indices.flatten(-dims).shape))


def _along_dim(name: str, given: dict[str, Any], source: Tensor, indices: Tensor) -> Choice | None:
    if not isinstance(given.get("dim"), int):
        return Choice(source.reshape(-1), 0, (1,)) if name.startswith("arg") else None
    if source.dim() == 0:
        return Choice(source.reshape(1), 0, (1,))
    dim = given["dim"] % source.dim()
    shape = list(source.shape)
    ranked = name in ("sort", "argsort", "topk", "cummax", "cummin")
    shape[dim] = indices.shape[dim] if ranked else 1
    return Choice(
        source,
        dim,
        tuple(shape),
        distinct=name in ("sort", "argsort", "topk"),
        unordered=given.get("sorted") is False,
        backward_only=name in ("cummax", "cummin"),
    )
