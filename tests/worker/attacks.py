"""A zygote for the sandbox's tests, and what a hostile kernel would try inside.

Runs as a program: reads requests from standard input, a JSON object a line, forks a child for each,
lets it enter the sandbox and try, and answers with what came of it. Standard library only, so that
any Python will do. A pipe that every descendant inherits is read to its end: an answer says that
none of them is left.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backend_bench.errors import SandboxUnavailable
from backend_bench.worker import sandbox
from backend_bench.worker.sandbox import kernel

SURVIVORS_LIMIT_S = 20
CLONE, PTRACE, TGKILL, PROCESS_VM_READV = 56, 101, 234, 310
PIDFD_SEND_SIGNAL, PIDFD_OPEN, PIDFD_GETFD = 424, 434, 438
PTRACE_ATTACH = 16
_libc = ctypes.CDLL(None, use_errno=True)


# ── attacks: each returns plain data, or raises what the kernel says ─────────────────────────


def read(path: str) -> str:
    return Path(path).read_text()


def names_in(path: str) -> list[str]:
    return sorted(os.listdir(path))


def write(path: str) -> str:
    Path(path).write_text("was here")
    return Path(path).read_text()


def change_mode(path: str) -> None:
    os.chmod(path, 0o777)


def writable_mounts() -> list[str]:
    """Every mount in sight in which a file can be made or, for a file, opened for writing."""
    mounts = [line.split()[4] for line in read("/proc/self/mountinfo").splitlines()]
    return [m for m in mounts if not m.startswith("/dev/") and _is_writable(m)]


def _is_writable(place: str) -> bool:
    target = os.path.join(place, "probe") if os.path.isdir(place) else place
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT, 0o600))
    except OSError:
        return False
    return True


def processes_in_sight() -> list[int]:
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())


def own_pid() -> int:
    return os.getpid()


def environments_in_sight() -> str:
    found = ""
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            found += path.read_text(errors="replace")
    return found


def open_descriptors() -> list[str]:
    links = []
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            links.append(os.readlink(f"/proc/self/fd/{fd}"))
    return links


def make_socket(family: int, kind: int) -> None:
    socket.socket(family, kind)


def make_pair() -> None:
    socket.socketpair()


def call_port(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), timeout=5).close()


def connect(address: str) -> None:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect("\0" + address)


def make_uncounted_memory(call: int) -> None:
    kernel.syscall(call, 1 if call == 447 else 4096, 4096, 0o600)


def send_signal(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def trace(pid: int) -> None:
    kernel.syscall(PTRACE, PTRACE_ATTACH, pid, None, None)


def signal_thread(pid: int) -> None:
    kernel.syscall(TGKILL, pid, pid, signal.SIGKILL)


def read_memory_of(pid: int) -> None:
    piece, place = ctypes.create_string_buffer(8), (ctypes.c_size_t * 2)()
    place[0], place[1] = ctypes.addressof(piece), 8
    vector = ctypes.addressof(place)
    kernel.syscall(PROCESS_VM_READV, pid, vector, 1, vector, 1, 0)


def hold(pid: int) -> None:
    """A descriptor for another process, through which a signal would go."""
    held = kernel.syscall(PIDFD_OPEN, pid, 0)
    kernel.syscall(PIDFD_SEND_SIGNAL, held, signal.SIGKILL, None, 0)


def take_descriptor(pid: int) -> None:
    """Even from ourselves: the call is refused whoever is asked."""
    kernel.syscall(PIDFD_GETFD, kernel.syscall(PIDFD_OPEN, os.getpid(), 0) if pid == 0 else pid, 0, 0)


def renice(pid: int) -> None:
    os.setpriority(os.PRIO_PROCESS, pid, 19)


def unshare(flags: int) -> None:
    kernel.unshare(flags)


def clone_into_namespace() -> None:
    if kernel.syscall(CLONE, kernel.CLONE_NEWUSER | signal.SIGCHLD, None, None, None, None) == 0:
        os._exit(0)


def mount_tmpfs() -> None:
    kernel.mount("tmpfs", os.getcwd(), "tmpfs", 0)


def become_root() -> None:
    os.setuid(0)
    if os.getuid() == 0 and not os.access("/", os.W_OK):
        raise PermissionError(errno.EPERM, "root in name only")


def fork_bomb() -> list[int | str]:
    for count in range(10_000):
        try:
            if os.fork() == 0:
                signal.pause()
        except OSError as error:
            return [count, errno.errorcode[error.errno or 0]]
    return [10_000, "no limit"]


def open_many() -> list[int | str]:
    held = []
    for count in range(100_000):
        try:
            held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError as error:
            for fd in held:
                os.close(fd)
            return [count, errno.errorcode[error.errno or 0]]
    return [100_000, "no limit"]


def memory_bomb(size: int) -> None:
    bytearray(size)


def fill(path: str, size: int) -> None:
    with open(path, "wb") as file:
        for _ in range(size >> 16):
            file.write(bytes(1 << 16))


def signal_own_group() -> str:
    """The relay was of it once, and would die of this."""
    _libc.signal(signal.SIGTERM, ctypes.c_void_p(signal.SIG_IGN))  # from any thread
    os.kill(0, signal.SIGTERM)
    return "alive"


def outlive(announce: bool = False) -> None:
    """Leaves the session, forgets PDEATHSIG, forks twice, and stays."""
    _libc.prctl(kernel.PR_SET_PDEATHSIG, 0, 0, 0, 0)
    if os.fork() == 0:
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if announce and os.getppid() == 0:  # the worker, whose parent is out of sight
        print("ready", flush=True)
    signal.pause()


def leave(code: int) -> None:
    if os.fork() == 0:
        signal.pause()
    os._exit(code)


def die(number: int) -> None:
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def abort() -> None:
    os.abort()


def touch_null() -> None:
    ctypes.string_at(0)


def start_program() -> list[Any]:
    done = subprocess.run(["/bin/sh", "-c", "echo $(true | cat; echo fine)"], capture_output=True)
    return [done.returncode, done.stdout.decode().strip()]


def multiply() -> float:
    import torch

    product = torch.ones(256, 256) @ torch.ones(256, 256)
    return float(product.sum())


# ── the zygote ───────────────────────────────────────────────────────────────────────────────


def serve() -> None:
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), flush=True)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        _live(request, sender)
    os.close(sender)
    said = os.read(receiver, 1 << 16)
    if request.get("kill"):
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    said += _rest(receiver)
    os.close(receiver)
    outcome = json.loads(said) if said else {}
    return {**outcome, "death": os.waitstatus_to_exitcode(status)}


def _rest(receiver: int) -> bytes:
    """To the end of the pipe, which is where its last holder died."""
    said = b""
    while select.select([receiver], [], [], SURVIVORS_LIMIT_S)[0]:
        piece = os.read(receiver, 1 << 16)
        if not piece:
            return said
        said += piece
    return json.dumps({"survivors": True}).encode()


def _live(request: dict[str, Any], sender: int) -> None:
    outcome: dict[str, Any]
    try:
        for name in request.get("refused", ()):
            module, _, function = name.rpartition(".")
            setattr(sys.modules[f"{sandbox.__name__}.{module}"], function, _refuse)
        outcome = _enter_and_try(request, sender)
    except SandboxUnavailable as error:
        outcome = {"unavailable": str(error)}
    except Exception as error:  # noqa: BLE001  the test shows it
        outcome = {"broken": repr(error)}
    os.write(sender, json.dumps(outcome).encode())
    os._exit(0)


def _refuse(*arguments: object) -> None:
    raise PermissionError(errno.EPERM, "refused by the test")


def _enter_and_try(request: dict[str, Any], sender: int) -> dict[str, Any]:
    plan = sandbox.default_plan(level=request.get("level", "best-effort"), cuda=False)
    changes: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in request["plan"].items()}
    changes["readable"] = (*plan.readable, *changes.get("readable", ()))
    changes["hidden"] = (*plan.hidden, *changes.get("hidden", ()))
    plan = dataclasses.replace(plan, **changes)
    entered = sandbox.enter(plan, keep_fds=(sender,))
    early = _EarlyThread() if request.get("early") else None
    report = sandbox.close(plan, entered)
    os.environ.update(HOME=plan.scratch, TMPDIR=plan.scratch)
    if request.get("tell"):
        os.write(sender, b'{"ready": true}')
    attack = globals()[request["attack"]]
    run = early.run if early is not None else _run
    return {**run(attack, request["args"]), "holds": report.holds, "missing": report.missing}


def _run(attack: Callable[..., Any], arguments: list[Any]) -> dict[str, Any]:
    try:
        return {"result": attack(*arguments)}
    except OSError as error:
        return {"error": errno.errorcode.get(error.errno or 0, repr(error))}
    except Exception as error:  # noqa: BLE001  the test judges it
        return {"error": type(error).__name__}


class _EarlyThread:
    """Started between the stages, as a GPU driver's are; tries on demand."""

    def __init__(self) -> None:
        self._go = threading.Event()
        self._task: tuple[Callable[..., Any], list[Any]] = (own_pid, [])
        self._outcome: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._wait)
        self._thread.start()

    def _wait(self) -> None:
        self._go.wait()
        self._outcome = _run(*self._task)

    def run(self, attack: Callable[..., Any], arguments: list[Any]) -> dict[str, Any]:
        self._task = (attack, arguments)
        self._go.set()
        self._thread.join()
        return self._outcome


if __name__ == "__main__":
    serve()
