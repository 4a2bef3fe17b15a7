"""What the benchmarks share: streams of submissions, and results that say where and on what they were measured."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import json
import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from backend_bench.executors import Executor
from backend_bench.submission import Submission
from backend_bench.verdict import Verdict


def parser(doc: str | None, *, dtype: str = "bfloat16") -> argparse.ArgumentParser:
    """With a program's docstring as its help, and the options that these programs have in common."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--device", default="cuda", choices=("cpu", "cuda"))
    made.add_argument("--dtype", default=dtype)
    made.add_argument("--json")
    return made


class Answer(NamedTuple):
    """A verdict, the seconds from its submission, and when it came, in seconds from the stream's begin."""

    verdict: Verdict
    took_s: float
    at_s: float


async def stream(
    executor: Executor,
    submissions: Sequence[Submission],
    *,
    in_flight: int,
    seconds: float | None = None,
) -> list[Answer]:
    """All verdicts in the order asked for; those that came in so many seconds, where there is a limit."""
    places, begun = asyncio.Semaphore(in_flight), time.monotonic()

    async def one(submission: Submission) -> Answer:
        async with places:
            asked = time.monotonic()
            verdict = await executor.submit(submission)
            now = time.monotonic()
            return Answer(verdict, now - asked, now - begun)

    tasks = [asyncio.create_task(one(submission)) for submission in submissions]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*tasks)  # the timeout cancels those that are late
    return [task.result() for task in tasks if not task.cancelled()]


def commit() -> str:
    """What was measured: `COMMIT` where there is no repository, as on a machine that was sent a bare copy."""
    if named := os.environ.get("COMMIT"):
        return named
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


async def write(executor: Executor, path: str | None, results: dict[str, Any]) -> None:
    """The results with machine facts, commit and date; printed, and kept where `path` says."""
    facts = await executor.machine()
    document = {
        "commit": commit(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": dict(facts),
        **results,
    }
    if path:
        Path(path).write_text(json.dumps(document, indent=1) + "\n")


def stages_median_s(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Seconds of each stage that any run has, the median of all of them."""
    stages = sorted({stage for run in runs for stage in run})
    return {stage: statistics.median(run.get(stage, 0.0) for run in runs) for stage in stages}


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
