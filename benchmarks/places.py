"""What a place costs beside the judging itself: seconds from a submission to its verdict, less those that the verdict names.

    python benchmarks/places.py cpu http://gpu-host:8700 ray://auto [--submissions 30] [--json FILE]

One submission after the other, of a kernel that is refused in a moment. The first of a place finds or starts what judges there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from pathlib import Path
from typing import Any

import common

from backend_bench.executors import choose
from backend_bench.operator import Operator
from backend_bench.submission import Submission, SuiteSpec

REFUSED = "def another_function(x):\n    return x\n"


async def measure(gpu: str, count: int) -> dict[str, Any]:
    """The first and the further submissions of one place, in milliseconds beside the judging."""
    spec = SuiteSpec(name="smoke", device=await asyncio.to_thread(choose.device, gpu), dtype="float32")
    asked = Submission(op=Operator.parse("relu"), source=REFUSED, suite=spec, only="correctness")
    costs_ms = []
    for _ in range(count):
        begun = time.monotonic()
        verdict = await choose.choose(gpu).submit(asked)
        costs_ms.append(1000 * (time.monotonic() - begun - verdict.wall_s))
    await choose.release()
    return {
        "first_ms": round(costs_ms[0]),
        "median_ms": round(statistics.median(costs_ms[1:]), 1),
        "p90_ms": round(common.percentile(costs_ms[1:], 0.9), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("places", nargs="+")
    parser.add_argument("--submissions", type=int, default=30)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = {gpu: asyncio.run(measure(gpu, options.submissions)) for gpu in options.places}
    for gpu, costs in found.items():
        print(gpu, costs)
    if options.json:
        options.json.write_text(json.dumps({"commit": common.commit(), "places": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
