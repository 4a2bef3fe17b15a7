"""Ready workers on one device: a few spare children of the zygotes that wait locked in.

On a GPU they are made whoever has the device, also during a timing: a context in the making was seen to change no ratio
(docs/design/service-life.md), and it takes longer than all else. On a CPU, where that is a matter of milliseconds, they
are made while the device is shared. Spares of a kind that nobody has asked for lately are let go.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections import OrderedDict, deque
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from backend_bench.errors import WorkerLost
from backend_bench.judge.keeper import Keeper
from backend_bench.judge.zygotes import Mode, Zygote, Zygotes
from backend_bench.leases import Lease, driver_name
from backend_bench.submission import Sandbox

SPARES = 2
"""A submission needs two workers, its own and a twin that it may have from another; more would only hold memory."""


KINDS = 4
"""Of so many kinds spares are kept; limits on memory make a kind, and a client may bring its own."""


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """What kind of worker is wanted."""

    mode: Mode
    sandbox: Sandbox
    memory_bytes: int
    channels: int = 0
    """As of `wire.Spawn`."""
    listens: bool = False
    """As of `wire.Spawn`."""


class Nursery:
    """Hands out workers that are ready. Use it as a context manager."""

    def __init__(self, device: torch.device, lease: Lease, zygotes: Zygotes, *, threads: int = 1) -> None:
        self.device = device
        self._zygotes = zygotes
        self._lease = lease
        self._threads = threads
        self._spares: OrderedDict[Wish, deque[Future[Keeper]]] = OrderedDict()
        self._lock = threading.Lock()
        self._makers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="nursery")
        self._closed = False

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill the spares."""
        self._closed = True
        self._makers.shutdown(wait=True, cancel_futures=True)
        for spares in self._spares.values():
            _close(spares)

    def take(self, wish: Wish) -> Keeper:
        """A ready worker; a spare where there is one. Raises `WorkerLost` or `SandboxUnavailable`.

        Not for a thread that has the device: the spare may be waiting for it, or still be in the making.
        """
        if self._lease.held:
            raise RuntimeError(
                "a worker was asked for in the middle of a lease; ask before taking the device"
            )
        with self._lock:
            spares = self._spares.setdefault(wish, deque())
            self._spares.move_to_end(wish)
            _, unwanted = self._spares.popitem(last=False) if len(self._spares) > KINDS else (None, deque())
            waiting = spares.popleft() if spares else None
        _close(unwanted)
        keeper = self._ready(waiting) if waiting else None
        self._refill(wish)
        return keeper or self.made(wish)

    @staticmethod
    def _ready(waiting: Future[Keeper]) -> Keeper | None:
        """The spare, unless it could not be made or has died since."""
        try:
            keeper = waiting.result()
        except WorkerLost:
            return None
        if keeper.lives:
            return keeper
        keeper.close()
        return None

    def _refill(self, wish: Wish) -> None:
        with self._lock:
            spares = self._spares.get(wish, deque())
            while len(spares) < SPARES and not self._closed:
                spares.append(self._makers.submit(self.made, wish))

    def made(self, wish: Wish) -> Keeper:
        """A new worker, and no spares of its kind. Raises as `take` does."""
        zygote = self._zygotes.of(wish.mode)  # which may take seconds to start: nobody should wait for that
        with self._lease.shared() if self.device.type == "cpu" else contextlib.nullcontext():
            return self._make(zygote, wish)

    def _make(self, zygote: Zygote, wish: Wish) -> Keeper:
        life = zygote.spawn(
            level=wish.sandbox,
            memory_bytes=wish.memory_bytes,
            device="cpu" if self.device.type == "cpu" else f"cuda:{driver_name(self.device)}",
            threads=self._threads,
            channels=wish.channels,
            listens=wish.listens,
        )
        keeper = Keeper(life, self.device, memory_bytes=wish.memory_bytes)
        try:
            keeper.wait_ready()
        except BaseException:
            keeper.close()
            raise
        return keeper


def _close(spares: deque[Future[Keeper]]) -> None:
    for spare in spares:
        if not spare.cancel() and not spare.cancelled() and spare.exception() is None:
            spare.result().close()
