"""Starts a judge service where none listens: under a lock, detached, and never two at one address.

Whoever holds an address's lock may bind its socket. The starter takes the lock, binds, and hands both
to the service, which keeps them until it ends: so a service that is still importing torch can be
connected to already, and one that was killed leaves a free lock and a stale socket, which the next
starter removes. Does not speak to services, and imports no torch.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from backend_bench import runtime
from backend_bench.errors import ServiceError, UsageError, need
from backend_bench.judge.zygotes import STEADY_HEAP
from backend_bench.runtime import Address
from backend_bench.submission import Sandbox

IDLE_S = 600.0
"""A service that nobody has asked anything for so long ends."""
START_LIMIT_S = 60.0
"""From finding no service to a bound socket; imports come later and have no share in it."""
LOG_BYTES = 1 << 20
"""A log that has grown beyond this is begun anew by the next service."""
_POLL_S = 0.02
"""How often somebody else's start, or end, is looked at."""
_BACKLOG = 1024
"""Clients that connect while torch is imported wait here."""
_TAIL = 4000
"""Characters of a service's own words in an error."""


def ensure(address: Address, sandbox: Sandbox) -> None:
    """Return when a service listens at the address; start it if need be.

    Raises `ServiceError`, and `MissingExtra` where the judge's side is not installed.
    """
    deadline = time.monotonic() + START_LIMIT_S
    while not listens(address):
        if (lock := address.try_lock()) is not None:
            try:
                if not listens(address):
                    _detach(address, sandbox, lock)
            finally:
                os.close(lock)
        elif time.monotonic() > deadline:
            raise ServiceError(
                f"process {address.pid()} holds {address.lock} but does not listen after {START_LIMIT_S:g} s; "
                f"end it and try again; its log is {address.log}"
            )
        else:
            time.sleep(_POLL_S)  # another process is starting one, or an old one is leaving


def listens(address: Address) -> bool:
    """Whether somebody can be connected to there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(os.fspath(address.socket))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True


def command(sandbox: Sandbox, *, listener: int, lock: int, idle_s: float, detach: bool) -> list[str]:
    """How a service is started by name; `listener` and `lock` are descriptors that it is handed."""
    # -P: a file of the folder that we are in must not stand in for a module.
    base = [sys.executable, "-P", "-m", "backend_bench.service", "--listener", str(listener)]
    base += ["--lock", str(lock), "--sandbox", sandbox, "--idle", str(idle_s)]
    return [*base, "--detach"] if detach else base


def environment() -> dict[str, str]:
    """What the service sees of this process; it has no use for an API key, whatever its name is."""
    return runtime.inherited(os.environ) | STEADY_HEAP  # the judge copies the same sizes again and again


def require_judge() -> None:
    """Raise `MissingExtra` where the judge's side is not installed."""
    for module in ("torch", "fastapi", "uvicorn", "expecttest", "numpy"):
        need(module, "judge", f"judging on this host needs {module}")


def open_log(address: Address) -> IO[bytes]:
    """The address's log, to be written on; begun anew where it has grown long."""
    too_long = address.log.exists() and address.log.stat().st_size > LOG_BYTES
    return open(
        address.log, "wb" if too_long else "ab", opener=lambda path, flags: os.open(path, flags, 0o600)
    )


@contextlib.contextmanager
def bound(address: Address) -> Iterator[socket.socket]:
    """The address's socket, listening. Only for who holds the lock: what lay there before is stale."""
    address.socket.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(os.fspath(address.socket))
        listener.listen(_BACKLOG)
        yield listener


def idle_limit_s() -> float:
    """After how many idle seconds a service that is started here ends."""
    text = os.environ.get(runtime.IDLE, "")
    try:
        limit_s = float(text or IDLE_S)
    except ValueError:
        limit_s = -1.0
    if not 0 < limit_s < float("inf"):
        raise UsageError(f"{runtime.IDLE}={text!r} is no number of seconds above 0")
    return limit_s


def last_words(log: Path) -> str:
    """The end of a log; empty where there is none."""
    try:
        return log.read_text(errors="replace")[-_TAIL:].strip()
    except OSError:
        return ""


def _check_room(address: Address, lock: int) -> None:
    """A service on a full disk would die without a word: there is no room for its log either."""
    try:
        address.note(lock, os.getpid())
    except OSError as error:
        raise ServiceError(
            f"the judge service was not started: {address.lock} cannot be written: {error.strerror}"
        ) from error


def _detach(address: Address, sandbox: Sandbox, lock: int) -> None:
    """Start a service that outlives this process and shares nothing with it but an allow-list."""
    require_judge()
    _check_room(address, lock)
    with open_log(address) as log, bound(address) as listener:
        done = subprocess.run(
            command(sandbox, listener=listener.fileno(), lock=lock, idle_s=idle_limit_s(), detach=True),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=environment(),
            pass_fds=(listener.fileno(), lock),
            start_new_session=True,
            check=False,
        )
    if done.returncode:
        raise ServiceError(
            f"the judge service did not start; its log is {address.log} and ends:\n{last_words(address.log)}"
        )
