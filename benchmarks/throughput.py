"""How many kernels a second, and where the time of each goes.

    python benchmarks/throughput.py latency [--kernels 20] [--device cuda] [--suite opinfo] [--json FILE]
    python benchmarks/throughput.py stream [--kernels 200] [--in-flight 32] [--seconds S] [--with-performance] [--json FILE]
    python benchmarks/throughput.py stream --with-performance --suite torchbench --cases-per-op 10
    python benchmarks/throughput.py stream --gpu ray://auto

Kernels are generated: right ones of relu in Triton (in PyTorch for `--device cpu`), each with other names, constants and block sizes, so
that no cache of anybody knows them. `latency` submits them one after the other, `stream` many at once, when all judges have
started. Printed: kernels a second, median and 90th percentile from submission to verdict, the stages of a verdict, who had the device, and for a GPU how busy it was.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import secrets
import statistics
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import common
import torch

from backend_bench.executors import choose
from backend_bench.leases import Lease, State, lease_name
from backend_bench.operator import Operator
from backend_bench.submission import Only, Submission, SuiteSpec
from backend_bench.verdict import Status, Verdict

TRITON = """import torch
import triton
import triton.language as tl


@triton.jit
def relu_{name}(x_ptr, y_ptr, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + at, mask=at < n)
    tl.store(y_ptr + at, tl.where(x <= 0, 0, x), mask=at < n - {number} + {number})


def relu__default_kernel_impl(x):
    x = x.contiguous()
    y = torch.empty_like(x)
    n = x.numel()
    if n:
        relu_{name}[(triton.cdiv(n, {block}),)](x, y, n, BLOCK={block}, num_warps={warps})
    return y
