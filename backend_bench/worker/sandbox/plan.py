"""What a sandbox shall hold and what came of it: plain data, and a default drawn from this interpreter."""

from __future__ import annotations

import glob
import importlib.util
import os
import shutil
import site
import stat
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from backend_bench.worker.mapped import mapped_files

Level = Literal["required", "best-effort", "off"]

SCRATCH: Final = "/scratch"
_GIB: Final = 1 << 30
# Triton's cache, an extension's objects and a compiler's temporaries stay well below this.
SCRATCH_BYTES: Final = 2 * _GIB
# Address space, not memory: torch maps about 3 GiB, each thread 8 MiB of stack, the rest is for tensors.
MEMORY_BYTES: Final = 16 * _GIB
OPEN_FILES: Final = 1024
CPU_S: Final = 600
# The largest file: a CUDA extension's objects reach tens of MiB.
FILE_BYTES: Final = 1 * _GIB
# Threads count as processes. Each library may start one a core, and compilers a process a core.
_PROCESSES: Final = 256
_PROCESSES_A_CORE: Final = 8

# Programs, libraries, the loader's lists, Debian's compiler links, time zone, processor topology.
_SYSTEM: Final = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store",
    "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives",
    "/etc/localtime", "/sys/devices/system/cpu", "/sys/devices/system/node",
)  # fmt: skip
# The driver looks up its cards, their PCI and NUMA places and its module's version.
_CUDA_SYSTEM: Final = ("/sys/devices", "/sys/bus/pci", "/sys/class/drm", "/sys/module/nvidia",
                       "/sys/module/nvidia_uvm", "/opt/nvidia")  # fmt: skip
