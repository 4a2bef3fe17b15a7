"""Notices when a PyTorch kernel hands on what the operator under test computes from the kernel's own inputs.

The operator's entries in the dispatcher are replaced before the kernel is loaded by ones that look at what comes in and goes
out, and let ATen's own work in between. So it is seen on every thread, in scripted and traced code and after every
dispatch mode, in each call; what is not the operator under test is not slowed. Inputs and results are compared by value:
a copy, a view or a cast on the way hides nothing.

A claim all the same: what stands here is in the candidate's process. Not covered: a share of the work (one half by the
operator, the other not), operators that views and copies are made of (`permitted`; the recorder sees those), ATen's functions
called past the dispatcher.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from backend_bench.permitted import PERMITTED, base_of
from backend_bench.wire import OperatorCall
from backend_bench.worker.withheld import DEVICES, Registrations, close_ways_around

MAX_HELD = 4
"""Results of one call that are kept to be compared; a kernel that hands one on needs no more."""


class Watch:
    """Looks at each call of one operator and its variants, from now on and for good."""

    def __init__(self, under_test: str, device: str) -> None:
        self._inputs: Sequence[torch.Tensor] = ()
        self._held: list[tuple[str, list[torch.Tensor]]] = []
        self._own = threading.local()
        close_ways_around()
        register = Registrations()
        for name in _variants(under_test):
            for backend in DEVICES[device]:
                self._replace(register, name, backend)
        register.keep()

    def begin(self, inputs: Sequence[torch.Tensor]) -> None:
        """A call of the kernel on these tensors begins."""
        self._inputs, self._held = inputs, []

    def end(self, returned: Any) -> tuple[OperatorCall, ...]:
        """What the operator under test computed from the kernel's inputs in this call, and whether that was returned."""
        inputs, held = self._inputs, self._held
        self._inputs, self._held = (), []
        if not inputs or not held:
            return ()
        final = _tensors(returned)
        self._own.busy = True
        try:
            return tuple(
                OperatorCall(
                    op=op,
                    inputs_only=True,
                    returned=bool(final) and all(any(_equal(r, t) for r in results) for t in final),
                )
                for op, results in held
            )
        finally:
            self._own.busy = False

    def _replace(self, register: Registrations, name: str, backend: str) -> None:
        # ATen's own operators call each other's out= variants (mean that of sum): only above autograd is it the kernel that calls.
        key = f"Autograd{backend}" if _has_output_argument(name) else backend
        try:
            plain = torch.library.get_kernel(name, key)
        except RuntimeError:
            return  # the operator has no kernel there
        keys = _keys(*((key, "ADInplaceOrView") if key != backend else ()), backend)
        register(name, key, functools.partial(self._look, name.removeprefix("aten::"), plain, keys))

    def _look(self, op: str, plain: Any, keys: Any, *args: Any, **kwargs: Any) -> Any:
        if not self._inputs or getattr(self._own, "busy", False):
            return plain.call_boxed(keys, *args, **kwargs)
        self._own.busy = True
        try:
            taken = _tensors((args, {name: value for name, value in kwargs.items() if name != "out"}))
            is_passed = len(self._held) < MAX_HELD and bool(taken)
            is_passed = is_passed and all(any(_equal(given, t) for given in self._inputs) for t in taken)
            result = plain.call_boxed(keys, *args, **kwargs)
            if is_passed:
                name = op if "." in op else f"{op}.default"
                self._held.append((name, [torch.clone(t) for t in _tensors(result)]))
            return result
        finally:
            self._own.busy = False


def _variants(under_test: str) -> list[str]:
    """The operator, in place, with an output, with other overloads; none where the worker or a view is made of it."""
    found = []
    for name in torch._C._dispatch_get_all_op_names():
        op = name.removeprefix("aten::")
        if op != name and base_of(op) == base_of(under_test) and op.partition(".")[0] not in PERMITTED:
            found.append(name)
    return found


def _has_output_argument(name: str) -> bool:
    schema = torch._C._get_schema(*_split(name))
    return any(argument.kwarg_only and argument.is_out for argument in schema.arguments)


def _split(name: str) -> tuple[str, str]:
    base, _, overload = name.partition(".")
    return base, overload


def _keys(*names: str) -> Any:
    found = torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, names[0]))
    for name in names[1:]:
        found = found | torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, name))
    return found


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if type(leaf) is torch.Tensor]


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    """The same values in the same order, bit for bit, whatever the shape; `one` may be in another dtype."""
    if one is other:
        return True
    if one.numel() != other.numel() or one.layout != torch.strided or other.layout != torch.strided:
        return False
    return torch.equal(_bytes(one.to(other.dtype)), _bytes(other))


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.resolve_conj().resolve_neg().reshape(-1).contiguous().view(torch.uint8)
