"""Kernels as a backend: while they are installed, any PyTorch model of this process runs on them.

Not covered: there is no sandbox and no judge here. An installed kernel runs in this process with all its rights, so
install only what you would import. Gradients keep ATen's own formulas, which see the kernel's results.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from backend_bench import kernels
from backend_bench.errors import UsageError
from backend_bench.operator import Operator

_KEYS = {"cpu": "CPU", "cuda": "CUDA"}


@dataclass(frozen=True, slots=True)
class Installed:
    """Which kernels serve, and how often they did."""

    ops: tuple[str, ...]
    """The operators, `add.Tensor`."""
    device: str
    """The device whose tensors they serve."""
    files: dict[str, Path]
    """By operator: the file that its kernel came from."""
    calls: Counter[str] = field(default_factory=Counter)
    """By operator: calls that its kernel answered."""


Around = Callable[[Operator, Callable[..., Any]], Callable[..., Any]]
"""An operator and its kernel to something that is called like it."""


@contextlib.contextmanager
def install(
    folder: str | Path,
    *,
    device: Literal["cpu", "cuda"] | None = None,
    ops: Sequence[str] | None = None,
    around: Around | None = None,
) -> Iterator[Installed]:
    """Run the operators of `folder` (one folder an operator, see `backend-bench export`) on its kernels, inside this context.

    `device` is the one whose tensors are served: cuda where there is one, else cpu. `ops` leaves out the other operators of the
    folder. What `around` gives back serves in a kernel's stead. What either calls runs on ATen. A kernel's exception is the
    caller's, with a note that names the kernel: nothing falls back in silence.
    Raises `UsageError` for a folder or a kernel that cannot be installed.
    """
    if not hasattr(torch.library, "get_kernel"):
        raise UsageError(
            f"installing kernels needs a torch with torch.library.get_kernel; this is {torch.__version__}"
        )
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if place not in _KEYS:
        raise UsageError(f"unknown device {place!r}; choose cpu or cuda")
    found = _chosen(kernels.find(Path(folder)), ops)
    files = {str(kernel.op): kernel.path for kernel in found}
    installed = Installed(tuple(files), place, files)
    inside, wrap = threading.local(), around or (lambda _, kernel: kernel)
    serving = [
        (
            kernel.op,
            _serving(
                kernel,
                wrap(kernel.op, _load(kernel)),
                _aten(kernel.op, _KEYS[place]),
                installed.calls,
                inside,
            ),
        )
        for kernel in found
    ]
    with torch.library._scoped_library("aten", "IMPL") as library:  # the public class has no end
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "Warning only once for all operators", UserWarning
            )  # it is meant
            for op, serve in serving:
                library.impl(_schema_name(op), serve, _KEYS[place], with_keyset=True)
        yield installed


def _chosen(found: list[kernels.KernelFile], ops: Sequence[str] | None) -> list[kernels.KernelFile]:
    """All, or those of the operators that were named."""
    if ops is None:
        return found
    wanted = {Operator.parse(op) for op in ops}
    missing = wanted - {kernel.op for kernel in found}
    if missing:
        raise UsageError(f"the folder has no kernel of {', '.join(sorted(map(str, missing)))}")
    return [kernel for kernel in found if kernel.op in wanted]


def _serving(
    kernel: kernels.KernelFile,
    ours: Callable[..., Any],
    aten: Callable[..., Any],
    calls: Counter[str],
    inside: threading.local,
) -> Callable[..., Any]:
    """What the dispatcher calls: our kernel, or ATen where a kernel is already at work in this thread."""

    def serve(keyset: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(inside, "kernel", False):
            return aten(keyset, *args, **kwargs)
        inside.kernel = True
        try:
            result = ours(*args, **kwargs)
        except Exception as error:
            error.add_note(f"in the kernel of {kernel.op}, {kernel.path}")
            raise
        finally:
            inside.kernel = False
        calls[str(kernel.op)] += 1
        return result

    return serve


def _schema_name(op: Operator) -> str:
    return op.base if op.overload == "default" else f"{op.base}.{op.overload}"


def _aten(op: Operator, key: str) -> Callable[..., Any]:
    """ATen's own kernel, taken before ours stands in its place."""
    overload = getattr(getattr(torch.ops.aten, op.base, None), op.overload, None)
    if overload is None:
        raise UsageError(f"this torch has no operator aten.{op}")
    if torch._C._dispatch_has_kernel_for_dispatch_key(overload.name(), "CompositeImplicitAutograd"):
        raise UsageError(f"aten.{op} is made of other operators: install kernels for those")
    kernel = torch.library.get_kernel(overload, key)
    wanted = [str(argument.type) == "Tensor" for argument in overload._schema.arguments]

    def call(keyset: Any, *args: Any, **kwargs: Any) -> Any:
        # A number where the schema has a tensor reached us unwrapped; ATen's kernel takes tensors only.
        tensors = [arg for arg in args if isinstance(arg, torch.Tensor)]
        given = (
            _as_tensor(arg, tensors) if is_tensor and isinstance(arg, int | float | complex) else arg
            for arg, is_tensor in zip(args, wanted, strict=False)
        )
        return kernel.call_boxed(keyset, *given, **kwargs)

    return call


def _as_tensor(value: complex, others: list[torch.Tensor]) -> torch.Tensor:
    """The number as a tensor that promotes as the number does."""
    dtype = torch.result_type(others[0], value) if others else None
    return torch.scalar_tensor(value, dtype=dtype)


def _load(kernel: kernels.KernelFile) -> Callable[..., Any]:
    """The kernel's function; its module lies in a file, for Triton reads its source there."""
    if kernel.source is None:
        raise UsageError(f"{kernel.path} holds no kernel file")
    name = f"backend_bench_installed_{kernel.op.folder}"
    spec = importlib.util.spec_from_file_location(name, kernel.path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # a kernel may look for itself there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UsageError(f"{kernel.path} cannot be imported: {type(error).__name__}: {error}") from error
    function = getattr(module, kernel.op.function, None)
    if not callable(function):
        raise UsageError(f"{kernel.path} defines no function {kernel.op.function}")
    return function  # type: ignore[no-any-return]  # a module's attribute
