"""What a call of torch's public interface does underneath: the ATen calls, each with copies of its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from backend_bench.cases import Call
from backend_bench.operator import Operator
from backend_bench.suites.calls import Unspeakable, snapshot, tensors_of
from backend_bench.suites.exclusions import EXCLUDED, UNINITIALISED

NO_WORK = frozenset({"alias", "detach", "lift_fresh"})
"""Bookkeeping that torch inserts; beside it, a trace of one operator is still a trace of one operator."""


@dataclass(frozen=True, slots=True)
class Traced:
    """One ATen call of a trace."""

    op: Operator
    """The overload that was called."""
    call: Call | None
    """Its arguments as they were before the call; None where they cannot be copied, hold memory that nobody has
    written, or were not asked for."""


def trace(
    function: Callable[..., Any], call: Call, wanted: Callable[[int], bool] = lambda number: True
) -> list[Traced]:
    """The ATen calls of `function(*call.args, **call.kwargs)` in order; copies only those whose number is wanted."""
    recorder = _Recorder(wanted)
    with recorder:
        function(*call.args, **call.kwargs)
    return recorder.traced


def trace_until_refused(function: Callable[..., Any], call: Call) -> list[Traced]:
    """The ATen calls up to the one that torch refuses, that one included; none where it refuses nothing."""
    recorder = _Recorder(lambda number: True)
    try:
        with recorder:
            function(*call.args, **call.kwargs)
    except Exception:  # noqa: BLE001  # whatever torch raises is what is looked for
        return recorder.traced
    return []


class _Recorder(TorchDispatchMode):
    def __init__(self, wanted: Callable[[int], bool]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.wanted = wanted
        self.traced: list[Traced] = []
        self.unwritten: list[torch.UntypedStorage] = []

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: tuple[type, ...],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        base = func._schema.name.removeprefix("aten::")
        if "::" not in base and base not in NO_WORK:
            self.traced.append(Traced(Operator(base, func._overloadname), self.copied(args, named)))
        result = func(*args, **named)
        if EXCLUDED.get(base) == UNINITIALISED and isinstance(result, torch.Tensor):
            self.unwritten.append(result.untyped_storage())
        return result

    def copied(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        """The arguments as they are now, if they are wanted and say something."""
        if not self.wanted(len(self.traced)):
            return None
        call = Call(args, kwargs)
        unwritten = {storage._cdata for storage in self.unwritten}
        try:
            if any(each.untyped_storage()._cdata in unwritten for each in tensors_of(call)):
                return None
            return snapshot(call)
        except (Unspeakable, NotImplementedError):
            return None
