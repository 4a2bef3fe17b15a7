"""A worker that sends what it likes: the judge blames it or finds it wrong, never itself, and never waits long.

`pytest tests/judge/test_hostile_frames.py tests/test_wire.py --hypothesis-profile=long` tries some thousand others each time.
"""

from __future__ import annotations

import dataclasses
import gc
import math
import os
import resource
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backend_bench import wire
from backend_bench.cases import Call
from backend_bench.grading import checker, oracle
from backend_bench.judge import audit, performance
from backend_bench.judge.bench import Bench, CompileFailed
from backend_bench.judge.correctness import output_metas
from backend_bench.judge.judge import Judge
from backend_bench.judge.keeper import Crashed, Forged, TimedOut
from backend_bench.judge.zygotes import Zygotes
from backend_bench.leases import Lease
from backend_bench.operator import Operator
from backend_bench.submission import Limits, Only, Submission, SuiteSpec
from backend_bench.verdict import Status, Verdict
from backend_bench.worker.recorder import Recorder

from .. import strange
from .hostile import CPU, Crew, Line, Trick, descriptors

SPEC = SuiteSpec(name="smoke", device="cpu", dtype="float32")
RELU = Operator.parse("relu")
HONEST = (Path(__file__).parents[1] / "corpus" / "honest_where" / "kernel.py").read_text()
IMPATIENT = Limits(load_s=0.2, call_s=0.2, first_call_s=0.2, total_s=20)
OTHER_FRAMES: list[Any] = [
    wire.Ready("off", (), ()),
    wire.Loaded("no"),
    wire.Done(number=1),
    wire.Timed(number=1),
    wire.Spawned(number=1, pid=1),
    wire.Exited(number=1, status=0),
    wire.Load("", "", ""),
    wire.Spawn(1, "off", 1, "cpu", 1),
]


# ---- what a worker may do instead of replying ---------------------------------------------------


@dataclass(frozen=True)
class Raw:
    """Any bytes, and then perhaps nobody."""

    data: bytes
    stays: bool

    def __call__(self, line: Line) -> None:
        line.raw(self.data)
        if not self.stays:
            line.hang_up()


@dataclass(frozen=True)
class Header:
    """A header that lies about the length of what follows."""

    length: int
    part: float

    def __call__(self, line: Line) -> None:
        line.raw(self.length.to_bytes(4, "big") + line.honest[: int(self.part * len(line.honest))])
        line.hang_up()


@dataclass(frozen=True)
class Replaced:
    """The honest reply with another value in one place."""

    where: float
    value: bytes

    def __call__(self, line: Line) -> None:
        line.send(strange.replaced(line.honest, self.where, self.value))


@dataclass(frozen=True)
class Other:
    """A frame of another kind, or the right kind with another number, before or instead of the reply."""

    frame: Any
    then_honest: bool

    def __call__(self, line: Line) -> None:
        line.send(msgspec.json.encode(self.frame))
        if self.then_honest:
            line.send(line.honest)


@dataclass(frozen=True)
class Again:
    """Replies that were sent before."""

    times: int

    def __call__(self, line: Line) -> None:
        for body in (*line.before, line.honest)[-self.times :] * self.times:
            line.send(body)


@dataclass(frozen=True)
class Twice:
    """A key that is there twice: which of them counts?"""

    key: str
    value: bytes

    def __call__(self, line: Line) -> None:
        line.send(line.honest[:-1] + b',"' + self.key.encode() + b'":' + self.value + b"}")


@dataclass(frozen=True)
class Along:
    """Descriptors that come with the reply, and bytes one by one."""

    count: int

    def __call__(self, line: Line) -> None:
        with descriptors(self.count) as fds:
            line.send(line.honest, fds)


def silent(line: Line) -> None:
    """No reply at all."""


def dribbled(line: Line) -> None:
    """Byte by byte."""
    for byte in len(line.honest).to_bytes(4, "big") + line.honest:
        line.raw(bytes([byte]))


