"""What torch knows about an operator: the overload itself, its schema, its tags, and what it does."""

from __future__ import annotations

import functools

import torch

from backend_bench.cases import Entry
from backend_bench.errors import UsageError
from backend_bench.operator import Operator
from backend_bench.submission import Device
from backend_bench.suites.near_matches import did_you_mean
from backend_bench.suites.result_dtypes import result_dtypes
from backend_bench.suites.summaries import argument_words, summary


@functools.cache
def operator_names() -> frozenset[str]:
    """Every ATen overload of this torch, as `add.Tensor`."""
    names = (
        name.removeprefix("aten::")
        for name in torch._C._dispatch_get_all_op_names()
        if name.startswith("aten::")
    )
    return frozenset(name if "." in name else f"{name}.default" for name in names)


def resolve(op: Operator) -> torch._ops.OpOverload:
    """The overload that the name stands for; a UsageError with near matches where torch has none."""
    if str(op) not in operator_names():
        raise UsageError(
            f"torch {torch.__version__} has no operator {op}{did_you_mean(str(op), operator_names())}"
        )
    overload = getattr(getattr(torch.ops.aten, op.base), op.overload)
    assert isinstance(overload, torch._ops.OpOverload)
    return overload


def schema_of(op: Operator) -> str:
    """`add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor`; `default` is named too."""
    text = str(resolve(op)._schema).removeprefix("aten::")
    _, bracket, signature = text.partition("(")
    return f"{op}{bracket}{signature}"


def tags_of(op: Operator) -> tuple[str, ...]:
    """ATen's own tags, sorted."""
    return tuple(sorted(tag.name for tag in resolve(op).tags))


def entry(
    op: Operator,
    device: Device,
    *,
    correctness: tuple[str, ...] = (),
    performance: tuple[str, ...] = (),
    reason: str = "",
    calls: int = 0,
    correctness_calls: tuple[int, ...] = (),
    performance_calls: tuple[int, ...] = (),
) -> Entry:
    """The operator's entry of a device's index, with everything that torch knows about it."""
    arguments = tuple(argument.name for argument in resolve(op)._schema.arguments)
    return Entry(
        op=str(op),
        correctness=correctness,
        performance=performance,
        reason=reason,
        calls=calls,
        correctness_calls=correctness_calls,
        performance_calls=performance_calls,
        schema=schema_of(op),
        doc=summary(op, arguments),
        argument_docs=argument_words(op, arguments),
        results=result_dtypes(resolve(op), (*correctness, *performance), device),
        tags=tags_of(op),
    )