"""
PYTORCH = '''import torch


def relu__default_kernel_impl(x):
    """{name}: {number} {block} {warps}"""
    return torch.where(x <= 0, 0, x)
'''


def kernels(count: int, device: str) -> list[str]:
    """Sources that nobody has seen before."""
    template = TRITON if device == "cuda" else PYTORCH
    return [
        template.format(
            name=secrets.token_hex(4),
            number=secrets.randbelow(1 << 20),
            block=secrets.choice((256, 512, 1024, 2048)),
            warps=secrets.choice((2, 4, 8)),
        )
        for _ in range(count)
    ]


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("what", choices=("latency", "stream"))
    parser.add_argument("--kernels", type=int)
    parser.add_argument("--in-flight", type=int, default=32)
    parser.add_argument("--with-performance", action="store_true")
    parser.add_argument("--suite", default="opinfo")
    parser.add_argument("--seconds", type=float, help="count what came in so many, and let the rest be")
    parser.add_argument(
        "--gpu", default="local", help="where it is judged; who had the device is told of this host's only"
    )
    parser.add_argument("--cases-per-op", type=int, help="for torchbench; a third of so many are timed")
    asyncio.run(measure(parser.parse_args()))


async def measure(options: argparse.Namespace) -> None:
    executor = choose.choose(options.gpu)
    alone = options.what == "latency"
    spec = SuiteSpec(
        name=options.suite, device=options.device, dtype=options.dtype, cases_per_op=options.cases_per_op
    )
    only: Only | None = None if options.with_performance else "correctness"
    op, count = Operator.parse("relu"), options.kernels or (20 if alone else 200)
    first, warming, measured = (
        [Submission(op=op, source=source, suite=spec, only=what) for source in kernels(many, options.device)]
        for many, what in ((2, only), (0 if alone else options.in_flight, "correctness"), (count, only))
    )
    try:
        # The first opens the suite and warms the spares; then judges start as they are needed.
        await common.stream(executor, first, in_flight=1)
        if warming:
            await common.stream(executor, warming, in_flight=options.in_flight)
        with busy(options.device) as samples, states(options.device) as seen, processors() as used:
            in_flight = 1 if alone else options.in_flight
            found = await common.stream(executor, measured, in_flight=in_flight, seconds=options.seconds)
        if not found:
            raise SystemExit(f"no verdict in {options.seconds:g} s; let it have more")
        results = summary(found, samples)
        results["processors_busy"] = used[0]
        results["device_states"] = {state: seen.count(state) / len(seen) for state in sorted(set(seen))}
        await common.write(
            executor, options.json, {"what": options.what, "options": vars(options), **results}
        )
        show(results)
    finally:
        await choose.release()


def summary(found: list[common.Answer], samples: list[tuple[int, int]]) -> dict[str, Any]:
    took_s = [answer.took_s for answer in found]
    return {
        "kernels": len(found),
        "ok": sum(answer.verdict.status is Status.OK for answer in found),
        "others": [_why(answer.verdict) for answer in found if answer.verdict.status is not Status.OK],
        "a_second": len(found) / max(answer.at_s for answer in found),
        "at_s": sorted(round(answer.at_s, 3) for answer in found),
        "median_s": statistics.median(took_s),
        "p90_s": common.percentile(took_s, 0.9),
        "stages_median_s": common.stages_median_s([answer.verdict.stages_s for answer in found]),
        "gpu_busy": [statistics.fmean(percent for percent, _ in samples) / 100, len(samples)]
        if samples
        else None,
        "gpu_memory_mib": max((memory_mib for _, memory_mib in samples), default=None),
    }


def _why(verdict: Verdict) -> str:
    failed = (case.message for case in verdict.cases if not case.passed)
    return f"{verdict.status}: {verdict.message or next(failed, '')}"


def show(results: dict[str, Any]) -> None:
    print(f"{results['ok']} of {results['kernels']} ok; {results['a_second']:.2f} a second; from submission to "
          f"verdict {results['median_s']:.2f} s at the median, {results['p90_s']:.2f} s for nine in ten")  # fmt: skip
    for why, count in Counter(results["others"]).most_common(5):
        print(f"  {count} times {why}")
    for stage, seconds in sorted(results["stages_median_s"].items(), key=lambda item: -item[1]):
        print(f"  {stage:<12}{seconds:8.3f} s")
    shares = ", ".join(f"{state} {share:.0%}" for state, share in results["device_states"].items())
    print(f"  the device was {shares} of the time")
    print(f"  the processors were busy {results['processors_busy']:.0%} of the time")
    if results["gpu_busy"]:
        print(
            f"  the GPU was busy {results['gpu_busy'][0]:.0%} of the time, and held {results['gpu_memory_mib']} MiB at most"
        )


@contextlib.contextmanager
def states(device: str) -> Iterator[list[State]]:
    """Who has the device, looked at a hundred times a second."""
    lease, ended = Lease(lease_name(torch.device(device, 0))), threading.Event()
    seen: list[State] = []

    def look() -> None:
        while not ended.wait(0.01):
            seen.append(lease.state())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def processors() -> Iterator[list[float]]:
    """Which part of all processors' time was used inside, by anybody; there afterwards."""
    used: list[float] = []
    before = _processors()
    try:
        yield used
    finally:
        total, idle = (after - first for after, first in zip(_processors(), before, strict=True))
        used.append(1 - idle / max(total, 1))


def _processors() -> tuple[int, int]:
    """Time of all processors since the host began, and how much of it they had nothing to do."""
    times = list(map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:]))
    return sum(times), times[3] + times[4]


@contextlib.contextmanager
def busy(device: str) -> Iterator[list[tuple[int, int]]]:
    """Utilisation of the GPU in percent and its memory in use, in MiB, as its driver reports them five times a second."""
    samples: list[tuple[int, int]] = []
    if device == "cpu":
        yield samples
        return
    watch = subprocess.Popen(
        ["nvidia-smi", "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits", "-lms", "200"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield samples
    finally:
        watch.terminate()
        for line in (watch.communicate()[0] or "").splitlines():
            with contextlib.suppress(ValueError):  # the last one may be cut off
                percent, memory_mib = map(int, line.split(","))
                samples.append((percent, memory_mib))


if __name__ == "__main__":
    main()
