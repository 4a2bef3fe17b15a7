"""Which ATen operators a kernel calls, seen by a dispatch mode inside the worker, and whether its own launches made the outputs.

A claim: candidate code can switch the mode off. It catches the honest mistake and the lazy cheat; what a kernel must not
call is withheld or watched besides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from backend_bench.own_work import ALLOWED, MOVES
from backend_bench.wire import MAX_OPERATOR, OperatorCall
from backend_bench.worker.launches import LOG, Launch, Stretch
from backend_bench.worker.withheld import is_own_operator

MAX_RECORDED = 200
"""Enough to see the shape of a kernel; a reply has a size limit."""


def tensors_in(tree: Any) -> list[torch.Tensor]:
    """Tensor leaves, in order; of those that lie in memory as a sparse one does not."""
    leaves = (leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor))
    return [leaf for leaf in leaves if leaf.layout == torch.strided]


def is_same(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Both are the same stretch of memory, read in the same way."""
    return (
        a.data_ptr() == b.data_ptr()
        and a.shape == b.shape
        and a.stride() == b.stride()
        and a.dtype == b.dtype
    )


def _stretch(tensor: torch.Tensor) -> Stretch:
    """The whole allocation, which views share."""
    storage = tensor.untyped_storage()
    return storage.data_ptr(), storage.data_ptr() + storage.nbytes()


def overlap(one: Stretch, other: Stretch) -> bool:
    """Whether two stretches have bytes in common."""
    return one[0] < other[1] and other[0] < one[1]


@dataclass(slots=True)
class _Seen:
    """One operator call. Holding the results keeps their addresses from being used again."""

    op: str
    inputs_only: bool
    results: list[torch.Tensor]
    computed: bool
    overwritten: bool = False
    """A later call wrote to one of the results."""


class Recorder(TorchDispatchMode):
    """Notes every operator that reaches dispatch while it is active."""

    def __init__(self, inputs: Sequence[torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no types here
        self._inputs = inputs
        self._seen: list[_Seen] = []
        self._derived = [_stretch(tensor) for tensor in inputs]
        self._made: list[Stretch] = []
        """Memory with values that come from the inputs, and the part of it that launches wrote."""
        self._computed: list[Stretch] = []
        """Memory with results of operators that compute."""
        LOG.take()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if any(isinstance(leaf, FakeTensor) for leaf in tree_leaves((args, kwargs))):
            return func(*args, **kwargs)  # a compiler traces: nothing is computed, and there is no memory
        if is_own_operator(func.name()):
            with self:  # its kernel is the candidate's code as well
                return func.redispatch(_keys(args, kwargs), *args, **kwargs)
        for tensor in _written(func, args, kwargs):
            if isinstance(tensor, FakeTensor):
                continue  # it has no memory
            for earlier in self._seen:
                earlier.overwritten |= any(tensor.data_ptr() == r.data_ptr() for r in earlier.results)
        self._follow(LOG.take())
        result = func(*args, **kwargs)
        taken = tensors_in((args, kwargs))
        if any(isinstance(tensor, FakeTensor) for tensor in (*taken, *tensors_in(result))):
            return result  # a compiler traces: nothing is computed
        self._follow_copy(func, args, kwargs, result)
        if len(self._seen) < MAX_RECORDED:
            inputs_only = bool(taken) and all(
                any(is_same(tensor, given) for given in self._inputs) for tensor in taken
            )
            computed = any(overlap(_stretch(t), known) for t in taken for known in self._computed)
            if _packet(func) not in ALLOWED:
                made = [t for t in (*tensors_in(result), *_written(func, args, kwargs)) if t.numel()]
                self._computed += [_stretch(t) for t in made]
            name = func.name().removeprefix("aten::")
            op = name if "." in name else f"{name}.default"
            self._seen.append(_Seen(op[:MAX_OPERATOR], inputs_only, tensors_in(result), computed))
        return result

    def launched(self, returned: Any) -> bool | None:
        """Whether launched kernels made the outputs out of the inputs; None where nobody can tell or it does not matter."""
        self._follow(LOG.take())
        if not LOG.is_kept or not needs_launch(returned, self._inputs):
            return None
        return all(any(overlap(_stretch(tensor), own) for own in self._made) for tensor in _made(returned))

    def _follow(self, launches: Sequence[Launch]) -> None:
        """What a launch writes that has read values of the inputs has them too; a constant needs no reading, and what has no
        inputs may read what it fills.
        """
        for launch in launches:
            reads_inputs = any(overlap(known, read) for known in self._derived for read in launch.read)
            reads_itself = not self._inputs and all(
                any(overlap(own, read) for own in (*self._made, *launch.wrote)) for read in launch.read
            )
            if reads_inputs or not launch.read or reads_itself:
                self._derived += launch.wrote
                self._made += launch.wrote

    def _follow_copy(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        """A copy or a view of values of the inputs."""
        if _packet(func) not in MOVES:
            return
        taken, given = tensors_in((args, kwargs)), tensors_in(result)
        for known in (self._derived, self._made):
            if any(overlap(_stretch(tensor), stretch) for tensor in taken for stretch in known):
                known += [_stretch(tensor) for tensor in given]

    def calls(self, returned: Any) -> tuple[OperatorCall, ...]:
        """What was noted, given what the kernel returned in the end."""
        final = [tensor for tensor in tensors_in(returned) if type(tensor) is torch.Tensor]
        return tuple(
            OperatorCall(
                op=seen.op,
                inputs_only=seen.inputs_only,
                computed=seen.computed,
                returned=bool(final)
                and not seen.overwritten
                and all(any(is_same(tensor, result) for result in seen.results) for tensor in final),
            )
            for seen in self._seen
        )


def _keys(args: Any, kwargs: Any) -> Any:
    """Past all modes, to the kernel for the device of the arguments."""
    is_on_gpu = any(tensor.is_cuda for tensor in tensors_in((args, kwargs)))
    keys = torch._C.DispatchKey.CUDA if is_on_gpu else torch._C.DispatchKey.CPU
    return torch._C.DispatchKeySet(keys)


def needs_launch(returned: Any, inputs: Sequence[torch.Tensor]) -> bool:
    """Whether a call that returned this has something to compute, and something to compute it from."""
    return bool(_made(returned)) and all(tensor.numel() for tensor in inputs)


def _made(returned: Any) -> list[torch.Tensor]:
    return [t for t in tensors_in(returned) if type(t) is torch.Tensor and t.numel() > 1]


def _packet(func: Any) -> str:
    return str(func.name().removeprefix("aten::").partition(".")[0])


def _written(func: Any, args: Any, kwargs: Any) -> list[torch.Tensor]:
    """The tensors that an operator writes to, by its schema."""
    given = dict(zip((argument.name for argument in func._schema.arguments), args, strict=False)) | kwargs
    return tensors_in(
        [
            given.get(argument.name)
            for argument in func._schema.arguments
            if argument.alias_info is not None and argument.alias_info.is_write
        ]
    )
