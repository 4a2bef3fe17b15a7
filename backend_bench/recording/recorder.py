"""Listens to a model: every ATen call, as text, counted by phase.

Sits between the model and its tensors without values; what a call computes does not concern it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from backend_bench.cases import Call
from backend_bench.operator import Operator
from backend_bench.suites.arguments import Arguments, DeviceName, Value, render
from backend_bench.suites.calls import Unspeakable, arguments_of
from backend_bench.suites.recordings import mapped
from backend_bench.suites.tracing import NO_WORK

Heard = tuple[Operator, str, str]
"""Operator, arguments as text, phase."""


class Recorder(TorchDispatchMode):
    """Counts calls while it is entered; `phase` names what the model is at."""

    def __init__(self, device: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.phase = "forward"
        self.calls: Counter[Heard] = Counter()
        self.unspeakable: Counter[str] = Counter()
        """Calls that have no text form, by operator and reason."""
        self._device = device

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
            self._hear(Operator(base, func._overloadname), Call(args, named))
        return func(*args, **named)

    def _hear(self, op: Operator, call: Call) -> None:
        try:
            text = render(self._placed(arguments_of(call)))
        except Unspeakable as problem:
            self.unspeakable[f"{op}: {problem}"] += 1
            return
        self.calls[op, text, self.phase] += 1

    def _placed(self, arguments: Arguments) -> Arguments:
        """Tensors without memory are those of a CPU; the text names the device that the step is meant for."""

        def change(value: Value) -> Value:
            return DeviceName(self._device) if isinstance(value, DeviceName) else value

        return mapped(arguments, change)
