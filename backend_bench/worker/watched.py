"""Notices when a PyTorch kernel hands on what the operator under test computes from the kernel's own inputs.

The operator's entries in the dispatcher are replaced before the kernel is loaded by ones that look at what comes in and goes
out, and let ATen's own work in between. So it is seen on every thread, in scripted and traced code and after every
dispatch mode, in each call; what is not the operator under test is not slowed. Inputs and results are compared by value:
a copy, a view or a cast on the way hides nothing.

A claim all the same: what stands here is in the candidate's process. Not covered: a share of the work (one half by the
operator, the other not), other inputs with the same answer (twice the one factor, half the other), operators that views and copies are made of (`own_work`; the recorder sees those), ATen's functions
called past the dispatcher.
"""

from __future__ import annotations

import functools
import secrets
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from backend_bench.own_work import ALLOWED, base_of, is_same_work
from backend_bench.wire import OperatorCall
from backend_bench.worker.withheld import DEVICES, Registrations, close_ways_around

MAX_HELD = 16
"""Results of one call that are kept to be compared. Whoever asks the operator under test more often about the very inputs hands on one of them."""
_STEPS = 64.0
"""Of the dtype, by which values may differ that are the same but for a last digit that was touched."""
_LOOKED_AT = 1 << 11
"""Elements of a tensor that are compared."""
_SHARE = 0.75
"""Of the elements that are the same where one tensor is the other."""


class Watch:
    """Looks at each call of one operator and its variants, from now on and for good."""

    def __init__(self, under_test: str, device: str) -> None:
        self._inputs: Sequence[torch.Tensor] = ()
        self._held: list[tuple[str, list[torch.Tensor] | None]] = []
        """The operator and what it gave; None where that was not kept."""
        self._own = threading.local()
        close_ways_around()
        torch._C._InferenceMode = _NoGrad  # type: ignore[assignment,misc]
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
                    returned=bool(final)
                    and (results is None or all(any(_is_same(r, t) for r in results) for t in final)),
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

        def call(*args: Any, **kwargs: Any) -> Any:
            return plain.call_boxed(keys, *args, **kwargs)

        register(name, key, functools.partial(self._look, name, call))

    def _look(self, name: str, plain: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        args = _with_tensors(name, args)
        if not self._inputs or getattr(self._own, "busy", False):
            return plain(*args, **kwargs)
        self._own.busy = True
        try:
            added = int(base_of(name.removeprefix("aten::")) in _ADDS_FIRST and kwargs.get("beta", 1) == 0)
            taken = _of_any_class(
                (args[added:], {key: value for key, value in kwargs.items() if key != "out"})
            )
            is_passed = len(self._held) <= MAX_HELD and bool(taken)
            is_passed = is_passed and all(any(_is_same(given, t) for given in self._inputs) for t in taken)
            is_passed = is_passed and not _is_reflected(name)
            result = plain(*args, **kwargs)
            if is_passed:
                op = name.removeprefix("aten::")
                is_kept = len(self._held) < MAX_HELD
                held = [torch.clone(t) for t in _tensors(result)] if is_kept else None
                self._held.append((op if "." in op else f"{op}.default", held))
            return result
        finally:
            self._own.busy = False


_REFLECTED = {"reciprocal": "__rdiv__"}
"""The method of a tensor that calls an operator for an expression, `1 / x`, which is a formula and no call of the operator."""


def _is_reflected(name: str) -> bool:
    """Whether this method of torch's calls the operator at this moment."""
    method = _REFLECTED.get(base_of(name.removeprefix("aten::")))
    frame = sys._getframe() if method else None
    while frame is not None:
        if frame.f_code.co_name == method and frame.f_code.co_filename == torch._tensor.__file__:
            return True
        frame = frame.f_back
    return False


def _variants(under_test: str) -> list[str]:
    """The operator, in place, with an output, with other overloads, under other names; none where the worker or a view is made of it.

    `round` to whole numbers is another operator than `round.decimals`.
    """
    found = []
    asked = _ASKED.get(base_of(under_test), set()) & _names(f"aten::{under_test.removesuffix('.default')}")
    for name in torch._C._dispatch_get_all_op_names():
        op = name.removeprefix("aten::")
        if op == name or not is_same_work(op, under_test) or op.partition(".")[0] in ALLOWED:
            continue
        if asked <= _names(name):
            found.append(name)
    return found


_ADDS_FIRST = ("addmm", "baddbmm", "addmv")
"""Operators that add their first argument, times `beta`: nothing where that is zero."""
_ASKED = {"round": {"decimals"}}
"""Arguments that make an operator of the same name another."""


def _names(name: str) -> set[str]:
    return {argument.name for argument in _arguments(name)}


@functools.cache
def _arguments(name: str) -> list[Any]:
    base, _, overload = name.partition(".")
    return list(torch._C._get_schema(base, overload).arguments)


def _has_output_argument(name: str) -> bool:
    return any(argument.is_out for argument in _arguments(name))


def _with_tensors(name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """A number in the place of a tensor, as in `x * 2`, comes out of the dispatcher as a number, and must go in as a tensor."""
    if not any(isinstance(arg, (bool, int, float, complex)) for arg in args):
        return args
    beside = _tensors(args)
    return tuple(
        torch.scalar_tensor(arg, dtype=torch.result_type(beside[0], arg) if beside else None)
        if isinstance(arg, (bool, int, float, complex))
        and str(argument.type) in ("Tensor", "Optional[Tensor]")
        else arg
        for arg, argument in zip(args, _arguments(name), strict=False)
    )


def _keys(*names: str) -> Any:
    found = torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, names[0]))
    for name in names[1:]:
        found = found | torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, name))
    return found


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if type(leaf) is torch.Tensor]


