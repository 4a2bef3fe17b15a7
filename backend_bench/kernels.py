"""Kernel files on a disk → submissions: one file, one operator's folder, or a tree of folders.

Reads names and text only; nothing is imported or run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from backend_bench.errors import UsageError
from backend_bench.operator import Operator
from backend_bench.submission import Profile

_FUNCTION = re.compile(r"^(?:def\s+(\w+)_kernel_impl\s*\(|(\w+)_kernel_impl\s*=)", re.MULTILINE)
_VERSION = re.compile(r"_v(\d+)\.py$")


@dataclass(frozen=True, slots=True)
class KernelFile:
    """One kernel to grade."""

    op: Operator
    path: Path
    """The file; a folder without one stands for itself."""
    source: str | None
    """Its text; None for a folder that holds no kernel file."""


def find(path: Path, *, op: str | None = None, profile: Profile = "strict") -> list[KernelFile]:
    """The kernels at a path. Raises `UsageError` where there is none."""
    if not path.exists():
        raise UsageError(f"{path} does not exist")
    if path.is_file():
        source = read(path)
        return [KernelFile(Operator.parse(op) if op else operator_of(source, path), path, source)]
    folders = [path] if _is_operator_folder(path) and _files(path) else sorted(path.iterdir())
    kernels = [
        _of_folder(folder, profile) for folder in folders if folder.is_dir() and _is_operator_folder(folder)
    ]
    wanted = Operator.parse(op) if op else None
    kernels = [kernel for kernel in kernels if wanted in (None, kernel.op)]
    if not kernels:
        raise UsageError(f"{path} holds no operator folder such as add__Tensor{f' for {op}' if op else ''}")
    return kernels


def operator_of(source: str, path: Path) -> Operator:
    """The operator that a kernel file is for, read from its `*_kernel_impl` function."""
    names = sorted({first or second for first, second in _FUNCTION.findall(source)})
    if len(names) == 1:
        return Operator.from_folder(names[0])
    what = f"defines {' and '.join(names)}" if names else "defines no function like relu__default_kernel_impl"
    raise UsageError(f"{path} {what}; name the operator with --op")


def _of_folder(folder: Path, profile: Profile) -> KernelFile:
    op = Operator.from_folder(folder.name)
    files = _files(folder)
    if not files:
        return KernelFile(op, folder, None)
    # BackendBench takes the first name of a folder; the latest version is what its author means.
    path = files[0] if profile == "backendbench" else max(files, key=_version)
    return KernelFile(op, path, read(path))


def versions(folder: Path) -> list[Path]:
    """The kernel files of an operator's folder, the first version first; none where there is no folder."""
    return sorted(_files(folder), key=_version)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.py") if path.is_file())


def _version(path: Path) -> tuple[int, str]:
    match = _VERSION.search(path.name)
    return (int(match[1]) if match else -1, path.name)


def _is_operator_folder(folder: Path) -> bool:
    try:
        Operator.from_folder(folder.name)
    except UsageError:
        return False
    return True


def read(path: Path) -> str:
    """A kernel file's text. Raises `UsageError` where it has none."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as UTF-8 text: {error}") from error
