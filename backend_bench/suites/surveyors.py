"""Processes that look at samples side by side: questions on standard input, answers on standard output.

The samples of all OpInfos are some hundred thousand small tensors, made and called one by one: half a minute on a CPU, and
minutes on a GPU, which spends them launching. What an OpInfo gives depends on nothing but its name and the seed, so it does
not matter who looks. A surveyor ends when whoever started it does. It shares the device with others, and waits while one of them times.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import torch

from backend_bench.errors import JudgeError
from backend_bench.leases import Lease, lease_name
from backend_bench.suites.findings import Findings, Found, reached, refused

MOST = 8
"""Each imports torch and its tests, and on a GPU makes a context: more would wait for each other there."""
FEW = 64
"""So many questions are answered here; for them nobody needs to be started."""


_START = """
import sys
sys.path.append(sys.argv.pop(1))
from backend_bench.suites.surveyors import main
main(sys.argv[1])
"""


class Question(msgspec.Struct, frozen=True):
    """About one OpInfo in one dtype."""

    name: str
    dtype: str
    cases: tuple[Found, ...] | None = None
    """Which of these are not given by other values; None: which cases are there at all."""

    def answer(self, device: str) -> Findings:
        with Lease(lease_name(torch.device(device))).shared():
            return self._answer(device)

    def _answer(self, device: str) -> Findings:
        if self.cases is None:
            return reached(self.name, self.dtype, device)
        return refused(self.name, self.dtype, device, self.cases)


class Surveyors:
    """As many as there are cores, started when there is enough to do. Use it as a context manager."""

    def __init__(self, device: str, count: int | None = None) -> None:
        self._device = device
        self._count = min(len(os.sched_getaffinity(0)), MOST) if count is None else count
        self._started: list[_Surveyor] = []

    def __enter__(self) -> Surveyors:
        return self

    def __exit__(self, *_: object) -> None:
        for surveyor in self._started:
            surveyor.end()

    def ask(self, questions: Sequence[Question]) -> Iterator[Findings]:
        """The answers, in the order of the questions. Raises `JudgeError` if a surveyor dies."""
        if self._count < 2 or len(questions) <= FEW:
            for question in questions:
                yield question.answer(self._device)
            return
        while len(self._started) < self._count:
            self._started.append(_Surveyor(self._device))
        free: queue.SimpleQueue[_Surveyor] = queue.SimpleQueue()
        for surveyor in self._started:
            free.put(surveyor)

        def answer(question: Question) -> Findings:
            surveyor = free.get()
            try:
                return surveyor.ask(question)
            finally:
                free.put(surveyor)

        with ThreadPoolExecutor(self._count) as pool:
            yield from pool.map(answer, questions)


class _Surveyor:
    """One process."""

    def __init__(self, device: str) -> None:
        self._process = subprocess.Popen(
            # -P: a file of the folder that we are in must not stand in for a module.
            [sys.executable, "-P", "-c", _START, str(Path(__file__).parents[2]), device],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def ask(self, question: Question) -> Findings:
        asks, answers = self._process.stdin, self._process.stdout
        assert asks is not None
        assert answers is not None
        with contextlib.suppress(BrokenPipeError):  # then there is no answer either
            asks.write(msgspec.json.encode(question) + b"\n")
            asks.flush()
        line = answers.readline()
        if not line:
            raise JudgeError(
                f"the process that looks at torch's samples of {question.name} in {question.dtype} ended with "
                f"{self._process.wait()}; its own words are above"
            )
        return msgspec.json.decode(line, type=Findings)

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def main(device: str) -> None:
    """Answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what torch's tests print is no answer
    torch.set_num_threads(1)
    for line in sys.stdin.buffer:
        question = msgspec.json.decode(line, type=Question)
        answers.write(msgspec.json.encode(question.answer(device)) + b"\n")
        answers.flush()
