"""What a suite holds: the cases of an operator, as text for people and as arguments for a judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backend_bench.submission import SuiteSpec


@dataclass(frozen=True, slots=True)
class Call:
    """One set of arguments of an operator; tensors sit anywhere in the two trees."""

    args: tuple[Any, ...]
    """Positional arguments."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One operator of a suite, as the client sees it: names and shapes, no torch."""

    op: str
    """The operator, `add.Tensor`."""
    correctness: tuple[str, ...] = ()
    """Arguments of each correctness case, as text, in the suite's order."""
    performance: tuple[str, ...] = ()
    """Arguments of each performance case, as text, in the suite's order."""
    error_inputs: tuple[str, ...] = ()
    """Arguments that the operator refuses, as text; empty unless the suite was asked for them."""
    untimed: str = ""
    """Why there are no performance cases, where the suite was asked for those of the traces; else empty."""
    reason: str = ""
    """Why there are no cases, such as `random: its results cannot be compared`; else empty."""
    calls: int = 0
    """How often the recorded models call the operator, in all rows of the source; 0 where nothing was recorded."""
    correctness_calls: tuple[int, ...] = ()
    """The same for each correctness case; empty where nothing was recorded."""
    performance_calls: tuple[int, ...] = ()
    """The same for each performance case."""
    schema: str = ""
    """The operator's schema, `add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor`."""
    doc: str = ""
    """What the operator does, in a few plain sentences."""
    argument_docs: Mapping[str, str] = field(default_factory=dict)
    """What is said about each argument, by name; those that speak for themselves are left out."""
    results: tuple[str, ...] = ()
    """Dtypes of a call's tensors and of its results, where one is none of the former: `bf16, bf16 -> bf16, f32`."""
    tags: tuple[str, ...] = ()
    """ATen's own tags, such as `pointwise` or `reduction`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteIndex:
    """All operators of one suite, on one device, in one dtype."""

    spec: SuiteSpec
    """What was asked for, defaults filled in."""
    source: str
    """Where the cases come from, `torch 2.13.0 op_db` for instance."""
    torch: str
    """Version of torch that the index was made with."""
    entries: Mapping[str, Entry]
    """By operator name, sorted."""
