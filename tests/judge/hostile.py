"""Workers without a process, whose replies somebody tampers with: for tests of what the judge makes of them.

The far side is the real one (`worker.inside`), in a thread, so that its frames are honest up to the point where a
`Trick` takes one of them and sends what it likes. Nothing here is about what a kernel computes.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import torch

from backend_bench import wire
from backend_bench.judge import cores
from backend_bench.judge.keeper import Keeper
from backend_bench.judge.nursery import Wish
from backend_bench.judge.stay import Stay
from backend_bench.judge.twins import Twins
from backend_bench.judge.zygotes import Life
from backend_bench.leases import Lease
from backend_bench.worker import inside

CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Line:
    """What a trick has: the raw socket, the honest reply, and the replies before it."""

    sock: socket.socket
    honest: bytes
    """The reply that the worker meant, without its header."""
    before: tuple[bytes, ...]

    def send(self, body: bytes, fds: tuple[int, ...] = ()) -> None:
        """A frame whose header says what it is."""
        self.raw(struct.pack(">I", len(body)) + body, fds)

    def raw(self, data: bytes, fds: tuple[int, ...] = ()) -> None:
        sent = socket.send_fds(self.sock, [data], list(fds)) if fds and data else 0
        self.sock.sendall(data[sent:])

    def hang_up(self) -> None:
        self.sock.shutdown(socket.SHUT_RDWR)


Trick = Callable[[Line], None]


class _Tampered(wire.Channel):
    """A worker's end of the channel. Its replies go through the trick, `times` of them, from the `at`-th on that it gives
    with the candidate's source in hand; number 0 is the one that says that the source is loaded."""

    def __init__(self, sock: socket.socket, trick: Trick, at: int, times: int) -> None:
        super().__init__(sock)
        self._raw, self._trick, self._at, self._times = sock, trick, at, times
        self._loads = 0
        self._sent: list[bytes] = []

    def receive_with_fds(self, kind: Any, **limits: Any) -> Any:
        """Without the watch over own work: this thread shares its operators with the judge."""
        frame, fds = super().receive_with_fds(kind, **limits)
        if isinstance(frame, wire.Load):
            frame = msgspec.structs.replace(frame, own_work=False)
        return frame, fds

    def send(self, frame: msgspec.Struct, fds: Any = (), *, limit_s: float = 30.0) -> None:
        body = msgspec.json.encode(frame)
        self._loads += isinstance(frame, wire.Loaded)
        try:
            self._reply(Line(self._raw, body, tuple(self._sent)))
        except OSError as error:
            raise wire.ChannelClosed from error

    def _reply(self, line: Line) -> None:
        if self._loads < 2:  # the first is the reference's
            return line.send(line.honest)
        use = self._trick if self._at <= len(self._sent) < self._at + self._times else honestly
        self._sent.append(line.honest)
        return use(line)


def honestly(line: Line) -> None:
    """The trick of an honest worker."""
    line.send(line.honest)


@dataclass(slots=True)
class Crew:
    """Hands out workers that are threads, as a nursery does. The first one becomes the candidate's, and only it plays tricks."""

    folder: Path
    trick: Trick = honestly
    at: int = 0
    """Number of the first reply that the trick has."""
    times: int = 1
    device: torch.device = CPU
    threads: list[threading.Thread] = field(default_factory=list)

    def take(self, wish: Wish) -> Keeper:
        """A worker that is locked in, as far as anybody can tell."""
        first = not self.threads
        ours, theirs = wire.Channel.pair()
        life = Life(len(self.threads), ours)
        life.spawned.set()
        keeper = Keeper(life, CPU, memory_bytes=wish.memory_bytes)
        keeper.sandbox = wire.Ready("best-effort", ("none: it is a thread",), ())
        trick, at = (self.trick, self.at) if first else (honestly, 0)
        thread = threading.Thread(
            target=_live, args=(_Tampered(theirs, trick, at, self.times), life, self.folder), daemon=True
        )
        self.threads.append(thread)
        thread.start()
        return keeper

    def close(self) -> None:
        """Every thread has ended; one that has not is a bug of this file."""
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()

    def stay(self, lease: Lease) -> Stay:
        nursery: Any = self  # stands in for one
        return Stay(nursery, Twins(nursery), lease, cores.UNDIVIDED)


def _live(channel: wire.Channel, life: Life, folder: Path) -> None:
    try:
        with contextlib.suppress(wire.ChannelClosed, wire.ChannelTimeout, wire.BadFrame, AssertionError):
            inside.live(channel, device=CPU, folder=folder)
    finally:
        channel.close()
        life.status = 0
        life.gone.set()


@contextlib.contextmanager
def descriptors(count: int) -> Iterator[tuple[int, ...]]:
    """Some descriptors to send along."""
    made: list[int] = []
    try:
        made += [os.memfd_create("stray") for _ in range(count)]
        yield tuple(made)
    finally:
        for fd in made:
            os.close(fd)
