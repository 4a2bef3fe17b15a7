"""The client's side of Modal: a call of the deployed class for each submission, and what it took on the verdict.

A call whose container was lost is made again; one that nobody waits for is cancelled. Judges nothing,
imports no torch, and unpickles nothing itself; what Modal's client unpickles is said in
docs/how-to/run-on-modal.md.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import hashlib
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import modal
import msgspec

from backend_bench.cases import SuiteIndex
from backend_bench.errors import ServiceError, UsageError
from backend_bench.executors.modal import app_name, asked_as, failures, letters, retries
from backend_bench.executors.modal.failures import Lost
from backend_bench.executors.modal.letters import Answer, Request
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.suites import index_cache
from backend_bench.verdict import Verdict

PAUSE_S = 1.0
"""Before a call is made again; a lost container's place is filled in seconds."""


class ModalExecutor:
    """Judges on a rented GPU."""

    def __init__(self, gpu: str) -> None:
        self.gpu = gpu
        self._retries = retries()
        self._method: Any = None

    async def submit(self, submission: Submission) -> Verdict:
        """Judge one kernel. Raises `UsageError` and `ServiceError`."""
        began = time.monotonic()
        answer = await self._ask(Request(build=letters.build(), submission=submission))
        if answer.verdict is None:
            raise ServiceError(f"container {answer.container} answered without a verdict")
        if submission.suite.device == "cuda":
            _require_card(self.gpu, answer)
        return _with_costs(answer.verdict, self.gpu, answer, time.monotonic() - began)

    async def index(self, spec: SuiteSpec) -> SuiteIndex:
        """The suite's operators and cases there."""
        answer = await self._ask(Request(build=letters.build(), suite=spec))
        if answer.index is None:
            raise ServiceError(f"container {answer.container} answered without an index")
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
                return _answered(await self._call(letters.pack(request)))
            except Lost as lost:
                if attempt == self._retries:
                    raise ServiceError(
                        f"gpu={self.gpu!r}: no answer in {attempt + 1} tries; the last one: {lost}"
                    ) from lost
                await asyncio.sleep(PAUSE_S)
        raise AssertionError("the last try returns or raises")

    async def _call(self, request: bytes) -> Answer:
        """One call, cancelled if nobody waits for it any more."""
        try:
            method = self._remote()
            spawning = asyncio.ensure_future(method.spawn.aio(request))
            try:
                call = await asyncio.shield(spawning)
                data = await call.get.aio()
            except asyncio.CancelledError:
                await (await spawning).cancel.aio()
                raise
        except (modal.Error, OSError) as error:
            raise failures.told(error, self.gpu) from error
        return letters.unpack(data, Answer)

    def _remote(self) -> Any:
        """The deployed method with our GPU, one for all calls: Modal scales each such variant by itself."""
        if self._method is None:
            deployed = modal.Cls.from_name(app_name(), "Judge")
            self._method = deployed.with_options(gpu=asked_as(self.gpu))().answer
        return self._method


def _answered(answer: Answer) -> Answer:
    """The answer. Raises `UsageError`, and `Lost` for a fault of that container: another may not have it."""
    if answer.fault == "usage":
        raise UsageError(answer.message)
    if answer.fault:
        raise Lost(f"container {answer.container}: {answer.message}")
    return answer


def _require_card(gpu: str, answer: Answer) -> None:
    """Raise `ServiceError` unless the card is the one that was asked for: a time on another is none."""
    found = [str(card.get("name", "")) for card in answer.machine.get("gpus", ())]
    if not any(_is_card(asked_as(gpu), name) for name in found):
        raise ServiceError(
            f"gpu={gpu!r}: container {answer.container} has {', '.join(found) or 'no GPU'}; its verdict is dropped"
        )


def _is_card(asked: str, name: str) -> bool:
    """Whether a card with that name, such as `NVIDIA A100-SXM4-40GB`, is what was asked for."""
    words = name.replace("-", " ").split()
    wanted = asked.rstrip("!").split("-")
    return all(word in words or (word == "A10" and "A10G" in words) for word in wanted)


def _with_costs(verdict: Verdict, gpu: str, answer: Answer, waited_s: float) -> Verdict:
    """The verdict, with the seconds that Modal counts and those that it took to be served."""
    stages_s = {
        "modal_wait": round(max(0.0, waited_s - answer.held_s), 6),
        "modal_start": round(answer.start_s, 6),
        **verdict.stages_s,
    }
    note = (
        f"Modal: {asked_as(gpu)}, container {answer.container}, its answer no. {answer.number}; "
        f"held for {answer.held_s:.1f} s"
    )
    if answer.number == 1:
        note += f" and started in {answer.start_s:.1f} s"
    return dataclasses.replace(verdict, stages_s=stages_s, notes=(*verdict.notes, note))


def read_index(gpu: str, spec: SuiteSpec) -> SuiteIndex:
    """A suite's index, read without an event loop: a container costs seconds, so each is asked for once."""
    path = _kept(gpu, spec)
    try:
        return index_cache.decode_index(path.read_bytes())
    except (OSError, msgspec.DecodeError):
        pass
    # A caller may have an event loop in this thread already.
    with concurrent.futures.ThreadPoolExecutor(1) as aside:
        index = aside.submit(lambda: asyncio.run(ModalExecutor(gpu).index(spec))).result()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as whole:
        whole.write(index_cache.encode_index(index))
    os.replace(whole.name, path)
    return index


def _kept(gpu: str, spec: SuiteSpec) -> Path:
    """Where the index lies: what fits a card depends on it, and the rest on build, app and suite."""
    told = f"{letters.build()}\0{app_name()}\0{gpu}\0".encode() + msgspec.json.encode(spec)
    return index_cache.folder() / "modal" / f"{hashlib.sha256(told).hexdigest()[:24]}.json"
