"""A Ray cluster judges: on each of its GPUs sits an actor that asks the judge service of its own host.

Ray finds the GPUs, places the actors, carries requests, and tells of nodes that come and go; what a lost node had in
hand is given to another here, because Ray would lose it or repeat it for ever. A cluster without GPUs judges on its CPUs, one
actor a node. Every client of a cluster finds the same actors by their names; one that nobody has asked anything
for ten minutes ends, and its GPU is free. Starts no cluster, and installs nothing on its nodes: they have this package,
`[judge,ray]`, in the same version.

    ray://auto                       the cluster that this host is a part of
    ray://HOST:10001                 a cluster elsewhere, through Ray's client
    …?accelerator=H100               only its GPUs of that type, as Ray calls it
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qsl, urlsplit

import msgspec

from backend_bench import __version__, runtime
from backend_bench.cases import SuiteIndex
from backend_bench.errors import MissingExtra, NotJudged, ServiceError, UsageError, need
from backend_bench.executors import Executor, launch
from backend_bench.executors.local import LocalExecutor
from backend_bench.executors.sharing import Places
from backend_bench.submission import Device, Submission, SuiteSpec
from backend_bench.verdict import Verdict

try:
    import ray
    from ray.exceptions import RayError, RayTaskError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError as error:
    raise MissingExtra("ray", "judging on a Ray cluster needs ray") from error

T = TypeVar("T")
log = logging.getLogger(__name__)

NAMESPACE = "backend-bench"
"""Ray's namespace in which the actors have their names."""
EACH = 8
"""Submissions that one client has at one actor at once: a GPU's judge works at four, and the rest is at hand."""
TRIES = 3
"""Judges that one submission may see lost. For its last try it is alone at a judge: one that is lost then was ended by it."""
LOOK_EVERY_S = 2.0
"""A cluster tells nobody of a new node; it is looked at while there is work."""
AGAIN_S = 10.0
"""Before a judge that did not begin is asked for again: Ray takes so long to notice that a node is dead."""
CONNECT_TRIES = 3
"""Ray's server for clients forks for each; now and then that child hangs, and the server gives up after half a minute."""
BEGIN_LIMIT_S = 600.0
"""While no judge at all has begun, because every GPU is taken or a node is still coming, this long is waited."""

Outcome = Literal["done", "usage", "unjudged", "fault"]
Reply = tuple[Outcome, bytes]
"""What an actor answers: JSON, or what is wrong, as text. No exception of ours crosses Ray."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What `gpu=ray://…` says."""

    address: str
    """As `ray.init` takes it: `auto`, or `ray://HOST:PORT`."""
    accelerator: str | None = None
    """Ray's name for the type of GPU that is wanted; None takes any."""

    @classmethod
    def parse(cls, gpu: str) -> Cluster:
        """Raises `UsageError`."""
        parts = urlsplit(gpu)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        accelerator = options.pop("accelerator", None)
        try:
            sound = parts.netloc == "auto" or (parts.hostname and parts.port)
        except ValueError:
            sound = False
        if not sound or parts.path not in ("", "/") or parts.fragment or options or accelerator == "":
            raise UsageError(
                f"gpu={gpu!r} is no cluster; it looks like ray://auto or ray://host:10001, "
                "and ?accelerator=H100 may follow"
            )
        return cls("auto" if parts.netloc == "auto" else f"ray://{parts.netloc}", accelerator)

    def __str__(self) -> str:
        start = "ray://auto" if self.address == "auto" else self.address
        return f"{start}?accelerator={self.accelerator}" if self.accelerator else start


@dataclass(frozen=True, slots=True)
class Seat:
    """A place of the cluster where one judge can be: a GPU of a node, or a node without."""

    node: str
    """Ray's id of the node."""
    number: int
    """Which of the node's GPUs; Ray says which of them that is."""
    device: Device
    """What the judge there is for."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What an actor says of itself."""

    version: str
    host: str
    pid: int
    gpus: str
    """What it sees of the node's GPUs, as `CUDA_VISIBLE_DEVICES` says it."""


class Lost(Exception):
    """A judge, or the way to it, is gone; what it had in hand may or may not have been judged."""


