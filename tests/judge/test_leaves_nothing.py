"""A bad kernel hurts nobody: after it there is no process, no descriptor, no memory and no file of it."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend_bench.executors import services
from backend_bench.operator import Operator
from backend_bench.submission import Limits, Submission, SuiteSpec
from backend_bench.verdict import Status

from ..conftest import Judge

CORPUS = Path(__file__).parents[1] / "corpus"
HOSTILE = (
    "dies_in_call",
    "segfaults",
    "hangs_in_call",
    "memory_bomb",
    "fork_bomb",
    "forges_a_reply",
    "raises",
)
LIMITS = Limits(load_s=2, call_s=1, first_call_s=1, total_s=10, memory_bytes=256 << 20)
SPARES = 8
"""Workers that may wait ready: two for each kind that was asked for, each with a relay and an init."""


@pytest.mark.slow
def test_hostile_kernels_leave_no_process_and_no_descriptor(judge: Judge) -> None:
    _one_round(judge)
    before, folders = _holdings(), _folders()
    for _ in range(2):
        _one_round(judge)
    after = _holdings()
    assert after["processes"] <= before["processes"] + SPARES * 3
    assert after["descriptors"] <= before["descriptors"] + SPARES * 2
    came, deadline = _folders() - folders, time.monotonic() + 60
    while left := came & _folders():  # those of tests beside this one go, too
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def _one_round(judge: Judge) -> None:
    for name in HOSTILE:
        source = (CORPUS / name / "kernel.py").read_text()
        spec = SuiteSpec(name="smoke", device="cpu", dtype="float32")
        op = Operator.parse("relu.default")
        verdict = judge(Submission(op=op, source=source, suite=spec, limits=LIMITS))
        assert verdict.status is not Status.ERROR


def _holdings() -> dict[str, int]:
    family = [pid for seen in services.running() for pid in _descendants(seen.pid)]
    return {
        "processes": len(family),
        "descriptors": sum(_descriptors(pid) for pid in family if _is_service(pid)),
    }


def _folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("backend-bench-*"))


def _descendants(root: int) -> Iterator[int]:
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(after_name[1]), []).append(int(stat.parent.name))
    waiting = [root]
    while waiting:
        children = parents.get(waiting.pop(), [])
        yield from children
        waiting += children


def _is_service(pid: int) -> bool:
    try:
        return b"backend_bench.service" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))
