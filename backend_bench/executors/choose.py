"""Which place judges: the one reading of `gpu`, and the seam through which another place is put.

gpu               place
local             this host's GPUs; with none, its CPU
cpu               this host's CPU
http(s)://…       a judge service on another host
H100 …, ray://…   not built in yet: refused, and the message says what to use

Each kind of place is a module (`Kind`), imported when it is first named.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import importlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Protocol, cast
from weakref import WeakKeyDictionary

from backend_bench.cases import SuiteIndex
from backend_bench.errors import UsageError
from backend_bench.executors import Executor
from backend_bench.submission import Device, SuiteSpec

LOCAL = ("local", "cpu")
RENTED = ("T4", "L4", "A10", "L40S", "A100", "A100-80GB", "H100", "H200", "B200")


class Kind(Protocol):
    """What a module offers for the places that it knows."""

    def check(self, gpu: str) -> None:
        """Raise `UsageError`, and say what to do, unless this place can be used."""

    def executor(self, gpu: str) -> Executor:
        """The way there; called in a coroutine."""

    def read_index(self, gpu: str, spec: SuiteSpec) -> SuiteIndex:
        """A suite's index at that place, without an event loop and without torch."""

    def device(self, gpu: str) -> Device:
        """Where tensors live there, without torch and without a CUDA context."""


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
    _kind(gpu).check(gpu)


def choose(gpu: str) -> Executor:
    """The executor for `gpu`: one for each place and event loop, closed by `release`.

    Raises `UsageError` for a place that does not exist or is not built in. Call it in a coroutine.
    """
    check(gpu)
    if (place := _replacement.get()) is not None:
        return place
    places = _open.setdefault(asyncio.get_running_loop(), {})
    if gpu not in places:
        places[gpu] = _kind(gpu).executor(gpu)
    return places[gpu]


async def release() -> None:
    """Close what `choose` opened for the running event loop."""
    for executor in _open.pop(asyncio.get_running_loop(), {}).values():
        await executor.aclose()


def read_index(gpu: str, spec: SuiteSpec) -> SuiteIndex:
    """The suite's index at the place of `gpu`, read without an event loop and without torch."""
    check(gpu)
    if (place := _replacement.get()) is not None:
        return place.read_index(spec)
    return _kind(gpu).read_index(gpu, spec)


def device(gpu: str) -> Device:
    """Where tensors live at the place of `gpu`; told without torch and without a CUDA context."""
    check(gpu)
    return _kind(gpu).device(gpu)


def _kind(gpu: str) -> Kind:
    """The module that knows `gpu`, imported now. Raises `UsageError` for a name that nobody knows."""
    if gpu in LOCAL:
        return _module("local")
    if gpu.startswith(("http://", "https://")):
        return _module("remote")
    if gpu in RENTED:
        raise UsageError(
            f"gpu={gpu!r}: renting a GPU (Modal) is not built in yet; "
            f"run on a host that has one, with gpu='local'"
        )
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


def _module(name: str) -> Kind:
    return cast(Kind, importlib.import_module(f"backend_bench.executors.{name}"))
