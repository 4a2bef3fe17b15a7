"""The system call filters: everything is allowed except what is listed here; they bind every thread.

A deny list, because torch, triton, compilers and the CUDA driver together use most of the table.
It does not look at memory behind pointers (no filter can) and leaves ioctl to the device drivers.
There are several filters, because the driver opens a socket of its own when it starts.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable, Iterator
from typing import Final

from . import kernel

_AUDIT_ARCH_X86_64: Final = 0xC000_003E
_X32_BIT: Final = 0x4000_0000
_SECCOMP: Final = 317
_SET_MODE_FILTER: Final = 1
# Every thread; and no speculation barrier, which kernels before 5.16 would add and which costs speed:
# it guards a process's memory against itself, and the worker's memory holds no secret.
_TSYNC, _SPEC_ALLOW = 1, 4

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL_PROCESS, _FAIL = 0x7FFF_0000, 0x8000_0000, 0x0005_0000
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16

# Namespaces that clone(2) could make. Its lowest byte is a signal, so CLONE_NEWTIME cannot be asked for.
_NAMESPACE_FLAGS: Final = 0x7E02_0000

_CLONE, _CLONE3, _IOCTL, _FCNTL, _SENDTO, _PRLIMIT64 = 56, 435, 16, 72, 44, 302
_KILL, _TGKILL, _SCHED_SETAFFINITY = 62, 234, 203
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # type into, or steer, somebody's terminal
_F_SETOWN, _F_SETOWN_EX = 8, 15  # would have the kernel send signals to a stranger

# The channel was made before. A socket from the host's network namespace must not be re-aimed either.
_SOCKETS: Final = {
    "socket": 41, "connect": 42, "accept": 43, "bind": 49, "listen": 50, "socketpair": 53,
    "accept4": 288,
}  # fmt: skip

_FORBIDDEN: Final = {
    # other processes
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312,
    "pidfd_getfd": 438, "process_madvise": 440, "process_mrelease": 448,
    # kernel interfaces with a bad record
    "add_key": 248, "request_key": 249, "keyctl": 250, "perf_event_open": 298, "bpf": 321,
    "userfaultfd": 323, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "fanotify_init": 300, "personality": 135, "modify_ldt": 154, "vhangup": 153,
    # mounts, namespaces, and files behind the view
    "pivot_root": 155, "chroot": 161, "mount": 165, "umount2": 166, "unshare": 272,
    "name_to_handle_at": 303, "open_by_handle_at": 304, "setns": 308, "open_tree": 428,
    "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
    "mount_setattr": 442, "open_tree_attr": 467,
    # the machine
    "syslog": 103, "uselib": 134, "_sysctl": 156, "adjtimex": 159, "acct": 163,
    "settimeofday": 164, "swapon": 167, "swapoff": 168, "reboot": 169, "sethostname": 170,
    "setdomainname": 171, "iopl": 172, "ioperm": 173, "create_module": 174, "init_module": 175,
    "delete_module": 176, "quotactl": 179, "nfsservctl": 180, "lookup_dcookie": 212,
    "clock_settime": 227, "kexec_load": 246, "clock_adjtime": 305, "finit_module": 313,
    "kexec_file_load": 320, "quotactl_fd": 443,
}  # fmt: skip

# What addresses other processes by pid: harmless inside a pid namespace, forbidden where there is none.
_NEIGHBOURS: Final = {
    "setpriority": 141, "sched_setparam": 142, "sched_setscheduler": 144, "rt_sigqueueinfo": 129,
    "tkill": 200, "ioprio_set": 251, "migrate_pages": 256, "move_pages": 279,
    "rt_tgsigqueueinfo": 297, "sched_setattr": 314, "pidfd_send_signal": 424, "pidfd_open": 434,
}  # fmt: skip

# What outlives the process in the host's ipc namespace: forbidden where there is no own one.
_SYSTEM_V: Final = {"shmget": 29, "semget": 64, "msgget": 68, "mq_open": 240}

# Memory that belongs to no process's pages, so that the judge would not see it: see `judge/memory.py`.
_UNCOUNTED: Final = {"memfd_secret": 447, "shmget": 29, "msgget": 68}
_MEMFD_CREATE: Final = 319


def forbid_calls(*, own_pids: bool, own_ipc: bool) -> None:
    """The first filter. Needs no_new_privs or CAP_SYS_ADMIN, as do the others."""
    program = [
        # glibc falls back to clone, whose flags are in a register where the filter sees them.
        *_refuse([_CLONE3], errno.ENOSYS),
        *_refuse(_FORBIDDEN.values(), errno.EPERM),
        *_refuse_if_any_bit(_CLONE, argument=0, bits=_NAMESPACE_FLAGS),
        *_refuse_if_in(_IOCTL, argument=1, values=(_TIOCSTI, _TIOCLINUX)),
        *_allow_only(_PRLIMIT64, argument=0, values=(0,)),
    ]
    if not own_pids:
        program += _leave_neighbours_alone(os.getpid())
    if not own_ipc:
        program += _refuse(_SYSTEM_V.values(), errno.EPERM)
    _install(program)


def forbid_sockets() -> None:
    """The second filter: no new socket of any family, and none re-aimed that exists."""
    _install(
        [
            *_refuse(_SOCKETS.values(), errno.EACCES),
            *_allow_only(_SENDTO, argument=4, values=(0,)),
        ]
    )


def forbid_uncounted_memory(*, memory_files: bool) -> None:
    """The third filter: no memory that outlives its mapping. Who asks falls back, as on a kernel without it.

    Memory files stay allowed for the CUDA driver, which may want one at any time.
    """
    forbidden = (*_UNCOUNTED.values(), *(() if memory_files else (_MEMFD_CREATE,)))
    _install([*_refuse(forbidden, errno.ENOSYS)])


def _install(program: list[bytes]) -> None:
    """Binds this thread, all others and all descendants, or raises."""
    if kernel.MACHINE != "x86_64" or struct.calcsize("P") != 8:
        raise NotImplementedError(f"the filter is written for 64-bit x86-64, not {kernel.MACHINE}")
    code = b"".join([*_only_native_calls(), *program, _step(_RETURN, _ALLOW)])
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    stranger = kernel.syscall(_SECCOMP, _SET_MODE_FILTER, _TSYNC | _SPEC_ALLOW, header)
    if stranger:
        raise OSError(errno.EBUSY, f"thread {stranger} could not take the filter")


def _only_native_calls() -> Iterator[bytes]:
    yield _step(_LOAD, _ARCH_AT)
    yield _step(_EQUAL, _AUDIT_ARCH_X86_64, yes=1)
    yield _step(_RETURN, _KILL_PROCESS)
    yield _step(_LOAD, _NUMBER_AT)
    yield _step(_AT_LEAST, _X32_BIT, no=1)
    yield _step(_RETURN, _KILL_PROCESS)


def _leave_neighbours_alone(own_pid: int) -> Iterator[bytes]:
    """Signals reach the worker itself and its own process group, nobody else, not even a child."""
    yield from _refuse(_NEIGHBOURS.values(), errno.EPERM)
    yield from _allow_only(_KILL, argument=0, values=(0, own_pid))
    yield from _allow_only(_TGKILL, argument=0, values=(own_pid,))
    yield from _allow_only(_SCHED_SETAFFINITY, argument=0, values=(0, own_pid))
    yield from _refuse_if_in(_FCNTL, argument=1, values=(_F_SETOWN, _F_SETOWN_EX))


def _refuse(numbers: Iterable[int], error: int) -> Iterator[bytes]:
    for number in numbers:
        yield _step(_EQUAL, number, no=1)
        yield _step(_RETURN, _FAIL | error)


def _refuse_if_any_bit(number: int, *, argument: int, bits: int) -> Iterator[bytes]:
    yield _step(_EQUAL, number, no=4)
    yield _load_argument(argument)
    yield _step(_ANY_BIT, bits, no=1)
    yield _step(_RETURN, _FAIL | errno.EPERM)
    yield _step(_RETURN, _ALLOW)


def _refuse_if_in(number: int, *, argument: int, values: tuple[int, ...]) -> Iterator[bytes]:
    yield from _judge_argument(number, argument, values, listed=_FAIL | errno.EPERM, else_=_ALLOW)


def _allow_only(number: int, *, argument: int, values: tuple[int, ...]) -> Iterator[bytes]:
    yield from _judge_argument(number, argument, values, listed=_ALLOW, else_=_FAIL | errno.EPERM)


def _judge_argument(
    number: int, argument: int, values: tuple[int, ...], *, listed: int, else_: int
) -> Iterator[bytes]:
    """Looks at the low 32 bits: each of these arguments is an int for the kernel, except one.

    The address of sendto is a pointer. One whose low half is zero passes here, and then meets a
    stream socket, which takes no address.
    """
    yield _step(_EQUAL, number, no=2 * len(values) + 2)
    yield _load_argument(argument)
    for value in values:
        yield _step(_EQUAL, value, no=1)
        yield _step(_RETURN, listed)
    yield _step(_RETURN, else_)


def _load_argument(argument: int) -> bytes:
    return _step(_LOAD, _ARGUMENTS_AT + 8 * argument)


def _step(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)
