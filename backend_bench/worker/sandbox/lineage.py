"""Relay, init and worker: who waits for whom, who dies with whom, and how a death is told."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Collection
from typing import Final, NoReturn

from . import kernel

_SIGNALLED: Final = 128  # as a shell says it
_OUR_FAULT: Final = 70  # EX_SOFTWARE


def close_others(keep: Collection[int]) -> None:
    """Closes every descriptor that is not in `keep`."""
    kept = sorted({fd for fd in keep if fd >= 0})
    ends = [*kept, _end_of_descriptors()]
    for first, after in zip([0, *(fd + 1 for fd in kept)], ends, strict=True):
        if first < after:
            os.closerange(first, after)


def _end_of_descriptors() -> int:
    return max(int(fd) for fd in os.listdir("/proc/self/fd")) + 1


def lead_session() -> None:
    """One process group for the whole life, no terminal."""
    if os.getsid(0) != os.getpid():
        os.setsid()


def die_with_parent(parent: int) -> None:
    """SIGKILL when `parent` dies, or at once if it died before we could ask for that."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def fork_into_pid_namespace() -> int:
    """Returns in the worker, with a descriptor for `die_with_relay`; the caller becomes the relay.

    The caller has unshared its pid namespace and has no children in it yet.
    """
    relay_died, relay_lives = os.pipe()
    init = os.fork()
    if init == 0:
        _sleep_as_init(relay_died)
    worker = os.fork()
    if worker == 0:
        os.setsid()  # else kill(0, …) from inside would reach the relay, which is of the same group
        os.close(relay_lives)
        return relay_died
    _relay(worker, init, relay_lives)


def die_with_relay(relay_died: int) -> None:
    """As `die_with_parent`, for a process whose parent's pid is not visible from here.

    Again after every change of uid, which clears it.
    """
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    watch = select.poll()
    watch.register(relay_died, 0)  # a hang-up is always reported
    if watch.poll(0):
        os._exit(_SIGNALLED + signal.SIGKILL)


def _sleep_as_init(relay_died: int) -> NoReturn:
    """Signals from inside do not reach a pid 1 without handlers; children are collected unseen."""
    try:
        _take_default_handlers()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)  # nobody inside may look through /proc/1
        close_others([relay_died])
        die_with_relay(relay_died)
        os.close(relay_died)
        while True:
            signal.pause()
    finally:
        os._exit(_OUR_FAULT)


def _relay(worker: int, init: int, relay_lives: int) -> NoReturn:
    """Never returns, not even by an exception: what called `enter` is not confined here."""
    try:
        _take_default_handlers()
        close_others([relay_lives])
        _, status = os.waitpid(worker, 0)
        os.kill(init, signal.SIGKILL)
        os.waitpid(init, 0)  # returns when nothing is left inside
        _die_alike(status)
    finally:
        os._exit(_OUR_FAULT)


def _die_alike(status: int) -> NoReturn:
    if os.WIFEXITED(status):
        os._exit(os.WEXITSTATUS(status))
    number = os.WTERMSIG(status)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)  # the dump would be ours, not the worker's
    os.kill(os.getpid(), number)
    os._exit(_SIGNALLED + number)


def _take_default_handlers() -> None:
    for number in signal.valid_signals():
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
