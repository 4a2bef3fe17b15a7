"""Whether a verdict depends on the load: the same kernels one at a time, and 64 at once.

    python benchmarks/same_under_load.py [--at-once 64] [--device cuda] [--dtype float32] [--json FILE]

The kernels are those of the built-in models for suite smoke but `topk`, wrong and right ones, repeated. Statuses must be the same, and the speed-ups of
right ones the same within their stated noise.
"""

from __future__ import annotations

import argparse
import asyncio
import math
from typing import Any

import common

from backend_bench.authors.scripted import Scripted
from backend_bench.executors.local import LocalExecutor
from backend_bench.operator import Operator
from backend_bench.submission import Device, Language, Submission, SuiteSpec
from backend_bench.verdict import Verdict

SLOW = ("topk__default",)
"""Triton needs a minute to compile these, and runs into the limit now and then: what they come to is no question of load."""


def main() -> None:
    parser = common.parser(__doc__, dtype="float32")
    parser.add_argument("--at-once", type=int, default=64)
    asyncio.run(measure(parser.parse_args()))


def submissions(device: Device, dtype: str, count: int) -> list[Submission]:
    """Every first and second version in turn, until there are enough."""
    language: Language = "triton" if device == "cuda" else "pytorch"
    author = Scripted(language)
    kernels = [
        (folder, author.kernel(folder, turn) or "")
        for folder in author.folders()
        if folder not in SLOW
        for turn in ("first", "second")
    ]
    spec = SuiteSpec(name="smoke", device=device, dtype=dtype)
    return [
        Submission(op=Operator.from_folder(folder), source=source, suite=spec, language=language)
        for folder, source in (kernels * (count // len(kernels) + 1))[:count]
    ]


async def measure(options: argparse.Namespace) -> None:
    executor = LocalExecutor()
    try:
        many = submissions(options.device, options.dtype, options.at_once)
        alone = [answer.verdict for answer in await common.stream(executor, many, in_flight=1)]
        crowded = [
            answer.verdict for answer in await common.stream(executor, many, in_flight=options.at_once)
        ]
        different = [
            f"{one.op}: {one.status} alone, {other.status} among {options.at_once}"
            for one, other in zip(alone, crowded, strict=True)
            if one.status is not other.status
        ]
        ratios = [ratio for one, other in zip(alone, crowded, strict=True) for ratio in apart(one, other)]
        outside = [ratio for ratio in ratios if ratio["apart"] > ratio["noise"]]
        await common.write(executor, options.json, {
            "what": "the same kernels alone and at once", "at_once": options.at_once, "dtype": options.dtype,
            "different_statuses": different, "speedups": ratios,
        })  # fmt: skip
        print(f"{len(many)} kernels: {len(different)} of another status; {len(ratios)} speed-ups, "
              f"{len(outside)} further apart than their noise")  # fmt: skip
        for line in [*different, *(f"{it['case']}: {it['alone']:.3f} alone, {it['crowded']:.3f} among others, "
                                   f"noise {it['noise']:.1%}" for it in outside)]:  # fmt: skip
            print(f"  {line}")
        if different:
            raise SystemExit(1)
    finally:
        await executor.aclose()


def apart(one: Verdict, other: Verdict) -> list[dict[str, Any]]:
    """How far the speed-ups of two verdicts on the same kernel are apart, case by case."""
    return [
        {
            "case": f"{one.op} {a.args}",
            "alone": a.speedup,
            "crowded": b.speedup,
            "apart": abs(math.log(a.speedup / b.speedup)),
            "noise": math.hypot(a.noise or math.inf, b.noise or math.inf),
        }
        for a, b in zip(one.cases, other.cases, strict=True)
        if a.speedup and b.speedup
    ]


if __name__ == "__main__":
    main()
