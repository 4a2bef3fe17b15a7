"""What a call of torch's public interface does underneath: the ATen calls, each with copies of its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from backend_bench.cases import Call
from backend_bench.operator import Operator
from backend_bench.suites.calls import Unspeakable, snapshot

_NO_WORK = frozenset({"alias", "detach", "lift_fresh"})
"""Bookkeeping that torch inserts; beside it, a trace of one operator is still a trace of one operator."""


@dataclass(frozen=True, slots=True)
class Traced:
    """One ATen call of a trace."""

    op: Operator
    """The overload that was called."""
    call: Call | None
    """Its arguments as they were before the call; None where they cannot be copied or were not asked for."""


def trace(
    function: Callable[..., Any], call: Call, wanted: Callable[[int], bool] = lambda number: True
) -> list[Traced]:
    """The ATen calls of `function(*call.args, **call.kwargs)` in order; copies only those whose number is wanted."""
    recorder = _Recorder(wanted)
    with recorder:
        function(*call.args, **call.kwargs)
    return recorder.traced


class _Recorder(TorchDispatchMode):
    def __init__(self, wanted: Callable[[int], bool]) -> None:
        super().__init__()
        self.wanted = wanted
        self.traced: list[Traced] = []

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: tuple[type, ...],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        base = func._schema.name.removeprefix("aten::")
        if "::" not in base and base not in _NO_WORK:
            call = _copied(Call(args, named)) if self.wanted(len(self.traced)) else None
            self.traced.append(Traced(Operator(base, func._overloadname), call))
        return func(*args, **named)


def _copied(call: Call) -> Call | None:
    try:
        return snapshot(call)
    except Unspeakable:
        return None
