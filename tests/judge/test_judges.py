"""The queue in front of the judges: turns between clients, the shortest queue, and places given up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest
import torch

from backend_bench.errors import Abandoned, UsageError
from backend_bench.judge import cores, judges
from backend_bench.judge.judges import Judges
from backend_bench.judge.zygotes import Zygotes
from backend_bench.operator import Operator
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.verdict import Status, Verdict


class ScriptedStay:
    """A stay without workers."""

    def __init__(self) -> None:
        self.abandoned = threading.Event()

    def abandon(self) -> None:
        self.abandoned.set()


class ScriptedJudge:
    """Writes down what it is asked, and answers when it is told to."""

    asked: list[str]
    go_on: threading.Event

    def __init__(self, device: torch.device, *_: object) -> None:
        self.device = device

    def stay(self) -> ScriptedStay:
        return ScriptedStay()

    def judge(self, submission: Submission, stay: ScriptedStay) -> Verdict:
        ScriptedJudge.asked.append(f"{submission.source} on {self.device}")
        if submission.source == "endless":
            stay.abandoned.wait()
            raise Abandoned("nobody waits")
        ScriptedJudge.go_on.wait()
        return Verdict(op=str(submission.op), language="pytorch", status=Status.OK, stages_s={"run": 1.0})

    def __exit__(self, *_: object) -> None: ...


@pytest.fixture(autouse=True)
def _scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    ScriptedJudge.asked, ScriptedJudge.go_on = [], threading.Event()
    monkeypatch.setattr(judges, "Judge", ScriptedJudge)
    monkeypatch.setattr(judges, "PARALLEL", {"cpu": 1, "cuda": 1})
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)


def submission(source: str, **rules: object) -> Submission:
    return Submission(op=Operator.parse("relu"), source=source, suite=SuiteSpec(), **rules)  # type: ignore[arg-type]


def at_judges(story: Callable[[Judges], Awaitable[None]]) -> None:
    async def told() -> None:
        made = Judges(Zygotes(), cores.UNDIVIDED, sandbox="best-effort")
        try:
            await story(made)
        finally:
            ScriptedJudge.go_on.set()
            made.close()

    asyncio.run(told())


async def ask(made: Judges, source: str, client: str) -> asyncio.Task[Verdict]:
    """Ask, and return once it has its place."""
    before = sum(map(_length, made.state()))
    task = asyncio.create_task(made.submit(submission(source), client))
    while sum(map(_length, made.state())) == before:
        await asyncio.sleep(0)
    return task


def _length(device: dict[str, object]) -> int:
    return len(device["running"]) + sum(device["waiting"].values())  # type: ignore[arg-type,attr-defined]


def test_turns_go_round_between_clients() -> None:
    async def story(made: Judges) -> None:
        tasks = [await ask(made, f"a{number}", "a") for number in range(4)]
        tasks += [await ask(made, "b0", "b"), await ask(made, "c0", "c"), await ask(made, "b1", "b")]
        assert made.state()[0]["waiting"] == {"a": 3, "b": 2, "c": 1}
        ScriptedJudge.go_on.set()
        verdicts = await asyncio.gather(*tasks)
        order = [asked.split()[0] for asked in ScriptedJudge.asked]
        assert order == ["a0", "a1", "b0", "c0", "a2", "b1", "a3"]
        assert all(set(verdict.stages_s) == {"queue", "run"} for verdict in verdicts)
        assert [_length(device) for device in made.state()] == [0]

    at_judges(story)


def test_a_place_that_is_given_up_in_the_queue_is_never_judged() -> None:
    async def story(made: Judges) -> None:
        first, second = await ask(made, "a0", "a"), await ask(made, "a1", "a")
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        ScriptedJudge.go_on.set()
        await first
        assert ScriptedJudge.asked == ["a0 on cpu"]
        assert made.state()[0]["waiting"] == {}

    at_judges(story)


def test_what_runs_for_nobody_is_stopped_and_the_next_one_has_its_turn() -> None:
    async def story(made: Judges) -> None:
        ScriptedJudge.go_on.set()
        endless, other = await ask(made, "endless", "a"), await ask(made, "b0", "b")
        endless.cancel()
        assert (await other).status is Status.OK
        assert [done["outcome"] for done in made.finished] == ["dropped", "ok"]

    at_judges(story)


def test_the_device_with_the_shortest_queue_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    places = {"cpu": (torch.device("cpu"), torch.device("meta"))}
    monkeypatch.setattr(judges, "devices_of", places.__getitem__)
    monkeypatch.setitem(judges.PARALLEL, "meta", 1)

    async def story(made: Judges) -> None:
        tasks = [await ask(made, f"a{number}", "a") for number in range(5)]
        assert [_length(device) for device in made.state()] == [3, 2]
        ScriptedJudge.go_on.set()
        await asyncio.gather(*tasks)
        assert sum(asked.endswith("on meta") for asked in ScriptedJudge.asked) == 2

    at_judges(story)


def test_a_submission_of_another_level_is_refused() -> None:
    async def story(made: Judges) -> None:
        with pytest.raises(UsageError, match="judges with sandbox=best-effort"):
            await made.submit(submission("a", sandbox="off"), "a")

    at_judges(story)
