"""The file system that the worker sees: a fresh root with little in it; the host's one is gone.

Sources are taken first, as detached copies of their mounts, then a tmpfs is laid over a folder and
filled, then it becomes the root. Up to that last step a failure leaves the old view as it was.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from . import kernel
from .plan import Plan, is_below

# Where the new root is put together; covered only in our own namespace and only for that long.
_WORKSHOPS: Final = ("/tmp", "/mnt", "/var", "/run")
# Folders, links and two small files.
_ROOT_OPTIONS: Final = "mode=0755,size=1m"
SCRATCH_FILES: Final = 1 << 16
"""Files and folders in scratch: an empty one takes a kilobyte of the kernel's memory, which is counted against nobody. Compilers make hundreds."""
_COVER_OPTIONS: Final = "mode=0555,size=4k,nr_inodes=2"
# Links to scratch, or scratch itself where something readable lies below.
_TEMPORARY: Final = ("/tmp", "/var/tmp", "/dev/shm")
_LINKS: Final = (
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
)
_MOST_LINKS_IN_A_PATH: Final = 40  # as in the kernel

_TREE: Final = kernel.ATTR_RDONLY | kernel.ATTR_NOSUID | kernel.ATTR_NODEV
# A read-only mount does not keep a device from being written to, only its node.
_DEVICE: Final = kernel.ATTR_RDONLY | kernel.ATTR_NOSUID | kernel.ATTR_NOEXEC


@dataclass(frozen=True, slots=True)
class _Source:
    """A piece of the host, in our hands and not yet anywhere in the view."""

    path: str
    """Its place in both views, free of symbolic links."""
    tree: int
    """Descriptor of the detached mount."""
    is_folder: bool


def build(plan: Plan, *, uid: int, gid: int) -> bool:
    """Moves this process into the view that `plan` describes; False if there is no /proc in it.

    Needs its own mount namespace and CAP_SYS_ADMIN over it. Scratch will belong to `uid` and `gid`.
    """
    kernel.make_mounts_private()
    links, paths = _resolve(plan.readable)
    with contextlib.ExitStack() as held:
        sources = list(_take(paths, _TREE, held)) + list(_take(plan.devices, _DEVICE, held))
        with _workshop() as root:
            _furnish(root, plan, sources, links, (uid, gid))
            has_proc = _mount_proc(root + "/proc", writable=plan.cuda)
            os.chdir(root)
            kernel.pivot_root_here()
    kernel.make_read_only("/")
    return has_proc


def _resolve(paths: tuple[str, ...]) -> tuple[dict[str, str], list[str]]:
    """Symbolic links on the way to the paths, and the real paths, those inside another left out."""
    links: dict[str, str] = {}
    real = sorted({_follow(path, links) for path in paths if os.path.exists(path)})
    outermost: list[str] = []
    for path in real:
        if not outermost or not is_below(path, outermost[-1]):
            outermost.append(path)
    return links, outermost


def _follow(path: str, links: dict[str, str]) -> str:
    """The real path; each link met on the way is noted."""
    here, ahead, followed = "/", [p for p in path.split("/") if p][::-1], 0
    while ahead:
        step = ahead.pop()
        here = os.path.normpath(os.path.join(here, step))
        if not os.path.islink(here):
            continue
        followed += 1
        if followed > _MOST_LINKS_IN_A_PATH:
            raise OSError(f"too many symbolic links on the way to {path}")
        target = links[here] = os.readlink(here)
        ahead += [p for p in target.split("/") if p][::-1]
        here = "/" if target.startswith("/") else os.path.dirname(here)
    return here


def _take(
    paths: list[str] | tuple[str, ...], attributes: int, held: contextlib.ExitStack
) -> Iterator[_Source]:
    for path in paths:
        try:
            tree = kernel.clone_tree(path, attributes)
        except FileNotFoundError:
            continue
        held.callback(os.close, tree)
        yield _Source(path, tree, os.path.isdir(path))


@contextlib.contextmanager
def _workshop() -> Iterator[str]:
    place = next(filter(os.path.isdir, _WORKSHOPS))
    kernel.mount("tmpfs", place, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, _ROOT_OPTIONS)
    try:
        yield place
    except BaseException:
        os.chdir("/")
        kernel.detach(place)
        raise


def _furnish(
    root: str, plan: Plan, sources: list[_Source], links: dict[str, str], owner: tuple[int, int]
) -> None:
    _mount_scratch(root + plan.scratch, plan.scratch_bytes, owner)
    for folder in _TEMPORARY:
        if any(is_below(path, folder) for path in (*links, *(source.path for source in sources))):
            # A virtual environment below /tmp, for one: a link would be in its way.
            _show_scratch(root + plan.scratch, root + folder)
    for source in sources:
        _put(root + source.path, source)
    for link, target in links.items():
        _link(root + link, target)
    for folder in plan.hidden:
        _cover(root + os.path.realpath(folder))
    for folder in _TEMPORARY:
        _link(root + folder, plan.scratch)
    for link, target in _LINKS:
        _link(root + link, target)
    _name_user(root, plan.scratch, owner)


def _put(target: str, source: _Source) -> None:
    if source.is_folder:
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        Path(target).touch()
    kernel.attach_tree(source.tree, target)


def _link(place: str, target: str) -> None:
    """Does nothing where something is already: a readable path may lie below /tmp, for one."""
    if not os.path.lexists(place):
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.symlink(target, place)


def _cover(folder: str) -> None:
    if os.path.isdir(folder):
        flags = kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
        kernel.mount("tmpfs", folder, "tmpfs", flags, _COVER_OPTIONS)


def _mount_scratch(target: str, size: int, owner: tuple[int, int]) -> None:
    os.makedirs(target)
    options = f"mode=0700,size={size},nr_inodes={SCRATCH_FILES},uid={owner[0]},gid={owner[1]}"
    kernel.mount("tmpfs", target, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, options)


def _show_scratch(scratch: str, target: str) -> None:
    os.makedirs(target)
    tree = kernel.clone_tree(scratch, kernel.ATTR_NOSUID | kernel.ATTR_NODEV)
    try:
        kernel.attach_tree(tree, target)
    finally:
        os.close(tree)


def _name_user(root: str, home: str, owner: tuple[int, int]) -> None:
    """A user data base that knows only the worker: torch asks it for a name for its cache folder."""
    etc = Path(root, "etc")
    etc.mkdir(exist_ok=True)
    (etc / "passwd").write_text(f"worker:x:{owner[0]}:{owner[1]}::{home}:/bin/false\n")
    (etc / "group").write_text(f"worker:x:{owner[1]}:\n")


def _mount_proc(target: str, *, writable: bool) -> bool:
    """Our pid namespace's own, other users' processes left out. Rather none than the host's.

    The CUDA driver writes below /proc/self when it starts, else it reports error 304. The system's
    switches below /proc/sys belong to root, which the worker is not.
    """
    os.makedirs(target, exist_ok=True)
    flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    try:
        kernel.mount("proc", target, "proc", flags | (0 if writable else kernel.MS_RDONLY), "hidepid=2")
    except OSError:
        return False
    return True