class Actor:
    """On a node: asks the judge service there, and ends when nobody has asked it anything for long.

    Ray lets it see one GPU, so that service judges on that one; it is the service of every other door, started on demand.
    """

    def __init__(self, make: Callable[[], Executor], idle_s: float) -> None:
        # Ray sets this for its workers, and it is a part of a service's name.
        os.environ.pop("OMP_NUM_THREADS", None)
        self._executor = make()
        self._open = 0
        self._last = time.monotonic()
        itself = ray.get_runtime_context().current_actor
        threading.Thread(target=self._end_when_idle, args=(idle_s, itself), daemon=True).start()

    async def hello(self) -> Reply:
        """Who this is. Whoever asks keeps it alive."""
        with self._awake():
            gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "")
            said = Hello(__version__, ray.util.get_node_ip_address(), os.getpid(), gpus)
            return "done", msgspec.json.encode(said)

    async def submit(self, body: bytes) -> Reply:
        """A submission's verdict."""
        submission = msgspec.json.decode(body, type=Submission)
        return await self._answer(lambda: self._executor.submit(submission))

    async def index(self, body: bytes) -> Reply:
        """A suite's index."""
        spec = msgspec.json.decode(body, type=SuiteSpec)
        return await self._answer(lambda: self._executor.index(spec))

    async def machine(self) -> Reply:
        """Facts about the node."""
        return await self._answer(self._executor.machine)

    async def _answer(self, ask: Callable[[], Any]) -> Reply:
        with self._awake():
            try:
                return "done", msgspec.json.encode(await ask())
            except UsageError as error:
                return "usage", str(error).encode()
            except NotJudged as error:
                return "unjudged", str(error).encode()
            except ServiceError as error:
                return "fault", str(error).encode()

    @contextlib.contextmanager
    def _awake(self) -> Iterator[None]:
        """Not idle inside."""
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1
            self._last = time.monotonic()

    def _end_when_idle(self, idle_s: float, itself: Any) -> None:
        """Also where its client has gone before Ray had room for it."""
        while self._open or time.monotonic() - self._last < idle_s:
            time.sleep(min(idle_s, 1.0))
        ray.kill(itself)


@dataclass(eq=False, slots=True)
class Judge:
    """One actor, as this client knows it."""

    seat: Seat
    handle: Any
    hello: Hello


