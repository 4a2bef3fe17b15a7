"""What the worker may still do as a user: who it is, its capabilities, its limits."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NoReturn

from . import kernel
from .plan import Plan

# A user id of its own for each life, so that neither files nor the limit on processes are shared.
# The first range is above anything that distributions and directories give out; a container that
# maps only 65536 ids has the second one (systemd's range for services with users made on demand).
_ID_RANGES: Final = ((2_000_000_000, 1 << 22), (61_184, 4_335))
_OVERFLOW_ID: Final = 65_534
# Not 0: a limit of 0 still feeds a core_pattern that is a pipe, and a torch process makes a large meal.
_CORE_BYTES: Final = 1
# SIGXCPU first, by which the worker's end can be told; SIGKILL if it was caught.
_GRACE_CPU_S: Final = 2


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the worker will be."""

    uid: int
    gid: int
    is_new: bool
    """It differs from who we are."""


def own_identity() -> Identity:
    return Identity(os.geteuid(), os.getegid(), is_new=False)


def unused_identity(life: int) -> Identity:
    """A user that nobody else is while the process `life`, a pid of the host's namespace, exists."""
    for start, size in _ID_RANGES:
        if _is_mapped(start) and _is_mapped(start + size - 1):
            number = start + life % size
            return Identity(number, number, is_new=True)
    return Identity(_OVERFLOW_ID, _OVERFLOW_ID, is_new=True)


def _is_mapped(number: int) -> bool:
    with open("/proc/self/uid_map") as lines:
        ranges = [[int(word) for word in line.split()] for line in lines]
    return any(first <= number < first + count for first, _, count in ranges)


def enter_user_namespace(further: int) -> None:
    """Makes one with only ourselves in it, and in the same step the namespaces in `further`.

    A child goes first: some systems (Ubuntu's AppArmor rules) let one be made and then refuse the
    map, and there is no way back from there.
    """
    scout = os.fork()
    if scout == 0:
        _scout_user_namespace(further)
    refusal = os.waitstatus_to_exitcode(os.waitpid(scout, 0)[1])
    if refusal:
        raise OSError(refusal, os.strerror(refusal))
    _make_user_namespace(further)


def _scout_user_namespace(further: int) -> NoReturn:
    refusal = errno.EIO
    try:
        _make_user_namespace(further)
        refusal = 0
    except OSError as error:
        refusal = error.errno or errno.EIO
    finally:
        os._exit(refusal)


def _make_user_namespace(further: int) -> None:
    uid, gid = os.geteuid(), os.getegid()
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # else the files below belong to root
    kernel.unshare(kernel.CLONE_NEWUSER | further)
    _write_map("setgroups", "deny")
    _write_map("uid_map", f"{uid} {uid} 1")
    _write_map("gid_map", f"{gid} {gid} 1")


def _write_map(name: str, line: str) -> None:
    with open(f"/proc/self/{name}", "w") as file:
        file.write(line)


def out_of_reach(identity: Identity, needed: tuple[str, ...]) -> list[str]:
    """Which of the files this user could not read, seen from the present root. Needs CAP_SETUID."""
    uid, gid = os.geteuid(), os.getegid()
    os.setgroups([])
    os.setegid(identity.gid)
    os.seteuid(identity.uid)
    try:
        return [p for p in needed if not os.access(p, os.R_OK, effective_ids=True)]
    finally:
        os.seteuid(uid)
        os.setegid(gid)


def forget_bounding_set() -> None:
    """No program started later can bring a capability back. Before the uid changes: it needs one.

    Who may not do this has no capability to lose, and no_new_privs keeps it so.
    """
    with contextlib.suppress(PermissionError):
        for capability in _known_capabilities():
            kernel.prctl(kernel.PR_CAPBSET_DROP, capability)


def _known_capabilities() -> Iterator[int]:
    with open("/proc/sys/kernel/cap_last_cap") as last:
        yield from range(int(last.read()) + 1)


def become(identity: Identity) -> None:
    os.setgroups([])
    os.setresgid(identity.gid, identity.gid, identity.gid)
    os.setresuid(identity.uid, identity.uid, identity.uid)


def limit(plan: Plan) -> None:
    """Binds this process and, each for itself, its descendants; `processes` is the user's."""
    _set_limit(resource.RLIMIT_CORE, _CORE_BYTES)
    _set_limit(resource.RLIMIT_NOFILE, plan.open_files)
    _set_limit(resource.RLIMIT_FSIZE, plan.file_bytes)
    _set_limit(resource.RLIMIT_NPROC, plan.processes)
    _set_limit(resource.RLIMIT_CPU, plan.cpu_s, plan.cpu_s + _GRACE_CPU_S)
    if plan.memory_bytes is not None:
        _set_limit(resource.RLIMIT_AS, plan.memory_bytes)


def _set_limit(which: int, soft: int, hard: int | None = None) -> None:
    """Never above the hard limit in force: that may have been somebody's intent."""
    ceiling = resource.getrlimit(which)[1]
    wanted = soft if hard is None else hard
    bound = wanted if ceiling == resource.RLIM_INFINITY else min(wanted, ceiling)
    resource.setrlimit(which, (min(soft, bound), bound))


def die_first() -> None:
    """Where memory runs out, the kernel takes the worker and not its judge. A courtesy, no wall."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")


def forget_host_name() -> None:
    socket.sethostname("worker")
