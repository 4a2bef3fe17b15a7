"""Many submissions at once, some of them hostile: each is answered once and rightly, and nothing stays behind.

python benchmarks/soak.py --submissions 5000 --in-flight 64 --hostile 0.1 --device cpu --json FILE

Kernels are those of `tests/corpus` whose verdict does not hang on times, and generated ones, right and wrong; each has a line of
its own, so that its verdict can be told by the hash of its source. Only correctness is judged. The service has a
folder, and so a socket, of its own. What it, its zygotes and spares hold is measured when the first part
has been answered and again at the end, and both must be alike. Exit code 1 if anything is not as it must be. Ctrl-C
asks nothing more, and judges what was asked.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import gc
import itertools
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import common

from backend_bench import runtime
from backend_bench.executors import services
from backend_bench.executors.local import LocalExecutor
from backend_bench.operator import Operator
from backend_bench.submission import Limits, Submission, SuiteSpec
from backend_bench.verdict import Verdict

HERE = Path(__file__).resolve().parent
CORPUS = HERE.parent / "tests" / "corpus"
LIMITS = {
    "cpu": Limits(load_s=10, call_s=5, first_call_s=10, total_s=120, memory_bytes=512 << 20),
    "cuda": Limits(load_s=30, call_s=5, first_call_s=30, total_s=120),
}
"""Short, since what hangs is waited for; long enough for an honest kernel among 64."""
HOSTILE = {
    "cpu": [
        "dies_in_call",
        "dies_at_import",
        "segfaults",
        "exits",
        "kills_its_group",
        "memory_bomb",
        "memory_bomb_in_python",
        "fork_bomb",
        "forges_a_reply",
        "sends_garbage",
        "raises",
        "daemonises",
        "closes_and_lives_on",
        "output_flood",
        "text_of_a_gigabyte",
        "exhausts_descriptors",
        "answers_twice",
        "nests_deeply",
        "dies_of_a_strange_signal",
        "paints_the_report",
        "raises_the_unspeakable",
        "looks_for_the_answer",
        "passthrough",
        "lazy_subclass",
        "calls_home",
        "clobbers_input",
        "removes_the_builtins",
    ],
    "cuda": [
        "gpu_illegal_access",
        "gpu_no_compile",
        "gpu_not_own_work",
        "gpu_caches_by_pointer",
        "gpu_caches_by_content",
    ],
}
SLOW = {"cpu": ["hangs_in_call", "hangs_at_import"], "cuda": ["gpu_hangs", "gpu_memory_bomb"]}
"""Each of these costs a limit of seconds: one hostile kernel in `SLOW_EVERY`."""
SLOW_EVERY = 25
HONEST = {
    "cpu": ["honest_where", "honest_workspace", "honest_housekeeping", "honest_object", "honest_code_writer"],
    "cuda": ["gpu_honest_relu", "gpu_honest_workspace", "gpu_honest_stream"],
}
WRONG_SHARE = 0.3
"""Of the generated kernels."""
FIRST_PART = 0.1
"""After this share of the submissions, at most `FIRST_MOST` and at least two for each place in flight, what is held is
measured for comparison: connections and threads are there by then."""
FIRST_MOST = 300
GROWTH_BYTES = 48 << 20
"""Allocators keep some of what they had; a leak of 10 kB a submission is as much after 5,000."""
QUIET_S = 60.0
"""So long the service gets to make its spares and lose its dead."""
UNCHANGED_S = 3.0
"""And so long nothing may have changed."""

PLAIN = '''"""{mark}"""

import torch


def relu__default_kernel_impl(x):
    return torch.where(x <= {at}, {at}, x)
'''
IN_TRITON = '''"""{mark}"""

import torch
import triton
import triton.language as tl


@triton.jit
def relu(x_ptr, y_ptr, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + at, mask=at < n)
    tl.store(y_ptr + at, tl.where(x <= {at}, {at}, x), mask=at < n)


def relu__default_kernel_impl(x):
    x = x.contiguous()
    y = torch.empty_like(x)
    n = x.numel()
    if n:
        relu[(triton.cdiv(n, 1024),)](x, y, n, BLOCK=1024)
    return y
'''


@dataclass(frozen=True, slots=True)
class Kernel:
    """One submission and what must become of it."""

    name: str
    submission: Submission
    statuses: tuple[str, ...]


@dataclass(slots=True)
class Held:
    """What a service and its children hold when nothing runs."""

    judges_bytes: int
    """Private and shared pages of the service and its judges."""
    zygotes_bytes: int
    descriptors: int
    """Of all these."""
    threads: int
    """Of the service and its judges."""
    processes: int
    """All that descend from the service."""
    memory_files: int
    """That the service and its judges have open."""
    shared_memory_files: int
    """In /dev/shm."""
    folders: int
    """Scratch folders of workers in the temporary folder."""
    gpu_bytes: int
    """Of all processes on the GPUs that may be used, by nvidia-smi; 0 without a GPU."""


@dataclass(slots=True)
class Record:
    """What came of it all."""

    asked: int = 0
    enough: bool = False
    """Somebody has interrupted."""
    answers: collections.Counter[str] = field(default_factory=collections.Counter)
    """By kernel and status."""
    faults: list[str] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)
    queue_s: list[float] = field(default_factory=list)
    stages_s: collections.Counter[str] = field(default_factory=collections.Counter)


# ---- kernels -------------------------------------------------------------------------------------


def kernels(count: int, hostile: float, device: str, rng: random.Random) -> Iterator[Kernel]:
    for number in range(count):
        mark = f"soak {number} {rng.getrandbits(64):x}"
        if rng.random() < hostile:
            names = SLOW if rng.randrange(SLOW_EVERY) == 0 else HOSTILE
            yield from_corpus(rng.choice(names[device]), mark, device)
        elif rng.random() < 0.2:
            yield from_corpus(rng.choice(HONEST[device]), mark, device)
        else:
            yield generated(mark, device, wrong=rng.random() < WRONG_SHARE)


def from_corpus(name: str, mark: str, device: str) -> Kernel:
    source, expect = _read(name)
    statuses = expect["status"]
    return Kernel(
        name,
        _submission(
            Operator.parse(expect["op"]), f"{source}\n# {mark}\n", device, expect.get("language", "auto")
        ),
        (statuses,) if isinstance(statuses, str) else tuple(statuses),
    )


def _read(name: str) -> tuple[str, dict[str, Any]]:
    folder = CORPUS / name
    return (folder / "kernel.py").read_text(), tomllib.loads((folder / "expect.toml").read_text())


def generated(mark: str, device: str, *, wrong: bool) -> Kernel:
    text = PLAIN if device == "cpu" else IN_TRITON
    source = text.format(mark=mark, at="0.1" if wrong else "0")
    return Kernel(
        "wrong" if wrong else "right",
        _submission(Operator.parse("relu"), source, device, "auto"),
        ("wrong",) if wrong else ("ok",),
    )


def _submission(op: Operator, source: str, device: Any, language: Any) -> Submission:
    spec = SuiteSpec(name="smoke", device=device, dtype="float32")
    return Submission(
        op=op, source=source, suite=spec, language=language, only="correctness", limits=LIMITS[device]
    )


# ---- asking --------------------------------------------------------------------------------------


async def soak(executor: LocalExecutor, some: Iterator[Kernel], in_flight: int, record: Record) -> None:
    """Keep so many in flight until there are no more, or somebody interrupts."""

    async def work() -> None:
        for kernel in some:
            record.asked += 1
            note(record, kernel, await executor.submit(kernel.submission))
            if record.enough:
                return

    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(work())


def note(record: Record, kernel: Kernel, verdict: Verdict) -> None:
    record.answers[f"{kernel.name}: {verdict.status}"] += 1
    if verdict.status not in kernel.statuses:
        record.faults.append(
            f"{kernel.name}: {verdict.status}, expected {kernel.statuses}: {verdict.message[:300]}"
        )
    if verdict.source_sha256 != kernel.submission.source_sha256:
        record.faults.append(f"{kernel.name}: the answer is about another kernel")
    record.wall_s.append(verdict.wall_s)
    record.queue_s.append(verdict.stages_s.get("queue", 0.0))
    record.stages_s.update(verdict.stages_s)


# ---- what stays ----------------------------------------------------------------------------------


async def held_when_quiet(executor: LocalExecutor) -> Held:
    """Measured once it has not changed for some seconds: on a GPU a spare takes more than one to be made."""
    deadline, before, since = time.monotonic() + QUIET_S, None, time.monotonic()
    while True:
        pid = (await executor.service())["pid"]
        gc.collect()
        now = held(pid)
        counts = (now.descriptors, now.processes, now.threads, now.memory_files)
        if counts != before:
            before, since = counts, time.monotonic()
        if time.monotonic() - since > UNCHANGED_S or time.monotonic() > deadline:
            return now
        await asyncio.sleep(1)


def held(service: int) -> Held:
    below = list(family(service))
    judges = [service, *(pid for pid in below if b"backend_bench.judge" in _read_proc(pid, "cmdline"))]
    zygotes = [
        pid for judge in judges for pid in children(judge) if b"worker.zygote" in _read_proc(pid, "cmdline")
    ]
    return Held(
        judges_bytes=sum(map(_pages, judges)),
        zygotes_bytes=sum(map(_pages, zygotes)),
        descriptors=sum(len(_links(pid)) for pid in (*judges, *zygotes)),
        threads=sum(len(os.listdir(f"/proc/{pid}/task")) for pid in judges),
        processes=len(below),
        memory_files=sum(link.startswith("/memfd:") for pid in judges for link in _links(pid)),
        shared_memory_files=len(os.listdir("/dev/shm")),
        folders=len(list(Path(tempfile.gettempdir()).glob("backend-bench-*"))),
        gpu_bytes=_gpu_bytes(),
    )


def family(root: int) -> Iterator[int]:
    for child in children(root):
        yield child
        yield from family(child)


def children(pid: int) -> list[int]:
    found: list[int] = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, listing.read_text().split())
        except OSError:
            continue
    return found


def _read_proc(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _pages(pid: int) -> int:
    rows = _read_proc(pid, "status").decode().splitlines()
    return sum(int(row.split()[1]) << 10 for row in rows if row.startswith(("RssAnon", "RssShmem")))


def _links(pid: int) -> list[str]:
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
        except OSError:
            continue
    return found


def _gpu_bytes() -> int:
    if shutil.which("nvidia-smi") is None:
        return 0
    asked = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    if visible := os.environ.get("CUDA_VISIBLE_DEVICES"):
        asked.append(f"--id={visible}")
    return sum(int(line) << 20 for line in subprocess.check_output(asked, text=True).split())


def grown(first: Held, last: Held) -> list[str]:
    """What is more at the end than it was."""
    before, after = asdict(first), asdict(last)
    return [
        f"{name} grew from {before[name]} to {after[name]}"
        for name in before
        if after[name] > before[name] + (GROWTH_BYTES if name.endswith("bytes") else 0)
    ]


# ---- the whole -----------------------------------------------------------------------------------


async def run(options: argparse.Namespace) -> dict[str, Any]:
    rng = random.Random(options.seed)
    some = kernels(options.submissions, options.hostile, options.device, rng)
    first_count = max(min(int(options.submissions * FIRST_PART), FIRST_MOST), 2 * options.in_flight)
    record, executor, began = Record(), LocalExecutor(), time.monotonic()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, setattr, record, "enough", True)
    try:
        pid = (await executor.service())["pid"]
        await soak(executor, _some(some, first_count), options.in_flight, record)
        first = await held_when_quiet(executor)
        await soak(executor, some, options.in_flight, record)
        took_s = time.monotonic() - began
        last = await held_when_quiet(executor)
        state = await executor.service()
        machine = await executor.machine()
    finally:
        await executor.aclose()
    judged = max(done["number"] for done in state["finished"])
    faults = record.faults + grown(first, last)
    if not record.asked == record.answers.total() == judged:
        faults.append(
            f"{record.asked} were asked, the service judged {judged}, {record.answers.total()} were answered"
        )
    if any(device["running"] or device["waiting"] for device in state["devices"]):
        faults.append("the service has something to do still")
    if state["pid"] != pid:
        faults.append(f"service {pid} was lost, {state['pid']} took its place")
    return {
        "schema": 1,
        "what": "soak",
        "commit": common.commit(),
        "machine": machine,
        "options": {name: value for name, value in vars(options).items() if name != "json"},
        "submissions": record.asked,
        "faults": faults,
        "took_s": round(took_s, 1),
        "a_second": round(record.asked / took_s, 3),
        "wall_s": quantiles(record.wall_s),
        "queue_s": quantiles(record.queue_s),
        "stages_mean_s": {
            stage: round(seconds / record.asked, 4) for stage, seconds in record.stages_s.most_common()
        },
        "answers": dict(sorted(record.answers.items())),
        "held_after_first_part": {"answers": first_count, **asdict(first)},
        "held_at_the_end": asdict(last),
    }


def _some(kernels: Iterator[Kernel], count: int) -> Iterator[Kernel]:
    yield from itertools.islice(kernels, count)


def quantiles(seconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=100)
    return {
        "median": round(cuts[49], 3),
        "p90": round(cuts[89], 3),
        "p99": round(cuts[98], 3),
        "most": round(max(seconds), 3),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--submissions", type=int, default=300)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--hostile", type=float, default=0.1, help="share of hostile kernels")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="file for what came of it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bb-", dir="/tmp") as folder:  # a socket's path must be short
        os.environ[runtime.FOLDER] = folder
        os.environ[runtime.IDLE] = "120"
        try:
            found = asyncio.run(run(options))
        finally:
            for seen in services.running():
                services.end(seen)
    text = json.dumps(found, indent=1)
    print(text)
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(text + "\n")
    return 1 if found["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
