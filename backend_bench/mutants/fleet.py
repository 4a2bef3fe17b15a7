"""A suite's audit in a few processes, each given one operator after another. Imports no torch.

A process that dies of an operator costs that operator, and another one is started.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Any

import msgspec

from backend_bench import runtime
from backend_bench.errors import JudgeError
from backend_bench.fates import OperatorAudit
from backend_bench.judge.zygotes import STEADY_HEAP
from backend_bench.submission import SuiteSpec

_MOST = {"cpu": 8, "cuda": 2}
"""Processes at once. On a GPU each has a context of its own, and the launches are what costs."""


class Order(msgspec.Struct, frozen=True):
    """What a process is told when it starts."""

    spec: SuiteSpec
    """The suite."""
    seed: int
    """The seed of all draws."""


class Hello(msgspec.Struct, frozen=True):
    """What a process says when it is ready."""

    machine: dict[str, Any]
    """Facts about the host."""


def audit_suite(
    order: Order, names: Sequence[str], *, done: Callable[[OperatorAudit], None]
) -> dict[str, Any]:
    """Audit the operators; `done` is told each as it comes, in one thread at a time. Returns machine facts.

    Raises `JudgeError` where no process can be started. Whoever interrupts it need not wait for what is at work.
    """
    waiting: SimpleQueue[str] = SimpleQueue()
    for name in names:
        waiting.put(name)
    finished: SimpleQueue[OperatorAudit | None] = SimpleQueue()
    count = max(1, min(_MOST[order.spec.device], len(os.sched_getaffinity(0)), len(names)))
    at_work: list[_Process] = []
    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(_crew, order, waiting, finished, at_work) for _ in range(count)]
        left = count
        try:
            while left:
                audit = finished.get()
                if audit is None:
                    left -= 1
                else:
                    done(audit)
        except BaseException:
            for _ in _drained(waiting):
                pass
            for process in list(at_work):
                process.kill()
            raise
        machines = [future.result() for future in futures]
    return next((machine for machine in machines if machine), {})


def _crew(
    order: Order, waiting: SimpleQueue[str], finished: SimpleQueue[OperatorAudit | None],
    at_work: list[_Process],
) -> dict[str, Any]:  # fmt: skip
    """One place of the fleet: a process, and another one after it died."""
    machine: dict[str, Any] = {}
    try:
        while not waiting.empty():
            with _Process(order) as process:
                at_work.append(process)
                machine = process.hello()
                for name in _drained(waiting):
                    audit = process.audit(name)
                    finished.put(audit or OperatorAudit(op=name, fault=process.last_words()))
                    if audit is None:
                        break
        return machine
    finally:
        finished.put(None)


def _drained(waiting: SimpleQueue[str]) -> Iterator[str]:
    while True:
        try:
            yield waiting.get_nowait()
        except Empty:
            return


class _Process:
    """One process that audits. Use it as a context manager; it ends with its standard input."""

    def __init__(self, order: Order) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "backend_bench.mutants"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=runtime.inherited(os.environ) | STEADY_HEAP,
            start_new_session=True,  # whoever interrupts us ends it through us
        )
        self._say(msgspec.json.encode(order))

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self.kill()
        self._child.wait()
        self._child.stdin.close()
        self._child.stdout.close()

    def kill(self) -> None:
        """From any thread: whoever waits for it hears nothing more."""
        self._child.kill()

    def hello(self) -> dict[str, Any]:
        """Machine facts, once it is ready."""
        line = self._hear()
        if not line:
            raise JudgeError(f"the audit could not start: {self.last_words()}; its words are above")
        return msgspec.json.decode(line, type=Hello).machine

    def audit(self, name: str) -> OperatorAudit | None:
        """None where it died."""
        self._say(name.encode())
        line = self._hear()
        return msgspec.json.decode(line, type=OperatorAudit) if line else None

    def last_words(self) -> str:
        return f"its process ended with {self._child.wait()}"

    def _say(self, line: bytes) -> None:
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(line + b"\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            return  # then it does not answer either

    def _hear(self) -> bytes:
        assert self._child.stdout is not None
        return self._child.stdout.readline()
