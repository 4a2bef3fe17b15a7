"""How precise a speed-up is: ATen against itself through the whole path, where every ratio should be 1.

    python benchmarks/precision.py [--repetitions 20] [--device cuda] [--dtype bfloat16] [--in-flight 4] [--seconds S] [--json FILE]
    python benchmarks/precision.py --load …        # 16 in flight from two processes, compiles on all other cores
    python benchmarks/precision.py --births …      # while another process makes and kills workers (births.py)
    python benchmarks/precision.py --table FILE…   # the table of results, or of `selfcheck --json`

The points are the performance cases of suite smoke: ten operators, four shapes each on a GPU. Each repetition is a
submission of its own: fresh values, fresh workers, fresh draws. Goal: 95 % of the ratios within 1 % where the kernel takes 10 us
and more, within 3 % below; mean within 0.3 %.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import common

from backend_bench.executors.local import LocalExecutor
from backend_bench.operator import Operator
from backend_bench.submission import Limits, Submission, SuiteSpec

SHORT_US = 10.0
HEADINGS = f"{'ratios':>8}{'in 1 %':>9}{'in 3 %':>9}{'mean':>9}{'least':>8}{'most':>8}"
LOADED_IN_FLIGHT = 16
COMPILE_FOREVER = """
import ast
source = "\\n".join(f"def f{i}(x):\\n    return [x * {i} + j for j in range(x) if j % {i + 1}]" for i in range(2000))
while True:
    compile(ast.parse(source), "load", "exec")
"""


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--ops", default="", help="names with commas; all ten unless given")
    parser.add_argument("--in-flight", type=int, default=4)
    parser.add_argument("--seconds", type=float, help="count what came in so many, and let the rest be")
    parser.add_argument("--timing-s", type=float, help="budget of a case, as of grade")
    parser.add_argument("--load", action="store_true")
    parser.add_argument("--births", action="store_true")
    parser.add_argument("--table", nargs="+", metavar="FILE")
    options = parser.parse_args()
    if options.table:
        table([case for name in options.table for case in timed(Path(name))])
    else:
        asyncio.run(measure(options))


async def measure(options: argparse.Namespace) -> None:
    executor = LocalExecutor()
    try:
        limits = Limits(timing_s=options.timing_s)
        spec = SuiteSpec(name="smoke", device=options.device, dtype=options.dtype)
        index = await executor.index(spec)
        names = [str(Operator.parse(name)) for name in options.ops.split(",") if name] or list(index.entries)
        submissions = [
            Submission(
                op=Operator.parse(name), suite=spec, kind="reference", only="performance", limits=limits
            )
            for _ in range(options.repetitions)
            for name in names
        ]
        facts = await executor.machine()
        with contextlib.ExitStack() as beside:
            if options.load:
                beside.enter_context(loaded(options, facts["timing_cores"]))
            if options.births:
                beside.enter_context(births(options.device, facts["timing_cores"]))
            in_flight = LOADED_IN_FLIGHT // 2 if options.load else options.in_flight
            found = await common.stream(executor, submissions, in_flight=in_flight, seconds=options.seconds)
        if not found:
            raise SystemExit(f"no verdict in {options.seconds:g} s; let it have more")
        verdicts: list[dict[str, Any]] = [{"op": verdict.op, "status": verdict.status, "stages_s": verdict.stages_s,
                     "cases": [_case(case) for case in verdict.cases]} for verdict, _, _ in found]  # fmt: skip
        await common.write(executor, options.json, {
            "what": "ATen against itself", "dtype": options.dtype, "load": options.load, "births": options.births,
            "repetitions": options.repetitions, "seconds": options.seconds, "timing_s": options.timing_s, "in_flight": in_flight, "verdicts": verdicts,
        })  # fmt: skip
        table([case for verdict in verdicts for case in verdict["cases"] if case["speedup"] is not None])
        wrong = [verdict["op"] for verdict in verdicts if verdict["status"] != "ok"]
        if wrong:
            raise SystemExit(f"not ok: {', '.join(sorted(set(wrong)))}")
    finally:
        await executor.aclose()


@contextlib.contextmanager
def loaded(options: argparse.Namespace, timing_cores: list[int]) -> Iterator[None]:
    """A second client with as many in flight, and a compiler on each core that timings do not own."""
    cores = sorted(os.sched_getaffinity(0) - set(timing_cores))
    other = [
        sys.executable,
        __file__,
        "--device",
        options.device,
        "--dtype",
        options.dtype,
        "--ops",
        options.ops,
    ]
    other += ["--in-flight", str(LOADED_IN_FLIGHT // 2), "--repetitions", str(options.repetitions)]
    busy = [subprocess.Popen([sys.executable, "-c", COMPILE_FOREVER]) for _ in cores]
    busy.append(subprocess.Popen(other, stdout=subprocess.DEVNULL))
    try:
        for process, core in zip(busy, cores, strict=False):
            os.sched_setaffinity(process.pid, {core})
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


@contextlib.contextmanager
def births(device: str, timing_cores: list[int]) -> Iterator[None]:
    """Workers come and go all the while, as under load."""
    program = [sys.executable, str(Path(__file__).with_name("births.py")), "--device", device]
    maker = subprocess.Popen(program, stdin=subprocess.PIPE)
    try:
        os.sched_setaffinity(maker.pid, os.sched_getaffinity(0) - set(timing_cores))
        yield
    finally:
        maker.communicate()


def _case(case: Any) -> dict[str, Any]:
    names = ("args", "status", "message", "reference_us", "candidate_us", "speedup", "noise")
    return {name: getattr(case, name) for name in names}


def timed(path: Path) -> list[dict[str, Any]]:
    verdicts = json.loads(path.read_text())["verdicts"]
    return [case for verdict in verdicts for case in verdict["cases"] if case.get("speedup") is not None]


def table(cases: list[dict[str, Any]]) -> None:
    if not cases:
        raise SystemExit("no timed case")
    print(f"{'':>24}{HEADINGS}{'noise':>8}")
    long = [case for case in cases if case["reference_us"] >= SHORT_US]
    short = [case for case in cases if case["reference_us"] < SHORT_US]
    for title, some in ((f"{SHORT_US:g} us and more", long), ("below", short)):
        if some:
            print(row(title, some))


def row(title: str, cases: list[dict[str, Any]]) -> str:
    found = spread([case["speedup"] for case in cases])
    noise = statistics.median(case["noise"] or 0 for case in cases)
    return f"{title:>24}{columns(found)}{noise:>8.2%}"


def columns(found: Mapping[str, float]) -> str:
    """A spread under `HEADINGS`."""
    return (
        f"{found['ratios']:>8}{found['within_1_percent']:>9.1%}{found['within_3_percent']:>9.1%}"
        f"{found['mean']:>9.4f}{found['least']:>8.3f}{found['most']:>8.3f}"
    )


def spread(ratios: Sequence[float]) -> dict[str, float]:
    """How ratios lie around 1."""
    return {
        "ratios": len(ratios),
        **{
            f"within_{percent}_percent": sum(abs(ratio - 1) <= percent / 100 for ratio in ratios)
            / len(ratios)
            for percent in (1, 3)
        },
        "mean": statistics.fmean(ratios),
        "least": min(ratios),
        "most": max(ratios),
    }


if __name__ == "__main__":
    main()
