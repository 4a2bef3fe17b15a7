"""The system calls that Python does not offer, each a function that raises OSError; no policy."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from typing import Final

MACHINE: Final = platform.machine()
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

# Numbers from 424 on are the same on every architecture; the older ones are not.
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

CLONE_NEWNS: Final = 0x0002_0000
CLONE_NEWUTS: Final = 0x0400_0000
CLONE_NEWIPC: Final = 0x0800_0000
CLONE_NEWUSER: Final = 0x1000_0000
CLONE_NEWPID: Final = 0x2000_0000
CLONE_NEWNET: Final = 0x4000_0000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REC, MS_PRIVATE = 0x4000, 0x4_0000
MNT_DETACH: Final = 2
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV, ATTR_NOEXEC = 1, 2, 4, 8
_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000
_OPEN_TREE_CLONE, _MOVE_MOUNT_F_EMPTY_PATH = 1, 4

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_CAPBSET_DROP: Final = 24
PR_SET_NO_NEW_PRIVS: Final = 38
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_CAPABILITY_VERSION_3: Final = 0x2008_0522

type_arg = int | bytes | None


def syscall(number: int, *arguments: type_arg) -> int:
    return _checked(_libc.syscall(ctypes.c_long(number), *map(_as_c, arguments)))


def prctl(option: int, *arguments: int) -> int:
    padded = (*arguments, 0, 0, 0, 0)[:4]
    return _checked(_libc.prctl(option, *map(ctypes.c_ulong, padded)))


def unshare(flags: int) -> None:
    _checked(_libc.unshare(flags))


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    result = _libc.mount(
        source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), data.encode()
    )
    _checked(result, target)


def make_mounts_private() -> None:
    _checked(_libc.mount(None, b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None), "/")


def detach(target: str) -> None:
    _checked(_libc.umount2(os.fsencode(target), MNT_DETACH), target)


def clone_tree(path: str, attributes: int) -> int:
    """A detached copy of the mounts at and below `path`, all with these attributes set; a descriptor."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | _AT_RECURSIVE
    tree = syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(path), flags)
    try:
        _set_attributes(tree, b"", _AT_EMPTY_PATH | _AT_RECURSIVE, attributes)
    except OSError:
        os.close(tree)
        raise
    return tree


def attach_tree(tree: int, target: str) -> None:
    syscall(_MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH)


def make_read_only(path: str) -> None:
    _set_attributes(_AT_FDCWD, os.fsencode(path), 0, ATTR_RDONLY)


def _set_attributes(directory: int, path: bytes, flags: int, attributes: int) -> None:
    request = struct.pack("=4Q", attributes, 0, 0, 0)  # set, clear, propagation, userns_fd
    syscall(_MOUNT_SETATTR, directory, path, flags, request, len(request))


def pivot_root_here() -> None:
    """Makes the current folder the root and detaches the old one (pivot_root(2), last example)."""
    if MACHINE not in _PIVOT_ROOT:
        raise NotImplementedError(f"no pivot_root number known for {MACHINE}")
    syscall(_PIVOT_ROOT[MACHINE], b".", b".")
    detach(".")
    os.chdir("/")


def drop_all_capabilities() -> None:
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    _checked(_libc.capset(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), bytes(24)))


def _as_c(argument: type_arg) -> object:
    return ctypes.c_long(argument) if isinstance(argument, int) else argument


def _checked(result: int, path: str | None = None) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return result