class RayExecutor:
    """Judges on a cluster. `make` is what each actor asks, this package's own way to its host unless a test says otherwise."""

    def __init__(self, cluster: Cluster, make: Callable[[], Executor] = LocalExecutor) -> None:
        self.cluster = cluster
        self._make = make
        self._places: Places[Judge] = Places(EACH)
        self._beginning: dict[Seat, asyncio.Task[None]] = {}
        self._refused: dict[Seat, tuple[float, str]] = {}
        """Judges that did not begin: when, and why."""
        self._watch: asyncio.Task[None] | None = None
        self._alone_since = time.monotonic()

    async def submit(self, submission: Submission) -> Verdict:
        """Judge one kernel, at another judge where one is lost. Raises `UsageError` and `ServiceError`."""
        verdict, waited_s = await self._ask_one("submit", submission, Verdict)
        return _with_waiting(verdict, waited_s)

    async def index(self, spec: SuiteSpec) -> SuiteIndex:
        """The suite's operators and cases there."""
        index, _ = await self._ask_one("index", spec, SuiteIndex)
        return index

    async def machine(self) -> Mapping[str, Any]:
        """Facts about one of the nodes, and who judges."""
        facts, _ = await self._ask_one("machine", None, dict[str, Any])
        judges = [
            {"host": judge.hello.host, "gpus": judge.hello.gpus, "device": judge.seat.device}
            for judge in self._places
        ]
        return {**facts, "ray": {"cluster": str(self.cluster), "version": ray.__version__, "judges": judges}}

    async def aclose(self) -> None:
        """Let go of the actors. They live on until they are idle for long; the connection is this process's."""
        tasks = [*self._beginning.values(), *([self._watch] if self._watch else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._watch = None

    async def _ask_one(self, what: str, body: object, answer: type[T]) -> tuple[T, float]:
        """Ask a judge, and another where that one is lost; and how long there was no place at any, in seconds."""
        asked, losses = time.monotonic(), 0
        content = () if body is None else (msgspec.json.encode(body),)
        while losses < TRIES:
            async with self._seated(alone=losses == TRIES - 1) as judge:
                waited_s = time.monotonic() - asked
                if not await self._lives(judge):
                    continue
                try:
                    return await _ask(getattr(judge.handle, what), *content, answer=answer), waited_s
                except Lost as error:
                    log.warning("a judge of %s on %s is lost: %s", self.cluster, judge.hello.host, error)
                    self._places.leave(judge)
                    losses += 1
        raise NotJudged(
            f"{TRIES} judges of {self.cluster} were lost one after the other while they were at work on this, the last one "
            f"with nothing else in hand ({what}); no other is given it"
        )

    async def _lives(self, judge: Judge) -> bool:
        """Whether it is still there: one that was idle may have ended, and no kernel is to blame for that."""
        try:
            await _ask(judge.handle.hello, answer=Hello)
        except Lost:
            self._places.leave(judge)
            return False
        return True

    def _seated(self, *, alone: bool = False) -> contextlib.AbstractAsyncContextManager[Judge]:
        """A place at a judge; while there is work, the cluster is watched."""
        if self._watch is None or self._watch.done():
            self._alone_since = time.monotonic()
            self._watch = asyncio.create_task(self._look_again_and_again())
        return self._places.one(alone=alone)

    async def _look_again_and_again(self) -> None:
        while self._places.busy:
            try:
                seats = await asyncio.to_thread(_seats, self.cluster)
            except (UsageError, ServiceError) as error:
                self._places.fail(error)
            else:
                self._settle(seats)
            await asyncio.sleep(LOOK_EVERY_S)

    def _settle(self, seats: list[Seat]) -> None:
        """Ask for a judge wherever there is none, and tell who waits if there will be none."""
        now = time.monotonic()
        taken = {judge.seat for judge in self._places} | set(self._beginning)
        for seat in set(seats) - taken:
            since, _ = self._refused.get(seat, (-AGAIN_S, ""))
            if now - since >= AGAIN_S:
                self._beginning[seat] = asyncio.create_task(self._begin(seat))
        if list(self._places):
            self._alone_since = now
        elif not self._beginning or now - self._alone_since > BEGIN_LIMIT_S:
            reasons = {why for seat, (_, why) in self._refused.items() if seat in seats}
            self._places.fail(ServiceError(_nobody(self.cluster, seats, sorted(reasons))))

    async def _begin(self, seat: Seat) -> None:
        """Have a judge at that seat: the one that is there, or a new one as soon as Ray has room for it."""
        try:
            handle = await asyncio.to_thread(_actor, seat, self._make)
            hello = await _ask(handle.hello, answer=Hello)
            if hello.version != __version__:
                raise Lost(
                    f"{hello.host} has backend-bench {hello.version}, not {__version__}: install the same"
                )
        except (Lost, RayError, ServiceError) as error:
            log.warning("no judge of %s at %s: %s", self.cluster, seat, error)
            self._refused[seat] = (time.monotonic(), str(error))
        else:
            self._refused.pop(seat, None)
            self._places.join(Judge(seat, handle, hello))
        finally:
            del self._beginning[seat]


def check(gpu: str) -> None:
    """Raise `UsageError` unless this is the address of a cluster; it is not asked whether it is there."""
    cluster = Cluster.parse(gpu)
    if cluster.address != "auto":
        need("grpc", "ray", "a Ray cluster elsewhere is spoken to through grpcio")


def executor(gpu: str) -> RayExecutor:
    """The way to that cluster."""
    return RayExecutor(Cluster.parse(gpu))


def read_index(gpu: str, spec: SuiteSpec) -> SuiteIndex:
    """A suite's index at that cluster, read without an event loop."""

    async def ask() -> SuiteIndex:
        there = executor(gpu)
        try:
            return await there.index(spec)
        finally:
            await there.aclose()

    with ThreadPoolExecutor(1) as thread:  # the caller's may have a loop that runs
        return thread.submit(asyncio.run, ask()).result()


@functools.cache
def device(gpu: str) -> Device:
    """Where tensors live there: on its GPUs if it has any."""
    return _seats(Cluster.parse(gpu))[0].device


def steps(gpu: str) -> list[tuple[str, Callable[[], str]]]:
    """What `doctor` looks at."""
    return [
        ("extra", lambda: f"ray {ray.__version__} is installed"),
        ("cluster", lambda: _described(Cluster.parse(gpu))),
    ]


def _described(cluster: Cluster) -> str:
    seats = _seats(cluster)
    hosts = len({seat.node for seat in seats})
    if seats[0].device == "cuda":
        return f"{len(seats)} GPUs on {hosts} nodes"
    return f"no GPU; the CPUs of {hosts} nodes judge"


async def _ask(method: Any, *body: bytes, answer: type[T]) -> T:
    """Call an actor. Raises `Lost`; what is cancelled here is given up there, too."""
    reference = method.remote(*body)
    reply = asyncio.ensure_future(asyncio.wrap_future(reference.future()))
    try:
        outcome, content = await asyncio.shield(
            reply
        )  # Ray's client does not expect its futures to be cancelled
    except asyncio.CancelledError:
        reply.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.to_thread(ray.cancel, reference)
        raise
    except RayTaskError as error:
        raise ServiceError(f"a judge's actor failed: {error}") from error
    except (RayError, ConnectionError) as error:
        raise Lost(_first_line(error)) from error
    if outcome == "usage":
        raise UsageError(content.decode())
    if outcome == "unjudged":
        raise NotJudged(content.decode())
    if outcome == "fault":
        raise ServiceError(content.decode())
    return msgspec.json.decode(content, type=answer)


def _seats(cluster: Cluster) -> list[Seat]:
    """Where judges can be. Raises `UsageError` where the cluster has no such GPU, `ServiceError` where it has nothing."""
    nodes = [node for node in _nodes(cluster) if node["Alive"]]
    gpus = [
        Seat(node["NodeID"], number, "cuda")
        for node in nodes
        if cluster.accelerator is None or f"{_TYPE}{cluster.accelerator}" in node["Resources"]
        for number in range(int(node["Resources"].get("GPU", 0)))
    ]
    if gpus:
        return gpus
    if cluster.accelerator is not None:
        types = {
            name.removeprefix(_TYPE) for node in nodes for name in node["Resources"] if name.startswith(_TYPE)
        }
        raise UsageError(
            f"{cluster} has no GPU of that type; it has {', '.join(sorted(types)) or 'none of any type'}"
        )
    cpus = [Seat(node["NodeID"], 0, "cpu") for node in nodes if node["Resources"].get("CPU", 0) >= 1]
    if not cpus:
        raise ServiceError(f"{cluster} has neither GPUs nor CPUs to judge on")
    return cpus


_TYPE = "accelerator_type:"
"""How Ray names the resource that tells of a node's type of GPU."""
_connecting = threading.Lock()


def _nodes(cluster: Cluster) -> list[dict[str, Any]]:
    try:
        _connect(cluster)
        found: list[dict[str, Any]] = ray.nodes()
    except (RayError, ConnectionError, RuntimeError, TimeoutError) as error:
        hint = (
            "is this host a part of it (ray start --address …)?"
            if cluster.address == "auto"
            else "is its head up?"
        )
        raise ServiceError(f"{cluster} cannot be reached: {_first_line(error)} {hint}") from error
    return found


_connected: list[str] = []
"""The address that this process is connected to, if it was connected here: Ray has one connection a process."""


def _connect(cluster: Cluster) -> None:
    """Connect this process, once; a trainer that uses Ray itself is connected already. Raises `UsageError`."""
    with _connecting:
        if ray.is_initialized():
            if cluster.address not in ("auto", *_connected):
                raise UsageError(
                    f"this process is connected to another Ray cluster and can have one only: use ray://auto, not {cluster}"
                )
            return
        connect = functools.partial(
            ray.init,
            cluster.address,
            namespace=NAMESPACE,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        with ThreadPoolExecutor(1) as thread:  # in the main one Ray would take SIGTERM for itself
            for left in reversed(range(CONNECT_TRIES)):
                try:
                    thread.submit(connect).result()
                    break
                except ConnectionAbortedError:
                    if not left:
                        raise
        _connected[:] = [cluster.address]


def _actor(seat: Seat, make: Callable[[], Executor]) -> Any:
    """The actor of that seat, made unless it is there; Ray starts it when it has room."""
    resources = {"num_gpus": 1, "num_cpus": 0} if seat.device == "cuda" else {"num_gpus": 0, "num_cpus": 1}
    return (
        ray.remote(Actor)
        .options(
            name=f"{_build()}-{seat.node}-{seat.number}",
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            scheduling_strategy=NodeAffinitySchedulingStrategy(seat.node, soft=False),
            max_restarts=0,  # begun anew here, where it is known what was in hand
            **resources,
        )
        .remote(make, launch.idle_limit_s())
    )


@functools.cache
def _build() -> str:
    """Another build of this package has actors of its own."""
    return f"{__version__}-{runtime.digest_of(Path(__file__).parents[1])[:8]}"


def _with_waiting(verdict: Verdict, waited_s: float) -> Verdict:
    """The time before a judge had it belongs to the queue."""
    queue_s = round(verdict.stages_s.get("queue", 0.0) + waited_s, 6)
    return replace(verdict, stages_s={**verdict.stages_s, "queue": queue_s})


def _nobody(cluster: Cluster, seats: list[Seat], reasons: list[str]) -> str:
    if reasons:
        return (
            f"no judge of {cluster} began: {'; '.join(reasons)}. "
            'Its nodes need `pip install "backend-bench[judge,ray]"` in the same version'
        )
    return f"no judge of {cluster} began in {BEGIN_LIMIT_S:g} s: all of its {len(seats)} GPUs are taken"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
