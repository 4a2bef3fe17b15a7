"""What Triton needs before its first launch and no candidate has a say in, done once by the zygote.

A first launch takes over a second, of which the kernel's own compile is a tenth: Triton hashes its own files, imports its code
generator, has a C compiler build its helper for the driver and, up to 3.6, a launcher for each signature. The hash and the imports are
inherited by the fork. The built files are copied into the cache of each worker, which is the worker's own: a worker can spoil
its copies, and nobody else's. What is missing or fits no longer, the worker builds itself.
"""

from __future__ import annotations

import functools
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia import driver

_TARGET: Final = GPUTarget("cuda", 80, 32)
"""Any that every ptxas knows: what it compiles is thrown away."""
_MAKES_LAUNCHERS: Final = hasattr(driver, "make_launcher")
"""Since 3.7 one launcher serves all."""
_BUILDERS: Final = 8
"""Processes that build launchers, each a compiler at a time."""

_built: dict[str, bytes] = {}
"""Content of each file, by its path below the cache."""


@triton.jit  # type: ignore[untyped-decorator]
def _copy(x_ptr, y_ptr, n, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: N803  (as in every Triton kernel)
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y_ptr + at, tl.load(x_ptr + at, mask=at < n), mask=at < n)


def prepare() -> None:
    """Warm this process up, which must have one thread; it has one afterwards, and no CUDA context."""
    with tempfile.TemporaryDirectory(prefix="backend-bench-triton-") as folder:
        os.environ["TRITON_CACHE_DIR"] = folder
        try:
            # In processes of their own: what is built is also loaded, and links the driver.
            builders = [
                _forked(functools.partial(_build, part))
                for part in range(_BUILDERS if _MAKES_LAUNCHERS else 1)
            ]
            if _is_harmless(_compile):
                _compile()
            for builder in builders:
                os.waitpid(builder, 0)
            for path in Path(folder).rglob("*.so"):
                _built[str(path.relative_to(folder))] = path.read_bytes()
        finally:
            del os.environ["TRITON_CACHE_DIR"]  # each worker has its own


def furnish(cache: Path) -> None:
    """Copy what was built into a worker's cache."""
    for name, content in _built.items():
        place = cache / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


def _compile() -> None:
    signature = {"x_ptr": "*fp32", "y_ptr": "*fp32", "n": "i32", "BLOCK": "constexpr"}
    source = triton.compiler.ASTSource(fn=_copy, signature=signature, constexprs={"BLOCK": 128})
    triton.compile(source, target=_TARGET)
    driver.library_dirs()  # asks the linker where the driver is, and remembers


def _is_harmless(work: Callable[[], None]) -> bool:
    """Whether it leaves no thread behind, without which no fork is sound; tried in another process."""
    status = os.waitpid(_forked(lambda: _must_be_alone_after(work)), 0)[1]
    return os.waitstatus_to_exitcode(status) == 0


def _must_be_alone_after(work: Callable[[], None]) -> None:
    work()
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise RuntimeError(f"a compile leaves {threads - 1} threads behind: every worker warms up by itself")


def _forked(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except Exception as error:  # noqa: BLE001  (a fork must never return)
            print(f"backend-bench zygote: Triton's helpers: {error!r}", file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return pid


def _build(part: int) -> None:
    """A share of all there is to build."""
    if part == 0:
        driver.CudaUtils()
    if not _MAKES_LAUNCHERS:
        return
    for number, signature in enumerate(_signatures()):
        if number % _BUILDERS == part:
            source = driver.make_launcher({}, dict(enumerate(signature)), None)
            triton.runtime.build.compile_module_from_src(
                src=source, name="__triton_launcher", library_dirs=driver.library_dirs(),
                include_dirs=driver.include_dirs, libraries=driver.libraries,
            )  # fmt: skip


def _signatures() -> Iterator[tuple[str, ...]]:
    """The usual: pointers, then sizes, then a block size. A size of 1 is a constant."""
    for pointers in range(1, 5):
        for sizes in range(4):
            for constants in (1, 2):
                yield ("*fp32",) * pointers + ("i32",) * sizes + ("constexpr",) * constants
