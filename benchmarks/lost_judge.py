"""A judge of a Ray cluster dies in mid-stream: each kernel is answered all the same, once and about itself.

    python benchmarks/lost_judge.py [--gpu ray://auto] [--kernels 160] [--in-flight 32] [--after 12] [--device cuda] [--suite opinfo] [--json FILE]

So many seconds after the first submission one of the cluster's judges, which has to be on this host, gets SIGKILL. Exit code 1 if a kernel is
not right, or a verdict is about another one.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import os
import signal
import time
from typing import Any, cast

import common
import throughput

from backend_bench.executors import choose
from backend_bench.executors.ray import RayExecutor
from backend_bench.operator import Operator
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.verdict import Status


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--gpu", default="ray://auto")
    parser.add_argument("--suite", default="opinfo")
    parser.add_argument("--kernels", type=int, default=160)
    parser.add_argument("--in-flight", type=int, default=32)
    parser.add_argument("--after", type=float, default=12.0)
    asyncio.run(measure(parser.parse_args()))


async def measure(options: argparse.Namespace) -> None:
    executor = cast(RayExecutor, choose.choose(options.gpu))
    spec = SuiteSpec(name=options.suite, device=options.device, dtype=options.dtype)
    asked = [
        Submission(op=Operator.parse("relu"), source=source, suite=spec, only="correctness")
        for source in throughput.kernels(options.kernels, options.device)
    ]
    try:
        begun = time.monotonic()
        killing = asyncio.create_task(kill_one(executor, options.after))
        answers = await common.stream(executor, asked, in_flight=options.in_flight)
        took_s = time.monotonic() - begun
        killing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await killing
        killed = killing.result() if not killing.cancelled() else {}
        statuses = collections.Counter(answer.verdict.status for answer in answers)
        own = all(
            answer.verdict.source_sha256 == submission.source_sha256
            for answer, submission in zip(answers, asked, strict=True)
        )
        await common.write(executor, options.json, {
            "what": "a judge is killed in mid-stream", "submissions": len(asked), "killed": killed,
            "seconds": round(took_s, 1), "statuses": statuses, "each_its_own": own,
        })  # fmt: skip
    finally:
        await choose.release()
    print(
        f"{dict(statuses)} in {took_s:.1f} s, {len(asked) / took_s:.2f} a second; killed: {killed or 'none, it was over'}"
    )
    if statuses != {Status.OK: len(asked)} or not own or not killed:
        raise SystemExit(1)


async def kill_one(executor: RayExecutor, after_s: float) -> dict[str, Any]:
    """Which it was."""
    await asyncio.sleep(after_s)
    victim = next(iter(executor._places)).hello
    os.kill(victim.pid, signal.SIGKILL)
    return {"pid": victim.pid, "gpus": victim.gpus}


if __name__ == "__main__":
    main()