TRICKS: st.SearchStrategy[Trick] = st.one_of(
    st.builds(Raw, st.binary(max_size=64), st.booleans()),
    st.builds(Header, st.integers(0, 2**32 - 1), st.floats(0, 1)),
    st.builds(Replaced, st.floats(0, 1, exclude_max=True), strange.VALUES),
    st.builds(Replaced, st.floats(0, 1, exclude_max=True), strange.VALUES),
    st.builds(Other, st.sampled_from(OTHER_FRAMES), st.booleans()),
    st.builds(Again, st.integers(1, 3)),
    st.builds(Twice, st.sampled_from(["number", "outputs", "type", "elapsed_us", "error"]), strange.VALUES),
    st.builds(Along, st.sampled_from([1, 64, 200])),
    st.just(silent),
    st.just(dribbled),
)


# ---- one call ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lease() -> Iterator[Lease]:
    with Recorder([]):
        torch.zeros(1).relu()  # a first dispatch mode imports for longer than these limits
    with tempfile.TemporaryDirectory() as folder:
        yield Lease("cpu", Path(folder))


@pytest.fixture(scope="module")
def judge_here() -> Iterator[Judge]:
    """A judge in this process; it is handed workers and has no zygote. It times few pairs: nobody looks at the figures."""
    few = dataclasses.replace(performance.PACES["cpu"], baseline=2, least=3, most=3)
    with pytest.MonkeyPatch.context() as patch, Judge(CPU, Zygotes()) as judge:
        patch.setitem(performance.PACES, "cpu", few)
        yield judge


X = torch.randn(2, 3)
EXPECTED = oracle.expect(torch.ops.aten.relu.default, Call((X,), {}), profile="strict")


ENDS = ("right", "wrong", "raised", "compile_error", "Forged", "TimedOut", "Crashed")


def outcome(trick: Trick, at: int, lease: Lease, calls: int = 2) -> str:
    """What the judge makes of a few calls; anything but these ends is an exception, and a bug."""
    with tempfile.TemporaryDirectory() as folder:
        crew = Crew(Path(folder), trick, at)
        submission = Submission(op=RELU, source=HONEST, suite=SuiteSpec(), limits=IMPATIENT)
        try:
            with Bench(submission, "pytorch", crew.stay(lease)) as bench:
                return " ".join(one_call(bench) for _ in range(calls))
        except CompileFailed:
            return "compile_error"
        except (Forged, TimedOut, Crashed) as end:
            return f"{type(end).__name__}" if len(str(end)) < 1000 else "a text of a thousand characters"
        finally:
            crew.close()


def one_call(bench: Bench) -> str:
    keeper = bench.candidate()
    sample = bench.call(keeper, 0, Call((X,), {}), output_metas(EXPECTED), record=True)
    for evidence in audit.own_work("relu.default", "triton", [audit.Operators(sample.claims.operators)]):
        assert len(evidence.detail) < 10_000
        assert all(c.isprintable() for c in evidence.detail)
    if sample.claims.error:
        return "raised"
    finding = checker.check(EXPECTED, sample.observed)
    assert len(finding.message) < 10_000
    return "right" if finding.passed else "wrong"


def test_an_honest_worker_is_right(lease: Lease) -> None:
    assert outcome(lambda line: line.send(line.honest), 1, lease) == "right right"


@pytest.mark.slow
@settings(max_examples=4 * settings().max_examples)
@given(trick=TRICKS, at=st.integers(0, 2))
def test_whatever_it_sends_in_a_call_has_an_end(trick: Trick, at: int, lease: Lease) -> None:
    assert outcome(trick, at, lease).split()[0] in ENDS


