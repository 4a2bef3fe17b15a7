"""The client's side of Modal: a call of the deployed class for each submission, and what it took on the verdict.

A call whose container was lost is made again; one that nobody waits for is cancelled. Judges nothing,
imports no torch, and unpickles nothing itself; what Modal's client unpickles is said in
docs/how-to/run-on-modal.md.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import functools
import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import modal
import msgspec
from modal.config import config

from backend_bench.cases import SuiteIndex
from backend_bench.errors import BackendBenchError, NotJudged, ServiceError, UsageError
from backend_bench.executors.modal import app_name, asked_as, failures, letters, retries
from backend_bench.executors.modal.failures import Answered, Lost
from backend_bench.executors.modal.letters import Answer, Parts, Request
from backend_bench.files import keep
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.suites import index_cache
from backend_bench.suites.defaults import filled
from backend_bench.suites.sources import BUNDLED
from backend_bench.verdict import Status, Verdict

PAUSE_S = 1.0
"""Before a call is made again, and twice as long before each further time."""


class ModalExecutor:
    """Judges on a rented GPU."""

    def __init__(self, gpu: str) -> None:
        self.gpu = gpu
        self._retries = retries()
        self._method: Any = None

    async def submit(self, submission: Submission) -> Verdict:
        """Judge one kernel. Raises `UsageError` and `ServiceError`."""
        _require_source(submission.suite)
        began = time.monotonic()
        parts = letters.of_operator(_kept(self.gpu, submission.suite), str(submission.op))
        answer = await self._ask(Request(build=letters.build(), submission=submission, parts=parts))
        if answer.verdict is None:
            raise ServiceError(f"container {answer.container} answered without a verdict")
        return _with_costs(answer.verdict, self.gpu, answer, time.monotonic() - began)

    async def index(self, spec: SuiteSpec) -> SuiteIndex:
        """The suite's operators and cases there."""
        _require_source(spec)
        answer = await self._ask(Request(build=letters.build(), suite=spec))
        if answer.index is None:
            raise ServiceError(f"container {answer.container} answered without an index")
        _keep(self.gpu, answer.index, answer.beside)
        return answer.index

    async def machine(self) -> Mapping[str, Any]:
        """Facts about a container with that GPU; another one may judge."""
        answer = await self._ask(Request(build=letters.build()))
        return {**answer.machine, "place": f"Modal, {asked_as(self.gpu)}"}

    async def aclose(self) -> None:
        """Let go; nothing is held."""

    async def _ask(self, request: Request) -> Answer:
        for attempt in range(self._retries + 1):
            try:
                answer = _answered(await self._call(request))
                if request.submission is not None and request.submission.suite.device == "cuda":
                    _require_card(self.gpu, answer)
                return answer
            except Lost as lost:
                if attempt == self._retries:
                    kind = NotJudged if isinstance(lost, Answered) else ServiceError
                    raise kind(
                        f"gpu={self.gpu!r}: no answer in {attempt + 1} tries; the last one: {lost}"
                    ) from lost
                await asyncio.sleep(PAUSE_S * 2**attempt)
        raise AssertionError("the last try returns or raises")

    async def _call(self, request: Request) -> Answer:
        """One call that is cancelled if nobody waits for it any more; or, for long letters, one that runs to its end."""
        try:
            if request.submission is not None:
                short = letters.pack(dataclasses.replace(request, short=True))
                if len(short) <= letters.SHORT:
                    answer = letters.unpack(await self._cancellable(short), Answer)
                    if answer.fault != "long":
                        return answer
            return letters.unpack(await self._remote().remote.aio(letters.pack(request)), Answer)
        except BackendBenchError:
            raise
        except Exception as error:  # Modal's, the network's, and whatever kept a container from starting
            raise failures.told(error, self.gpu) from error

    async def _cancellable(self, data: bytes) -> bytes:
        spawning = asyncio.ensure_future(self._remote().spawn.aio(data))
        try:
            call = await asyncio.shield(spawning)
            answer: bytes = await call.get.aio()
            return answer
        except asyncio.CancelledError:
            with contextlib.suppress(modal.Error, OSError):  # then it ends at its time limit
                await (await spawning).cancel.aio()
            raise

    def _remote(self) -> Any:
        """The deployed method with our GPU, one for all calls: Modal scales each such variant by itself."""
        if self._method is None:
            deployed = modal.Cls.from_name(app_name(), "Judge")
            self._method = deployed.with_options(gpu=asked_as(self.gpu))().answer
        return self._method


