"""The limit on memory binds all processes of a life together, and memory that no process's limit counts."""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import subprocess
import textwrap
import threading
from pathlib import Path

import pytest

from backend_bench import wire
from backend_bench.errors import WorkerLost
from backend_bench.judge import memory, zygotes
from backend_bench.judge.judge import Judge
from backend_bench.operator import Operator
from backend_bench.submission import Limits, Sandbox, Submission, SuiteSpec
from backend_bench.verdict import Status, Verdict

MIB = 1 << 20
LIMITS = Limits(load_s=60, call_s=60, first_call_s=60, total_s=300, memory_bytes=192 * MIB)
HEAD = """
    import mmap, os, signal, torch

    PIECE = b"x" * (8 << 20)
    kept = []
"""
IN_CHILDREN = """
    def relu__default_kernel_impl(x):
        for _ in range(8):
            if os.fork() == 0:
                kept.append(torch.ones(16 << 20))  # 64 MiB: each is within the limit
                signal.pause()
        signal.pause()
"""
IN_SHARED_MAPS = """
    def relu__default_kernel_impl(x):
        for _ in range(8):
            if os.fork() == 0:
                for _ in range(8):
                    kept.append(mmap.mmap(-1, len(PIECE)))
                    kept[-1].write(PIECE)
                signal.pause()
        signal.pause()
"""
IN_MEMORY_FILES = """
    def relu__default_kernel_impl(x):
        for _ in range(80):
            kept.append(os.memfd_create("more"))
            os.write(kept[-1], PIECE)
        signal.pause()
"""
AFTER_ITS_ANSWER = """
    import threading

    def fill():
        for _ in range(8):
            if os.fork() == 0:
                kept.append(torch.ones(16 << 20))
                signal.pause()

    def relu__default_kernel_impl(x):
        if not kept:
            kept.append(threading.Thread(target=fill))
            kept[0].start()
        kept.append(signal.sigtimedwait([], 0.3))
        return torch.clamp_min(x, 0)
"""
SHARED_WITH_CHILDREN = """
    POOL = torch.ones(16 << 20)  # 64 MiB, which two children do not hold once more

    def relu__default_kernel_impl(x):
        reader, writer = os.pipe()
        children = []
        for _ in range(2):
            children.append(os.fork())
            if children[-1] == 0:
                os.close(writer)
                os.read(reader, 1)
                os._exit(0)
        signal.sigtimedwait([], 0.15)
        os.close(writer)
        for child in children:
            os.waitpid(child, 0)
        os.close(reader)
        return torch.clamp_min(x, 0)
"""


def verdict_on(judge: Judge, kernel: str, sandbox: Sandbox = "best-effort") -> Verdict:
    spec = SuiteSpec(name="smoke", device="cpu", dtype="float32")
    source = textwrap.dedent(HEAD) + textwrap.dedent(kernel)
    return judge.judge(
        Submission(
            op=Operator.parse("relu"), source=source, suite=spec, limits=LIMITS, sandbox=sandbox, only="correctness"
        )
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kernel", "sandbox"),
    [
        (IN_CHILDREN, "best-effort"),
        (IN_SHARED_MAPS, "best-effort"),
        (AFTER_ITS_ANSWER, "best-effort"),
        (IN_MEMORY_FILES, "off"),  # in the sandbox there are none
    ],
    ids=["in children", "in shared maps", "after its answer", "in memory files"],
)
def test_a_worker_that_holds_too_much_is_ended(own_judge: Judge, kernel: str, sandbox: Sandbox) -> None:
    verdict = verdict_on(own_judge, kernel, sandbox)
    assert verdict.status is Status.CRASHED, verdict
    assert "MiB of memory, more than the 192 MiB of this submission" in verdict.message
    assert verdict.notes == ()  # we know who killed it, and do not try again


def test_a_memory_file_cannot_be_had_in_the_sandbox(own_judge: Judge) -> None:
    verdict = verdict_on(own_judge, IN_MEMORY_FILES)
    if "counted-memory" not in verdict.sandbox:
        pytest.skip("this machine's sandbox has no counted-memory")
    assert verdict.status is Status.WRONG
    assert "Function not implemented" in verdict.message


@pytest.mark.slow
def test_pages_that_children_share_count_once(own_judge: Judge) -> None:
    verdict = verdict_on(own_judge, SHARED_WITH_CHILDREN)
    assert verdict.status is Status.OK, verdict.message


def test_all_of_it_is_counted() -> None:
    """Private pages, shared maps and memory files, of this process."""
    pids = [os.getpid()]
    before = memory.exact_bytes(pids)
    file = os.memfd_create("test")
    os.write(file, b"x" * MIB)
    private = mmap.mmap(
        -1, 8 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    )  # an allocator may reuse what was counted
    shared = mmap.mmap(-1, 4 * MIB)
    private.write(b"x" * 8 * MIB)
    shared.write(b"x" * 4 * MIB)
    assert memory.exact_bytes(pids) - before >= 13 * MIB
    assert memory.quick_bytes(pids) >= 13 * MIB
    private.close()
    shared.close()
    os.close(file)


def test_a_process_that_is_gone_holds_nothing() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert memory.quick_bytes([child]) == memory.exact_bytes([child]) == 0


def test_a_process_that_ends_while_it_is_looked_at_has_no_children(monkeypatch: pytest.MonkeyPatch) -> None:
    child = subprocess.Popen(["sleep", "60"])
    lists, scans = os.listdir, os.scandir

    def end() -> None:
        child.kill()
        child.wait()

    monkeypatch.setattr(os, "listdir", lambda path: (end(), lists(path))[1])
    monkeypatch.setattr(os, "scandir", lambda path: (end(), scans(path))[1])
    ours, theirs = wire.Channel.pair()
    with contextlib.closing(ours), contextlib.closing(theirs):
        assert zygotes.Life(0, ours, child.pid).family() == [child.pid]
    assert child.returncode == -signal.SIGKILL


def test_a_life_that_cannot_be_looked_at_is_ended() -> None:
    """Nobody goes on unseen."""
    ended = threading.Event()

    def family() -> list[int]:
        if threading.current_thread().name == "memory":
            raise PermissionError("no")
        return []

    with memory.Watch(family, MIB, ours=lambda: 0, end=ended.set) as watch:
        assert ended.wait(60)
    with pytest.raises(WorkerLost, match=r"could not be looked at: PermissionError\('no'\)"):
        watch.check()


def test_what_cannot_be_seen_exactly_counts_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_text

    def refuse(path: Path, *args: object) -> str:
        if path.name == "smaps_rollup":
            raise PermissionError
        return read(path)

    monkeypatch.setattr(Path, "read_text", refuse)
    assert memory.exact_bytes([os.getpid()]) > 0
