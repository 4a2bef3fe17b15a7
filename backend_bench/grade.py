"""Many submissions → verdicts, some at a time, in the order asked for. What the commands share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from backend_bench.errors import NotJudged, ServiceError
from backend_bench.executors import Executor
from backend_bench.kernels import KernelFile
from backend_bench.submission import Only, Submission
from backend_bench.verdict import Status, Verdict

IN_FLIGHT = 64
"""Submissions at the judge at once; it has a queue of its own, and a cluster has many judges."""
MOST_FAULTS = 10
"""Of ours, one after the other: then it is not the submissions."""


async def grade_all(
    executor: Executor, submissions: Sequence[Submission], *, done: Callable[[int, Verdict], None]
) -> None:
    """Judge them all; `done` is told each verdict with its submission's number, as it comes. One that fails through our own fault has a
    verdict, too; what keeps all of them from being judged is raised, and so is the last of many such faults in a row.
    """
    in_a_row = 0
    async for number, verdict in _verdicts(executor, submissions):
        done(number, verdict)
        in_a_row = in_a_row + 1 if verdict.status is Status.ERROR else 0
        if in_a_row == MOST_FAULTS:
            raise ServiceError(
                f"{in_a_row} submissions in a row could not be judged; the last: {verdict.message}"
            )


async def _verdicts(
    executor: Executor, submissions: Sequence[Submission]
) -> AsyncIterator[tuple[int, Verdict]]:
    places = asyncio.Semaphore(IN_FLIGHT)

    async def judge(number: int, submission: Submission) -> tuple[int, Verdict]:
        async with places:
            try:
                return number, await executor.submit(submission)
            except NotJudged as error:
                return number, _not_judged(submission, str(error))

    tasks = [asyncio.create_task(judge(*numbered)) for numbered in enumerate(submissions)]
    try:
        for task in asyncio.as_completed(tasks):
            yield await task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _not_judged(submission: Submission, why: str) -> Verdict:
    """It has no score, and so nobody takes it for the kernel's."""
    return Verdict(
        op=str(submission.op),
        language=submission.language,
        status=Status.ERROR,
        message=why,
        only=submission.only,
        source_sha256=submission.source_sha256,
    )


def missing_kernel(kernel: KernelFile, only: Only | None = None) -> Verdict:
    """The verdict on an operator's folder that holds no kernel file; half of one has no reward."""
    return Verdict(
        op=str(kernel.op),
        language="unknown",
        status=Status.COMPILE_ERROR,
        message=f"{kernel.path} holds no kernel file",
        correctness_score=None if only == "performance" else 0.0,
        performance_score=None if only == "correctness" else 0.0,
        reward=None if only else 0.0,
        only=only,
    )


def unknown_operator(kernel: KernelFile, suite: str, near: Sequence[str]) -> Verdict:
    """The verdict on a kernel for an operator that the suite does not know."""
    hint = f"; near matches: {', '.join(near)}" if near else ""
    return Verdict(
        op=str(kernel.op),
        language="unknown",
        status=Status.NO_CASES,
        message=f"suite {suite} has no operator {kernel.op}{hint}",
    )


def exit_code(verdicts: Sequence[Verdict]) -> int:
    """0 all right, 1 a kernel failed, 2 our own fault or nothing graded."""
    statuses = {verdict.status for verdict in verdicts}
    if Status.ERROR in statuses or not statuses - {Status.NO_CASES}:
        return 2
    return 1 if statuses - {Status.OK, Status.NO_CASES} else 0
