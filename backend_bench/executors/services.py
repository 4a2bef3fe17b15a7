"""The services of this user, looked at and ended from outside; and one run in the foreground.

Judges nothing and shows nothing: what is seen here is drawn in `report`.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from backend_bench import runtime
from backend_bench.errors import ServiceError, UsageError
from backend_bench.executors import conversation, launch, tokens
from backend_bench.runtime import Address
from backend_bench.submission import Sandbox

LOOK_LIMIT_S = 5.0
"""A service answers in milliseconds; one that imports torch is silent for a while."""
END_LIMIT_S = 15.0
"""A service that has not ended so long after it was asked to is killed; its workers die with it."""
LOOK_EVERY_S = 0.5
"""A person watches."""
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Seen:
    """One service that runs."""

    address: Address
    pid: int
    state: dict[str, Any] | None
    """Its queues, what it finished; None where it does not answer (yet)."""


def running() -> list[Seen]:
    """Every service of this user that runs."""
    found = [(address, address.pid()) for address in runtime.known()]
    return [Seen(address, pid, look(address)) for address, pid in found if pid is not None]


def look(address: Address, limit_s: float = LOOK_LIMIT_S) -> dict[str, Any] | None:
    """What a service says about itself; None where it says nothing."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(limit_s)
        question = http.client.HTTPConnection("judge")
        question.sock = line
        try:
            line.connect(str(address.socket))
            question.request("GET", "/v1/service")
            return msgspec.json.decode(question.getresponse().read(), type=dict[str, Any])
        except (OSError, http.client.HTTPException):
            return None


def end(seen: Seen) -> None:
    """End a service and wait until it has gone; killed if need be."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            if seen.address.pid() == seen.pid:
                os.kill(seen.pid, number)
        if _has_gone(seen):
            _clear(seen.address)
            return
    raise ServiceError(f"service {seen.pid} ({seen.address.name}) does not end")


def _clear(address: Address) -> None:
    """Take away the socket of a service that was killed, unless another has begun meanwhile."""
    if (lock := address.try_lock()) is not None:
        address.socket.unlink(missing_ok=True)
        os.close(lock)


def _has_gone(seen: Seen) -> bool:
    deadline = time.monotonic() + END_LIMIT_S
    while time.monotonic() < deadline:
        if seen.address.pid() != seen.pid:
            return True
        time.sleep(_POLL_S)
    return False


@dataclass(frozen=True, slots=True)
class Door:
    """Where a service lets clients of other hosts in."""

    host: str
    port: int
    """0 takes any that is free."""
    token_file: Path

    @classmethod
    def parse(cls, listen: str, token_file: Path) -> Door:
        """From `HOST:PORT`. Raises `UsageError`, also for a file without a token."""
        host, _, port = listen.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise UsageError(f"--listen {listen} is not HOST:PORT")
        tokens.read(token_file)
        return cls(host.strip("[]"), int(port), token_file.absolute())

    def bound(self) -> socket.socket:
        """Its socket, listening; a client whose host has vanished is noticed after a minute."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            listener = socket.create_server((self.host, self.port), family=family)
        except OSError as error:
            raise UsageError(f"cannot listen on {self.host}:{self.port}: {error}") from error
        for level, name, value in conversation.KEEP_ALIVE:
            listener.setsockopt(level, name, value)
        return listener


class Foreground:
    """A service that ends with this process, however that ends. Use it as a context manager.

    With a `door` clients of other hosts come in, at `port`. Raises `ServiceError` where one runs already.
    """

    port: int | None = None

    def __init__(self, sandbox: Sandbox, idle_s: float, door: Door | None = None) -> None:
        launch.require_judge()
        self.address = runtime.address(sandbox)
        lock = self.address.try_lock()
        if lock is None:
            raise ServiceError(
                f"a judge service of this build runs already, process {self.address.pid()}; "
                "`backend-bench doctor` shows it, `backend-bench serve --stop` ends it"
            )
        with contextlib.ExitStack() as held:
            held.callback(os.close, lock)
            log = held.enter_context(launch.open_log(self.address))
            listener = held.enter_context(launch.bound(self.address))
            command = launch.command(
                sandbox, listener=listener.fileno(), lock=lock, idle_s=idle_s, detach=False
            )
            handed = [listener.fileno(), lock]
            if door is not None:
                public = held.enter_context(door.bound())
                self.port = public.getsockname()[1]
                command += ["--public", str(public.fileno()), "--token-file", str(door.token_file)]
                handed.append(public.fileno())
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,  # its end is the service's end
                stdout=log,
                stderr=log,
                cwd="/",
                env=launch.environment(),
                pass_fds=handed,
                start_new_session=True,
            )
            self.address.note(lock, self.pid)

    def __enter__(self) -> Foreground:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            if self._process.poll() is None:
                end(Seen(self.address, self.pid, None))

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def states(self) -> Iterator[dict[str, Any]]:
        """What it says of itself, again and again until it ends. Raises `ServiceError` if it failed."""
        while self._process.poll() is None:
            if (state := look(self.address)) is not None:
                yield state
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(LOOK_EVERY_S)
        if self._process.returncode:
            said = launch.last_words(self.address.log)
            raise ServiceError(f"the judge service failed; its log is {self.address.log} and ends:\n{said}")