def _of_any_class(tree: Any) -> list[torch.Tensor]:
    """The tensors as plain ones, be they parameters or of a class of the kernel's own: what came here has memory."""
    with torch._C.DisableTorchFunctionSubclass(), torch._C._DisableTorchDispatch():
        return [
            leaf if type(leaf) is torch.Tensor else torch.Tensor.as_subclass(leaf, torch.Tensor)
            for leaf in tree_leaves(tree)
            if isinstance(leaf, torch.Tensor)
        ]


def _is_same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """The same values in the same order, whatever the shape; `one` may be in another dtype, and some elements may have been touched."""
    if one.numel() != other.numel() or (one.layout, one.device) != (other.layout, other.device):
        return False
    if one.layout != torch.strided:
        return False
    if one.dtype.is_complex != other.dtype.is_complex:
        return False
    if one.data_ptr() == other.data_ptr() and (one.dtype, one.stride()) == (other.dtype, other.stride()):
        return True
    one, other = _seen_of(one.to(other.dtype), other)
    same = (one == other) | ((one != one) & (other != other))
    if not (other.dtype.is_floating_point or other.dtype.is_complex):
        return bool(same.all() if other.dtype is torch.bool else same.sum() >= _SHARE * same.numel())
    step = torch.finfo(other.dtype).eps * _STEPS
    same |= (one - other).abs() <= step * other.abs()
    return bool(same.sum() >= _SHARE * same.numel())


def _seen_of(one: torch.Tensor, other: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Elements at the same places of both, where nobody can know which: it is part of what a call takes."""
    one, other = one.reshape(-1), other.reshape(-1)
    if one.numel() > _LOOKED_AT:
        generator = torch.Generator(one.device).manual_seed(secrets.randbits(62))
        places = torch.randint(one.numel(), (_LOOKED_AT,), generator=generator, device=one.device)
        one, other = one[places], other[places]
    if one.dtype.is_floating_point and one.element_size() == 1:  # knows no arithmetic
        return one.float(), other.float()
    return one, other


class _NoGrad:
    """In the place of inference mode: without gradients, but not past the part of the dispatcher where output arguments are looked at."""

    def __init__(self, mode: bool = True) -> None:
        self._mode = mode

    def __enter__(self) -> None:
        self._before = torch.is_grad_enabled()
        torch.set_grad_enabled(self._before and not self._mode)

    def __exit__(self, *_: object) -> None:
        torch.set_grad_enabled(self._before)