_CUDA_VARIABLES: Final = ("CUDA_HOME", "CUDA_PATH", "LD_LIBRARY_PATH")
# What triton, inductor and C++ extensions start.
_TOOLS: Final = ("cc", "c++", "gcc", "g++", "clang", "as", "ld", "ninja", "nvcc", "ptxas")
_TOOL_VARIABLES: Final = ("CC", "CXX", "CUDAHOSTCXX", "PYTORCH_NVCC")
_DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_CUDA_DEVICES: Final = ("/dev/nvidia*", "/dev/nvidia-caps/*", "/dev/dxg")
# Looked for, never imported: the plan is made before anybody knows whether they are wanted.
_PACKAGES: Final = ("torch", "triton")


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a worker may see and use; `default_plan` fills it in for this interpreter."""

    level: Level
    """`required`: every wall or an exception. `best-effort`: what can be had. `off`: limits only."""
    cuda: bool
    """The CUDA driver will be started between `enter` and `close`."""
    readable: tuple[str, ...]
    """Host paths mounted read-only and executable, at their own place; missing ones are skipped."""
    hidden: tuple[str, ...]
    """Folders below a readable path that are covered by an empty one."""
    needed: tuple[str, ...]
    """Files without which the worker cannot run: the uid only changes if they stay readable."""
    devices: tuple[str, ...]
    """Device nodes, for reading, writing and ioctl; missing ones are skipped."""
    scratch: str
    """The only writable place: a tmpfs of its own in the view. Not below a readable path.
    Where no view can be had it is a host folder, made if absent, and removed by who chose it."""
    scratch_bytes: int
    """Size of that tmpfs."""
    memory_bytes: int | None
    """Address space of each process. None with CUDA, which reserves over 100 GB of it."""
    processes: int
    """Processes and threads of this life, all together."""
    open_files: int
    """Descriptors of each process."""
    cpu_s: int
    """Processor time of each process, then SIGXCPU."""
    file_bytes: int
    """Size of each file written."""


@dataclass(frozen=True, slots=True)
class Report:
    """Which walls stood around a worker; travels into its verdict."""

    level: Level
    """The level that was asked for."""
    holds: tuple[str, ...]
    """Walls that stand, by name: `mount-view`, `seccomp`, `landlock:7` …"""
    missing: tuple[str, ...]
    """Walls that do not, each with its reason: `landlock: the kernel has none`."""


def default_plan(
    *,
    level: Level,
    cuda: bool,
    scratch: str = SCRATCH,
    scratch_bytes: int = SCRATCH_BYTES,
    memory_bytes: int | None = MEMORY_BYTES,
    processes: int | None = None,
    open_files: int = OPEN_FILES,
    cpu_s: int = CPU_S,
    file_bytes: int = FILE_BYTES,
    extra_readable: tuple[str, ...] = (),
) -> Plan:
    """A plan in which this interpreter, torch and triton run. Imports neither; make it once, early."""
    packages = tuple(_package_files())
    devices = tuple(_device_nodes((*_DEVICES, *(_CUDA_DEVICES if cuda else ()))))
    readable = (
        *_SYSTEM,
        *_interpreter(),
        *map(_above_package, packages),
        *_mapped_libraries(),
        *_tools(),
    )
    return Plan(
        level=level,
        cuda=cuda,
        readable=_distinct((*readable, *(_cuda_paths() if cuda else ()), *extra_readable)),
        hidden=(str(Path(__file__).resolve().parents[2]),),
        # /dev/nvidia-caps is for administrators, and closed to users on every machine.
        needed=(sys.executable, os.__file__, *packages, *(d for d in devices if _is_common(d))),
        devices=devices,
        scratch=scratch,
        scratch_bytes=scratch_bytes,
        memory_bytes=None if cuda else memory_bytes,
        processes=processes or _PROCESSES + _PROCESSES_A_CORE * (os.cpu_count() or 1),
        open_files=open_files,
        cpu_s=cpu_s,
        file_bytes=file_bytes,
    )


def _interpreter() -> Iterator[str]:
    yield from (sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix)
    paths = sysconfig.get_paths()
    yield from (paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    # A source tree on sys.path stays out: it may be ours, and the judge's files are in it.
    yield from (p for p in sys.path if Path(p).name in ("site-packages", "dist-packages"))
    if site.ENABLE_USER_SITE:
        yield site.getusersitepackages()


def _package_files() -> Iterator[str]:
    for name in _PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            yield spec.origin


def _above_package(init_file: str) -> str:
    return str(Path(init_file).parents[1])


def _mapped_libraries() -> Iterator[str]:
    """Libraries that this process uses from places of their own, one by one."""
    yield from (each.path for each in mapped_files() if ".so" in each.path and os.path.isfile(each.path))


def _tools() -> Iterator[str]:
    """Compilers that are installed outside /usr, each with its installation around it."""
    named = (os.environ.get(variable, "") for variable in _TOOL_VARIABLES)
    for tool in (*_TOOLS, *(words.split()[0] for words in named if words)):
        found = shutil.which(tool)
        if found is not None:
            yield found
            yield _installation(os.path.realpath(found))


def _installation(program: str) -> str:
    """What a program at PREFIX/bin needs is below PREFIX, unless that is someone's home."""
    prefix = os.path.dirname(os.path.dirname(program))
    in_bin = os.path.basename(os.path.dirname(program)) == "bin"
    return prefix if in_bin and not is_below(os.path.expanduser("~"), prefix) else program


def _cuda_paths() -> Iterator[str]:
    yield from _CUDA_SYSTEM
    for variable in _CUDA_VARIABLES:
        yield from os.environ.get(variable, "").split(os.pathsep)


def _device_nodes(patterns: Iterable[str]) -> Iterator[str]:
    for pattern in patterns:
        yield from (p for p in sorted(glob.glob(pattern)) if stat.S_ISCHR(os.stat(p).st_mode))


def _is_common(device: str) -> bool:
    return os.path.dirname(device) == "/dev"


def _distinct(paths: Iterable[str]) -> tuple[str, ...]:
    """Absolute, existing, never the whole root, and none that another one shows already."""
    normal = {os.path.normpath(p) for p in paths if os.path.isabs(p)}
    found: list[str] = []
    for path in sorted(p for p in normal if p != "/" and os.path.exists(p)):
        if not any(_shows(other, path) for other in found):
            found.append(path)
    return tuple(found)


def _shows(folder: str, path: str) -> bool:
    """Also by its real name: a link inside a folder may lead out of it."""
    return is_below(path, folder) and is_below(os.path.realpath(path), os.path.realpath(folder))


def is_below(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or lies in it, by name."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")
