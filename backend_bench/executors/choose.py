"""Which place judges: the one reading of `gpu`, and the seam through which another place is put.

gpu               place
local             this host's GPUs; with none, its CPU
cpu               this host's CPU
http(s)://…       a judge service on another host
H100 …, ray://…   not built in yet: refused, and the message says what to use
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import difflib
import os
import threading
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from backend_bench.cases import SuiteIndex
from backend_bench.errors import UsageError
from backend_bench.executors import Executor
from backend_bench.submission import Device, SuiteSpec

LOCAL = ("local", "cpu")
RENTED = ("T4", "L4", "A10", "L40S", "A100", "A100-80GB", "H100", "H200", "B200")


class Place(Executor, Protocol):
    """An executor that also reads an index without an event loop, which a taskset needs."""

    def read_index(self, spec: SuiteSpec) -> SuiteIndex: ...


_replacement: ContextVar[Place | None] = ContextVar("backend_bench_place", default=None)
_open: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Executor]] = WeakKeyDictionary()


@contextlib.contextmanager
def using(place: Place) -> Iterator[None]:
    """Judge at `place`, whatever `gpu` says, inside this context and the tasks started in it.

    The seam for tests and for programs that bring their own executor.
    """
    token = _replacement.set(place)
    try:
        yield
    finally:
        _replacement.reset(token)


def check(gpu: str) -> None:
    """Raise `UsageError`, and say what to do, unless `gpu` names a place that can be used."""
    if gpu in LOCAL:
        return
    if gpu in RENTED:
        raise UsageError(
            f"gpu={gpu!r}: renting a GPU (Modal) is not built in yet; "
            f"run on a host that has one, with gpu='local'"
        )
    if _is_url(gpu):
        from backend_bench.executors import remote  # only where another host judges

        remote.check(gpu)
        return
    if gpu.startswith("ray://"):
        raise UsageError(
            f"gpu={gpu!r}: judging on a Ray cluster is not built in yet; "
            f"run on one of its hosts, with gpu='local'"
        )
    known = [*LOCAL, *RENTED]
    folded = {name.lower(): name for name in known}
    near = [folded[name] for name in difflib.get_close_matches(gpu.lower(), folded, n=3)]
    hint = f"did you mean {' or '.join(near)}?" if near else f"it is one of {', '.join(known)}, or a URL"
    raise UsageError(f"gpu={gpu!r} is not a place that judges; {hint}")


def choose(gpu: str) -> Executor:
    """The executor for `gpu`: one for each place and event loop, closed by `release`.

    Raises `UsageError` for a place that does not exist or is not built in. Call it in a coroutine.
    """
    check(gpu)
    if (place := _replacement.get()) is not None:
        return place
    places = _open.setdefault(asyncio.get_running_loop(), {})
    if gpu not in places:
        places[gpu] = _make(gpu)
    return places[gpu]


def _make(gpu: str) -> Executor:
    if _is_url(gpu):
        from backend_bench.executors.remote import RemoteExecutor  # only where another host judges

        return RemoteExecutor(gpu)
    from backend_bench.executors.local import LocalExecutor  # only where this host judges

    return LocalExecutor()


def _is_url(gpu: str) -> bool:
    return gpu.startswith(("http://", "https://"))


async def release() -> None:
    """Close what `choose` opened for the running event loop."""
    for executor in _open.pop(asyncio.get_running_loop(), {}).values():
        await executor.aclose()


def read_index(gpu: str, spec: SuiteSpec) -> SuiteIndex:
    """The suite's index at the place of `gpu`, read without an event loop and without torch."""
    check(gpu)
    if (place := _replacement.get()) is not None:
        return place.read_index(spec)
    if _is_url(gpu):
        from backend_bench.executors import remote  # only where another host judges

        return remote.read_index(gpu, spec)
    from backend_bench.executors import local  # only where this host judges

    return local.read_index(spec)


def device(gpu: str) -> Device:
    """Where tensors live at the place of `gpu`; told without torch and without a CUDA context."""
    check(gpu)
    if _is_url(gpu):
        from backend_bench.executors import remote  # only where another host judges

        return remote.device(gpu)
    return "cuda" if gpu != "cpu" and _has_gpu() else "cpu"


def gpu_facts(gpu: str) -> Mapping[str, Any] | None:
    """What the place of `gpu` tells about its first GPU; None where it has none. Needs no event loop, nor disturbs one."""
    found: list[Mapping[str, Any] | Exception] = []

    async def ask() -> Mapping[str, Any]:
        try:
            return await choose(gpu).machine()
        finally:
            await release()

    def run() -> None:
        try:
            found.append(asyncio.run(ask()))
        except Exception as error:  # noqa: BLE001  # raised by the caller's thread, below
            found.append(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,), name="machine facts")
    thread.start()
    thread.join()
    if isinstance(found[0], Exception):
        raise found[0]
    gpus = found[0].get("gpus") or []
    return gpus[0] if gpus else None


def _has_gpu() -> bool:
    """Whether the driver offers this process a device."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return False
    return any(Path("/dev").glob("nvidia[0-9]*"))
