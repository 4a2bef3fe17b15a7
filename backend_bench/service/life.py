"""The life of a service: it serves until it is told to stop, or nobody has asked it anything for long.

Its socket was bound by its starter. When it ends it takes the socket away first, so that whoever comes
then starts another.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn

import backend_bench
from backend_bench.service.application import application
from backend_bench.service.guard import App, Guard, Impatient
from backend_bench.service.judges import Judges

KEEP_ALIVE_S = 3600
"""An idle connection of a client that thinks for an hour is not closed under it."""
STRANGERS = 512
"""Connections of other hosts at once; each in flight is one. More are told to come later."""
ENDING = b'{"error":"ending","message":"the judge service was ended; ask again"}'
"""What it says then; clients of this host find another, or start one."""
LAST_ANSWERS_S = 1
"""Requests that are still open when the service ends get so long; their clients ask again elsewhere."""


class Idle:
    """Counts what is asked, and calls `end` when nothing has been for `limit_s`."""

    def __init__(self, limit_s: float, end: Callable[[], None]) -> None:
        self.limit_s = limit_s
        self._end = end
        self._open = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Something is asked."""
        self._open += 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def finish(self) -> None:
        """It has been answered."""
        self._open -= 1
        self.wait()

    def wait(self) -> None:
        """Begin to be idle, if nothing is open."""
        if self._open == 0 and self.limit_s != float("inf"):
            self._timer = asyncio.get_running_loop().call_later(self.limit_s, self._end)


@dataclass(frozen=True, slots=True)
class Public:
    """A second door, for clients of other hosts."""

    listener: socket.socket
    token: str


class Life:
    """One service, from a bound socket to its end."""

    def __init__(
        self, judges: Judges, listener: socket.socket, *, idle_s: float, public: Public | None = None
    ) -> None:  # fmt: skip
        self._judges = judges
        self._path = listener.getsockname()
        self._started = time.monotonic()
        self._idle = Idle(idle_s, self.stop)
        ours = application(judges, state=self.state, stop=self.stop)
        self._doors = [(_Server(_config(ours, self._idle)), listener)]
        if public is not None:
            theirs = Guard(application(judges, state=self.state, stop=None), public.token)
            config = _config(theirs, self._idle, limit_concurrency=STRANGERS, http=Impatient)
            self._doors.append((_Server(config), public.listener))

    async def live(self) -> None:
        """Serve to the end; afterwards no worker is left."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.stop)
        self._idle.wait()
        await self._judges.warm()
        try:
            await asyncio.gather(*(server.serve(sockets=[listener]) for server, listener in self._doors))
        finally:
            self._vanish()
            await self._judges.close()

    def stop(self) -> None:
        """Come to an end."""
        self._vanish()
        for server, _ in self._doors:
            server.should_exit = True

    def state(self) -> dict[str, Any]:
        """What the view of a service shows; plain JSON."""
        return {
            "pid": os.getpid(),
            "version": backend_bench.__version__,
            "up_s": round(time.monotonic() - self._started, 1),
            "idle_limit_s": None if self._idle.limit_s == float("inf") else self._idle.limit_s,
            "warm": self._judges.is_warm,
            "devices": self._judges.state(),
            "finished": list(self._judges.finished),
        }

    def _vanish(self) -> None:
        """Nobody shall find it any more; the address is still ours while the lock is."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)


def _config(app: App, idle: Idle, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        _counting(_saying_its_end(app), idle),
        log_level="warning",
        lifespan="off",
        ws="none",
        **more,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=LAST_ANSWERS_S,
    )


class _Server(uvicorn.Server):
    """Leaves signals to `Life`: uvicorn would raise them again before the judges are closed."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _saying_its_end(app: App) -> App:
    """A request that is given up with the service is answered so; uvicorn would answer 500, which is nothing to ask again for."""

    async def said(scope: Any, receive: Any, send: Any) -> None:
        begun = False

        async def noted(message: Any) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await app(scope, receive, noted)
        except asyncio.CancelledError:
            if begun or scope["type"] != "http":
                raise
            headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": 503, "headers": headers})
            await send({"type": "http.response.body", "body": ENDING})

    return said


def _counting(app: App, idle: Idle) -> App:
    """Everything but a look at the service keeps it alive."""

    async def counted(scope: Any, receive: Any, send: Any) -> None:
        if scope.get("path") == "/v1/service":
            await app(scope, receive, send)
            return
        idle.begin()
        try:
            await app(scope, receive, send)
        finally:
            idle.finish()

    return counted
