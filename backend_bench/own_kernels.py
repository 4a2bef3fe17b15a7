"""Which kernels of a GPU a submission in a kernel language may have run: its own, and those that torch makes, moves and fills memory with.

Pure names: the driver's, mangled, and of the file that a kernel's code lies in, empty for memory.
"""

from __future__ import annotations

import ast
import functools
import re

from backend_bench.own_work import base_of


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TORCHS, _VENDORS = (
    re.compile(r"lib(torch|c10|aoti)"),
    re.compile(r"lib(cublas|cudnn|cusparse|cusolver|cufft|curand|cutensor|nccl|nvshmem|npp|cudss)"),
)
"""Files that bring kernels of their own."""
_NAMED_BY_TORCH = re.compile(r"2at6native|at_cuda_detail")
_NAMED_BY_VENDORS = re.compile(r"^(nvjet_|sm[0-9]+_xmma_|_Z\w*([0-9](cublas|cudnn)|gemv2T|splitKreduce))")
"""Also out of a copy of such a file. A name without the marks of C++ that merely speaks of a vendor is somebody's own."""
_JITERATED = _words(
    """
    sinc i0 i0e special_i0e i1 special_i1 special_i1e gcd lcm lgamma digamma polygamma zeta special_zeta special_ndtri
    special_log_ndtr special_erfcx special_entr special_airy_ai
    """
)
"""Operators that ATen itself compiles when they are called, from text: their kernels come out of memory."""
_MOVING_KERNELS = re.compile(
    r"FillFunctor|copy_kernel_cuda|4CopyI|arange|linspace|distribution_|randperm|radix_sort|RadixSort|EmptyKernel"
    r"|spin_kernel|(conj|neg)_kernel_cuda"
)
"""What torch makes, moves and fills memory of a GPU with, by parts of their mangled names; a lazy sign or conjugate is settled by a copy, and
a permutation made by a sort."""
_WORK_OF_SOME = (
    (re.compile(r"(conj|neg)_kernel_cuda"), _words("neg negative conj conj_physical _conj_physical")),
    (
        re.compile(r"radix_sort|RadixSort"),
        _words("sort argsort msort topk kthvalue median unique_dim _unique2"),
    ),
)
"""Those among them that are the very work of some operators."""
_INDUCTORS = re.compile(r"triton_((poi|red|per|tem|for|mm|spl|unk)_|$)")
"""How torch.compile names what it writes."""


def is_own_kernel(name: str, origin: str) -> bool:
    """Whether a GPU kernel of this (mangled) name, out of this file or of memory, is neither torch's nor a vendor's."""
    is_known = _TORCHS.match(origin) or _VENDORS.match(origin) or _NAMED_BY_VENDORS.match(name)
    return not is_known and not (not origin and _NAMED_BY_TORCH.search(name))


def is_foreign_kernel(name: str, origin: str, under_test: str, source: str) -> bool:
    """Whether a kernel of a kernel language, of this text, that claims to be `under_test` must not have this one run."""
    base = base_of(under_test)
    if is_own_kernel(name, origin):
        if _INDUCTORS.match(name):
            return name not in _functions_of(source)
        is_jiterated = base in _JITERATED and re.match(rf"{base}(_kernel)?(_vectorized[0-9]+)?_kernel$", name)
        return bool(is_jiterated) and not origin and not re.search(rf"\b{name}\b", source)
    is_the_work = any(kernel.search(name) and base in bases for kernel, bases in _WORK_OF_SOME)
    return is_the_work or not is_moving_kernel(name, origin)


def is_moving_kernel(name: str, origin: str) -> bool:
    """Whether it is one of torch's that computes nothing, unless that is all there is to do."""
    is_others = not is_own_kernel(name, origin) and not _VENDORS.match(origin)
    return is_others and not _NAMED_BY_VENDORS.match(name) and bool(_MOVING_KERNELS.search(name))


@functools.lru_cache(maxsize=64)
def _functions_of(source: str) -> frozenset[str]:
    """Functions that a text defines, at any place."""
    try:
        nodes = ast.walk(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError):
        return frozenset()
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef))
