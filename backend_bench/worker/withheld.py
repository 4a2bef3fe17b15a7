"""Takes ATen's computing operators out of a worker before a kernel of a kernel language is loaded into it.

Each operator that such a kernel may not call (`own_work`) gets another kernel at the end of the dispatcher's way, which
computes nothing, notes the name and raises. It is there for every thread, in compiled and in scripted code, and after
every dispatch mode; what was registered last counts, so nothing that a candidate registers brings ATen's own back. What
owns the registrations is never freed and known to no name. Tensors without memory are not concerned: compilers trace with them.

Not covered: ATen's functions called past the dispatcher by their addresses in the library, copies of its code that
the candidate brings, other libraries (numpy), the candidate's own code in another language.
"""

from __future__ import annotations

import ctypes
import functools
import re
import sys
from collections.abc import Iterator
from typing import Any, Final, NoReturn

import torch

from backend_bench.operator import Operator
from backend_bench.own_work import ALLOWED, base_of

DEVICES: Final = {"cpu": ("CPU",), "cuda": ("CUDA", "CPU")}
"""On a GPU the CPU's kernels too, or a copy on the host would be a way around."""
_LAYOUTS: Final = (
    "MkldnnCPU",
    *(
        f"{layout}{device}"
        for layout in ("Sparse", "SparseCsr", "Quantized", "NestedTensor")
        for device in ("CPU", "CUDA")
    ),
)
_OF_THE_WORKER: Final = frozenset(
    {"copy_", "_foreach_copy_", "detach", "view", "as_strided", "_conj", "_neg_view", "empty"}
)
"""With these the worker lays out arguments and hands over results."""
_FUSERS: Final = (
    "_jit_set_texpr_fuser_enabled",
    "_jit_set_llga_enabled",
    "_jit_override_can_fuse_on_cpu",
    "_jit_override_can_fuse_on_cpu_legacy",
    "_jit_override_can_fuse_on_gpu",
)
"""Switches of the compilers that TorchScript may use for several operators together; off, and what turns them on does nothing."""
_PAST_THE_DISPATCHER: Final = (
    "_jit_to_static_module",  # its operators call ATen's kernels directly
    "_fuse_to_static_module",
    "StaticModule",
    "_te",  # a compiler and interpreter of loops, and what makes TorchScript use it
    "_jit_interpret_graph",
    "_jit_pass_fuse_tensorexprs",
    "_jit_pass_fuse",
    "_cuda_jiterator_compile_and_launch_kernel",
    "_cuda_jiterator_compile_and_launch_kernel_multiple_outputs",
)
"""Functions of `torch._C` that compute without it; nothing else in torch needs them."""

_MOST_NOTED: Final = 50
"""More says no more, and a reply has a size limit."""

_noted: list[str] = []


@functools.cache
def withhold(under_test: str, device: str) -> None:
    """From now on this process has permitted operators only, `under_test` (`add.Tensor`) not among them; a second time does nothing."""
    register = Registrations()
    for name, keys in _table():
        refuse = functools.partial(_refuse, name)
        for key in (*DEVICES[device], *keys):
            register(name, key, refuse)
    for name in _own_names(under_test):
        for key in DEVICES[device]:
            register(name, key, functools.partial(_refuse, name))
    register.keep()
    close_ways_around()


class Registrations:
    """Kernels put in the place of ATen's; they stay as long as this does, and after `keep` for good."""

    def __init__(self) -> None:
        self._libraries: dict[tuple[str, str], Any] = {}

    def __call__(self, name: str, key: str, kernel: Any) -> None:
        """Register a kernel for `aten::add.Tensor` under a dispatch key."""
        space, _, op = name.partition("::")
        if (space, key) not in self._libraries:
            self._libraries[space, key] = torch._C._dispatch_library("IMPL", space, key, "", 0)
        self._libraries[space, key].impl(op, key, kernel)

    def keep(self) -> None:
        """Nobody frees them any more, and no name leads to them."""
        for library in self._libraries.values():
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
        self._libraries.clear()


def close_ways_around() -> None:
    """Take away what computes without the dispatcher."""
    for switch in _FUSERS:
        if (turn := getattr(torch._C, switch, None)) is not None:
            turn(False)
            setattr(torch._C, switch, _left_off)
    for gone in _PAST_THE_DISPATCHER:
        vars(torch._C).pop(gone, None)
        sys.modules.pop(f"torch._C.{gone}", None)


def _left_off(*_: object) -> None:
    """In the place of a switch, for what in torch turns it."""


def noted() -> tuple[str, ...]:
    """Operators (`add.Tensor`) that were called although they are withheld, since the last time of asking."""
    seen = tuple(_noted)
    _noted.clear()
    return seen


@functools.cache
def _table() -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Operators to withhold from every kernel, with the keys besides the device's under which they have a kernel.

    Cached, and asked for by the zygote before it forks: this takes a tenth of a second.
    """
    names = [name for name in torch._C._dispatch_get_all_op_names() if not _is_permitted(name)]
    return tuple((name, tuple(_further_keys(name))) for name in names)


@functools.cache
def _torchs() -> frozenset[str]:
    return frozenset(torch._C._dispatch_get_all_op_names())


def prepare() -> None:
    """Look up what torch brings, before anybody registers more."""
    _table()
    _torchs()


@functools.cache
def is_own_operator(name: str) -> bool:
    """Whether an operator (`ours::relu`) was registered from Python by whoever is loaded here, and came neither with torch nor with another
    package's library: what it does are the operators that it calls."""
    if name in _torchs():
        return False
    place = re.search(r"^debug: registered at (.*):[0-9]+$", torch._C._dispatch_dump(name), re.M)
    return place is not None and place[1].endswith(".py")


def _is_permitted(name: str) -> bool:
    space, _, op = name.partition("::")
    return space == "profiler" or (space == "aten" and op.partition(".")[0] in ALLOWED | _OF_THE_WORKER)


def _further_keys(name: str) -> Iterator[str]:
    has = torch._C._dispatch_has_kernel_for_dispatch_key
    yield from (key for key in _LAYOUTS if has(name, key))


def _own_names(under_test: str) -> Iterator[str]:
    """The operator under test and its variants where they are permitted otherwise, as long as the worker can do without."""
    for name in torch._C._dispatch_get_all_op_names():
        op = name.removeprefix("aten::")
        is_own = op != name and base_of(op) == base_of(under_test) and _is_permitted(name)
        if is_own and op.partition(".")[0] not in _OF_THE_WORKER:
            yield name


def _refuse(name: str, *_: Any, **__: Any) -> NoReturn:
    op = name.removeprefix("aten::")
    op = op if "." in op else f"{op}.default"
    if op not in _noted and len(_noted) < _MOST_NOTED:
        _noted.append(op)
    raise RuntimeError(f"{op} is withheld: a kernel must compute the result itself, in its own language")


def operator_of(function: str) -> str:
    """`add.Tensor` for `add__Tensor_kernel_impl`."""
    return str(Operator.from_folder(function.removesuffix("_kernel_impl")))