def _answered(answer: Answer) -> Answer:
    """The answer. Raises `UsageError`, and `Answered` for a fault of that container: another may not have it."""
    if answer.fault == "usage":
        raise UsageError(answer.message)
    if answer.fault:
        raise Answered(f"container {answer.container}: {answer.message}")
    if answer.verdict is not None and answer.verdict.status is Status.ERROR:
        raise Answered(f"container {answer.container}: {answer.verdict.message}")
    return answer


def _require_card(gpu: str, answer: Answer) -> None:
    """Raise `Lost` unless the card is the one that was asked for: a time on another is none."""
    found = [str(card.get("name", "")) for card in answer.machine.get("gpus", ())]
    if not any(_is_card(asked_as(gpu), name) for name in found):
        raise Lost(f"container {answer.container} has {', '.join(found) or 'no GPU'}; its verdict is dropped")


def _is_card(asked: str, name: str) -> bool:
    """Whether a card with that name, such as `NVIDIA A100-SXM4-40GB`, is what was asked for."""
    words = name.replace("-", " ").split()
    wanted = asked.rstrip("!").split("-")
    return all(word in words or (word == "A10" and "A10G" in words) for word in wanted)


def _with_costs(verdict: Verdict, gpu: str, answer: Answer, took_s: float) -> Verdict:
    """The verdict, with the seconds of a container that it cost, and those that it waited for one as its queue."""
    waited_s = max(0.0, took_s - answer.held_s)
    queue_s = verdict.stages_s.get("queue", 0.0) + waited_s
    began = f"ready in {answer.start_s:.1f} s" if answer.number == 1 else f"answer no. {answer.number}"
    place = (
        f"Modal, {asked_as(gpu)}: held for {answer.held_s:.1f} s after {waited_s:.1f} s of waiting "
        f"(container {answer.container}, {began})"
    )
    return dataclasses.replace(
        verdict, stages_s={**verdict.stages_s, "queue": round(queue_s, 6)}, place=place
    )


def read_index(gpu: str, spec: SuiteSpec) -> SuiteIndex:
    """A suite's index, read without an event loop: a container costs seconds, so each is asked for once."""
    _require_source(spec)
    if index := _kept(gpu, spec).get("index"):
        return msgspec.convert(index, SuiteIndex)
    # A caller may have an event loop in this thread already.
    with concurrent.futures.ThreadPoolExecutor(1) as aside:
        return aside.submit(lambda: asyncio.run(ModalExecutor(gpu).index(spec))).result()


def logged_in() -> str:
    """Which client asks for which account; only Modal can say whether it lets it in."""
    return f"modal {modal.__version__}, token {config.get('token_id') or 'of a browser login'}"


def deployed(gpu: str) -> str:
    """What stands ready. Raises `UsageError`, and `ServiceError` where Modal does not answer."""
    try:
        modal.Cls.from_name(app_name(), "Judge").hydrate()
    except Exception as error:
        known = failures.told(error, gpu)
        raise (ServiceError(str(known)) if isinstance(known, Lost) else known) from error
    return f"{app_name()!r} is deployed; a container with {asked_as(gpu)} starts now, which may take a minute"


def _require_source(spec: SuiteSpec) -> None:
    """Raise `UsageError` for cases that a container cannot get: it has no network and none of our files."""
    if spec.name == "facto":
        raise UsageError(
            "suite facto cannot be judged in Modal: FACTO is not in its image; opinfo is like it"
        )
    if (spec.source or BUNDLED).partition("#")[0] != BUNDLED:
        raise UsageError(
            f"source={spec.source!r} cannot be had in Modal, whose containers have no network and none of this "
            f"host's files: only {BUNDLED!r} can"
        )


@functools.lru_cache(maxsize=8)
def _read(path: Path) -> Parts:
    return msgspec.json.decode(path.read_bytes(), type=Parts)


def _kept(gpu: str, spec: SuiteSpec) -> Parts:
    """What this build was told of a suite before; nothing where that is nothing, or cannot be read."""
    try:
        return _read(_place(gpu, spec))
    except (OSError, msgspec.DecodeError):
        return {}


def _keep(gpu: str, index: SuiteIndex, beside: Parts) -> None:
    """Readers see the whole of it or nothing. A full or read-only disk is ignored."""
    keep(_place(gpu, index.spec), msgspec.json.encode({"index": index, **beside}))


def _place(gpu: str, spec: SuiteSpec) -> Path:
    """Where it lies: what fits a card depends on it, and the rest on build, app and suite."""
    told = f"{letters.build()}\0{app_name()}\0{gpu}\0".encode() + msgspec.json.encode(filled(spec))
    return index_cache.folder() / "modal" / f"{hashlib.sha256(told).hexdigest()[:24]}.json"
