"""Which ATen operators a kernel calls, seen by a dispatch mode inside the worker.

A claim: candidate code can switch the mode off. It catches the honest mistake and the lazy cheat.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from backend_bench.wire import OperatorCall

MAX_RECORDED = 200
"""Enough to see the shape of a kernel; a reply has a size limit."""


def tensors_in(tree: Any) -> list[torch.Tensor]:
    """Tensor leaves, in order."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def is_same(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Both are the same stretch of memory, read in the same way."""
    return (
        a.data_ptr() == b.data_ptr()
        and a.shape == b.shape
        and a.stride() == b.stride()
        and a.dtype == b.dtype
    )


class Recorder(TorchDispatchMode):
    """Notes every operator that reaches dispatch while it is active."""

    def __init__(self, inputs: Sequence[torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no types here
        self._inputs = inputs
        self._calls: list[tuple[str, bool, list[torch.Tensor]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if len(self._calls) < MAX_RECORDED:
            taken = tensors_in((args, kwargs or {}))
            inputs_only = bool(taken) and all(
                any(is_same(tensor, given) for given in self._inputs) for tensor in taken
            )
            self._calls.append((func.name().removeprefix("aten::"), inputs_only, tensors_in(result)))
        return result

    def calls(self, returned: Any) -> tuple[OperatorCall, ...]:
        """What was noted, given what the kernel returned in the end."""
        final = tensors_in(returned)
        return tuple(
            OperatorCall(
                op=op if "." in op else f"{op}.default",
                inputs_only=inputs_only,
                returned=any(is_same(a, b) for a in results for b in final if type(b) is torch.Tensor),
            )
            for op, inputs_only, results in self._calls
        )
