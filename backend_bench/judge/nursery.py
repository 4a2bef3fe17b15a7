"""Ready workers on one device: a few spare children of the zygotes that wait locked in.

A spare is made while the device is shared, never during a timing.
"""

from __future__ import annotations

import collections
import dataclasses
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from backend_bench.errors import WorkerLost
from backend_bench.judge.devices import Lease
from backend_bench.judge.keeper import Keeper
from backend_bench.judge.zygotes import Mode, Zygotes
from backend_bench.submission import Sandbox

SPARES = 2
"""A submission needs two workers, its own and a twin; more would only hold memory."""


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """What kind of worker is wanted."""

    mode: Mode
    sandbox: Sandbox
    memory_bytes: int


class Nursery:
    """Hands out workers that are ready. Use it as a context manager."""

    def __init__(self, device: torch.device, lease: Lease, zygotes: Zygotes, *, threads: int = 1) -> None:
        self.device = device
        self._zygotes = zygotes
        self._lease = lease
        self._threads = threads
        self._spares: dict[Wish, collections.deque[Future[Keeper]]] = {}
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
            for spare in spares:
                if not spare.cancelled() and spare.exception() is None:
                    spare.result().close()

    def take(self, wish: Wish) -> Keeper:
        """A ready worker; a spare where there is one. Raises `WorkerLost` or `SandboxUnavailable`."""
        with self._lock:
            spares = self._spares.setdefault(wish, collections.deque())
            waiting = spares.popleft() if spares else None
        keeper = self._ready(waiting) if waiting else self._make(wish)
        self._refill(wish)
        return keeper or self._make(wish)

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
            spares = self._spares[wish]
            while len(spares) < SPARES and not self._closed:
                spares.append(self._makers.submit(self._make_between_leases, wish))

    def _make_between_leases(self, wish: Wish) -> Keeper:
        with self._lease.shared():
            return self._make(wish)

    def _make(self, wish: Wish) -> Keeper:
        life = self._zygotes.of(wish.mode).spawn(
            level=wish.sandbox,
            memory_bytes=wish.memory_bytes,
            device=str(self.device),
            threads=self._threads,
        )
        keeper = Keeper(life, self.device)
        try:
            keeper.wait_ready()
        except BaseException:
            keeper.close()
            raise
        return keeper
