"""A judge's process, for real: it answers, keeps errors apart, is replaced when it is killed, and leaves no worker."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from backend_bench.errors import Abandoned, UsageError
from backend_bench.judge import cores, requests
from backend_bench.operator import Operator
from backend_bench.service.hand import Hand, HandLost
from backend_bench.service.judges import Judges
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.verdict import Status, Verdict

SMOKE = SuiteSpec(name="smoke", device="cpu", dtype="float32")
HONEST = (Path(__file__).parents[1] / "corpus" / "honest_where" / "kernel.py").read_text()
SLEEPY = "import time\n\n\ndef relu__default_kernel_impl(x):\n    time.sleep(600)\n"


def submission(source: str, op: str = "relu") -> Submission:
    return Submission(op=Operator.parse(op), source=source, suite=SMOKE, only="correctness")


def with_hand(story: Callable[[Hand], Awaitable[None]]) -> None:
    async def told() -> None:
        hand = await Hand.start(cores.UNDIVIDED)
        try:
            await story(hand)
        finally:
            await hand.close()

    asyncio.run(told())


def children(pid: int) -> list[int]:
    """The processes below one, however deep; those of which nothing is left are not among them."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").glob("*/children"))
        own = [int(child) for task in tasks for child in task.read_text().split()]
    except OSError:
        return []
    return [*own, *(deeper for child in own for deeper in children(child))]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] in "ZX"
    except OSError:
        return True


@pytest.mark.slow
def test_it_answers_everything_that_it_is_asked() -> None:
    async def story(hand: Hand) -> None:
        seats = await hand.ask(requests.ListSeats("cpu"), list[requests.Seat]).answer
        assert [seat.device for seat in seats] == ["cpu"]
        assert seats[0].judges >= 1
        assert await hand.ask(requests.WarmUp(), str).answer == "native"
        facts = await hand.ask(requests.TellFacts("best-effort"), dict[str, Any]).answer
        assert facts["sandbox"]["cpu"]["holds"]
        good = hand.ask(requests.Judge("cpu", submission(HONEST)), Verdict)
        bad = hand.ask(requests.Judge("cpu", submission(HONEST, "no_such_operator")), Verdict)
        assert (await good.answer).status is Status.OK
        with pytest.raises(UsageError, match="no operator no_such_operator"):
            await bad.answer
        assert hand.running == 0

    with_hand(story)


@pytest.mark.slow
def test_what_nobody_waits_for_ends_soon_and_the_process_lives_on() -> None:
    async def story(hand: Hand) -> None:
        sleepy = hand.ask(requests.Judge("cpu", submission(SLEEPY)), Verdict)
        good = hand.ask(requests.Judge("cpu", submission(HONEST)), Verdict)
        assert (await good.answer).status is Status.OK
        sleepy.abandon()
        with pytest.raises(Abandoned):
            await sleepy.answer
        never_begun = hand.ask(requests.Judge("cpu", submission(SLEEPY)), Verdict)
        never_begun.abandon()
        with pytest.raises(Abandoned):
            await never_begun.answer

    with_hand(story)


@pytest.mark.slow
def test_a_killed_process_takes_its_workers_along_and_says_so() -> None:
    async def story(hand: Hand) -> None:
        assert (await hand.ask(requests.Judge("cpu", submission(HONEST)), Verdict).answer).status is Status.OK
        below = children(hand.pid)
        sleepy = hand.ask(requests.Judge("cpu", submission(SLEEPY)), Verdict)
        os.kill(hand.pid, signal.SIGKILL)
        with pytest.raises(HandLost, match="died"):
            await sleepy.answer
        assert not hand.alive
        with pytest.raises(HandLost):
            await hand.ask(requests.ListSeats("cpu"), list[requests.Seat]).answer
        assert below
        while not all(map(gone, below)):
            await asyncio.sleep(0)

    with_hand(story)


@pytest.mark.slow
def test_the_queue_survives_the_death_of_a_judge_in_mid_run() -> None:
    async def told() -> None:
        judges = Judges(cores.UNDIVIDED, sandbox="best-effort")
        try:
            task = asyncio.create_task(judges.submit(submission(HONEST), "a"))
            while not any(device["running"] for device in judges.state()):
                await asyncio.sleep(0)
            [device] = judges.state()
            os.kill(device["judges"][0], signal.SIGKILL)
            assert (await task).status is Status.OK
            [after] = judges.state()
            assert after["judges"] != device["judges"]
        finally:
            await judges.close()

    asyncio.run(told())