# ---- a whole submission --------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=settings().max_examples // 3)
@given(trick=TRICKS, at=st.integers(0, 70), times=st.sampled_from([1, 3, 1000]))
def test_whatever_it_sends_the_verdict_is_about_the_worker(
    trick: Trick, at: int, times: int, judge_here: Judge, lease: Lease
) -> None:
    must_blame_the_worker(verdict_on(trick, at, times, "correctness", judge_here, lease))


@pytest.mark.slow
@settings(max_examples=settings().max_examples // 6)
@given(trick=TRICKS, at=st.integers(0, 12), times=st.sampled_from([1, 1000]))
def test_whatever_it_sends_while_it_is_timed_the_verdict_is_about_the_worker(
    trick: Trick, at: int, times: int, judge_here: Judge, lease: Lease
) -> None:
    must_blame_the_worker(verdict_on(trick, at, times, "performance", judge_here, lease))


def must_blame_the_worker(verdict: Verdict) -> None:
    assert verdict.status is not Status.ERROR, verdict.message
    assert len(msgspec.json.encode(verdict)) < 200_000
    for number in (verdict.correctness_score, verdict.performance_score, verdict.reward):
        assert number is None or math.isfinite(number)


def verdict_on(trick: Trick, at: int, times: int, only: Only, judge: Judge, lease: Lease) -> Verdict:
    with tempfile.TemporaryDirectory() as folder:
        crew = Crew(Path(folder), trick, at, times)
        submission = Submission(op=RELU, source=HONEST, suite=SPEC, limits=IMPATIENT, only=only, seed=1)
        try:
            return judge.judge(submission, crew.stay(lease))
        finally:
            crew.close()


# ---- what it costs us ----------------------------------------------------------------------------


@pytest.mark.slow
def test_nothing_of_it_stays_with_the_judge(lease: Lease) -> None:
    """Neither memory nor descriptors nor threads, however large its replies were."""
    tricks = [
        Raw(b"\xff" * (1 << 20), stays=False),
        Raw((1 << 20).to_bytes(4, "big") + b"1" * (1 << 20), stays=True),
        Replaced(0.5, strange.deep(100_000)),
        Replaced(0.5, b"[" + b",".join([b"1"] * 400_000) + b"]"),
        Along(200),
        silent,
    ]
    for trick in tricks:
        outcome(trick, 1, lease)
    before = held()
    for trick in 4 * tricks:
        outcome(trick, 1, lease)
    after = held()
    assert after.descriptors == before.descriptors
    assert after.threads == before.threads
    assert after.memory_bytes < before.memory_bytes + (16 << 20)


@dataclass(frozen=True)
class Held:
    descriptors: int
    threads: int
    memory_bytes: int


def held() -> Held:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Held(len(os.listdir("/proc/self/fd")), threading.active_count(), pages * resource.getpagesize())


# ---- what was found ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b'{"type":"Done","number":1,"error":"\xff\xfe"}',
        b'{"type":"Done","number":1,"outputs":[{"kind":"scalar","type_name":"","scalar":["dict",[[["a"],1]]]}]}',
        b'{"type":"Done","number":1,"operators":[{"op":"' + b"x" * 9000 + b'","inputs_only":true,"returned":true}]}',
        b'{"type":"Done","number":1,"outputs":[{"kind":"tensor","type_name":"","shape":[' + b"1," * 9000 + b"1]}]}",
        b'{"type":"Done","number":1,"outputs":[{"kind":"tensor","type_name":"","alias":-1}]}',
    ],
    ids=["no utf-8", "a scalar that is a tree", "a name of 9000", "9001 dimensions", "an input before the first"],
)  # fmt: skip
def test_a_frame_that_once_was_believed_or_broke_the_judge_is_a_forgery(body: bytes, lease: Lease) -> None:
    def trick(line: Line) -> None:
        number = str(msgspec.json.decode(line.honest)["number"]).encode()
        line.send(body.replace(b'"number":1', b'"number":' + number))

    assert outcome(trick, 1, lease) == "Forged"
