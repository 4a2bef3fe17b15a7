"""Processes that look at samples side by side.

The samples of all OpInfos are some hundred thousand small tensors, made and called one by one: half a minute on a CPU, and
minutes on a GPU, which spends them launching. What an OpInfo gives depends on nothing but its name and the seed, so it does
not matter who looks. A surveyor shares the device with others, and waits while one of them times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import torch

from backend_bench.errors import JudgeError
from backend_bench.leases import Lease, lease_name
from backend_bench.suites.expendable import Expendable, Expendables, Lost
from backend_bench.suites.findings import Findings, Found, reached, refused

FEW = 64
"""So many questions are answered here; for them nobody needs to be started."""


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


def answer(question: Question, device: str) -> Findings:
    """What a surveyor does."""
    return question.answer(device)


class Surveyors:
    """As many as there are cores, started when there is enough to do. Use it as a context manager."""

    def __init__(self, device: str, count: int | None = None) -> None:
        self._device = device
        self._processes = Expendables(count)

    def __enter__(self) -> Surveyors:
        return self

    def __exit__(self, *_: object) -> None:
        self._processes.end()

    def ask(self, questions: Sequence[Question]) -> Iterator[Findings]:
        """The answers, in the order of the questions. Raises `JudgeError` if a surveyor dies."""
        if self._processes.count < 2 or len(questions) <= FEW:
            for question in questions:
                yield question.answer(self._device)
            return
        yield from self._processes.map(self._ask, questions)

    def _ask(self, process: Expendable, question: Question) -> Findings:
        try:
            return process.ask(answer, question, self._device)
        except Lost as lost:
            raise JudgeError(f"torch's samples of {question.name} in {question.dtype}: {lost}") from lost
