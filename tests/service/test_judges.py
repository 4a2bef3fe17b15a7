"""The queue in front of the judges: turns between clients, the shortest queue, places given up, processes that die."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from backend_bench.errors import Abandoned, DeviceUnavailable, JudgeError, UsageError
from backend_bench.judge import cores, requests
from backend_bench.operator import Operator
from backend_bench.service import judges
from backend_bench.service.hand import Errand, HandLost
from backend_bench.service.judges import Judges
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.verdict import Status, Verdict


class ScriptedHand:
    """A judge's process that is none: writes down what it is asked, and answers when it is told to."""

    made: list[ScriptedHand]
    seats: dict[str, list[requests.Seat]]
    asked: list[str]

    def __init__(self) -> None:
        self.alive, self.pid = True, len(ScriptedHand.made) + 1
        self.errands: dict[int, tuple[Errand[Any], str]] = {}
        ScriptedHand.made.append(self)

    @classmethod
    async def start(cls, share: cores.Share) -> ScriptedHand:
        return cls()

    @property
    def running(self) -> int:
        return len(self.errands)

    def ask(self, what: Any, answer: type[Any]) -> Errand[Any]:
        errand: Errand[Any] = Errand(self, len(ScriptedHand.asked) + 1, answer)  # type: ignore[arg-type]
        if isinstance(what, requests.ListSeats):
            if what.kind in ScriptedHand.seats:
                errand.answer.set_result(ScriptedHand.seats[what.kind])
            else:
                errand.answer.set_exception(DeviceUnavailable("no CUDA device"))
            return errand
        if isinstance(what, requests.WarmUp):
            errand.answer.set_result("native")
            return errand
        if isinstance(what, requests.ReadIndex):
            self.errands[-len(self.errands) - 1] = errand, "an index"  # before every kernel
            return errand
        ScriptedHand.asked.append(f"{what.submission.source} on {what.device}")
        self.errands[errand.number] = errand, what.submission.source
        return errand

    def say(self, message: requests.Abandon) -> None:
        errand, _ = self.errands.pop(message.number)
        errand.answer.set_exception(Abandoned("nobody waits"))

    def answer(self, count: int = 1) -> None:
        """Answer the oldest questions."""
        for number in sorted(self.errands)[:count]:
            errand, _ = self.errands.pop(number)
            found = Verdict(op="relu.default", language="pytorch", status=Status.OK, stages_s={"run": 1.0})
            errand.answer.set_result(found)

    def die(self) -> None:
        self.alive = False
        while self.errands:
            _, (errand, _) = self.errands.popitem()
            errand.answer.set_exception(HandLost("it died"))

    async def close(self) -> None:
        self.die()


@pytest.fixture(autouse=True)
def _scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    ScriptedHand.made, ScriptedHand.asked = [], []
    ScriptedHand.seats = {"cpu": [requests.Seat("cpu", 1)]}
    monkeypatch.setattr(judges, "Hand", ScriptedHand)
    monkeypatch.setattr(judges, "AT_ONCE", 1)


def submission(source: str, **rules: object) -> Submission:
    return Submission(op=Operator.parse("relu"), source=source, suite=SuiteSpec(), **rules)  # type: ignore[arg-type]


def at_judges(story: Callable[[Judges], Awaitable[None]]) -> None:
    async def told() -> None:
        made = Judges(cores.UNDIVIDED, sandbox="best-effort")
        try:
            await story(made)
        finally:
            await made.close()

    asyncio.run(told())


async def ask(made: Judges, source: str, client: str) -> asyncio.Task[Verdict]:
    """Ask, and return once it has its place."""
    before = sum(map(_length, made.state()))
    task = asyncio.create_task(made.submit(submission(source), client))
    while sum(map(_length, made.state())) == before:
        await asyncio.sleep(0)
    return task


async def until(true: Callable[[], object]) -> None:
    while not true():
        await asyncio.sleep(0)


async def all_answered(tasks: list[asyncio.Task[Verdict]]) -> list[Verdict]:
    while not all(task.done() for task in tasks):
        for hand in ScriptedHand.made:
            hand.answer()
        await asyncio.sleep(0)
    return [task.result() for task in tasks]


def _length(device: dict[str, object]) -> int:
    return len(device["running"]) + sum(device["waiting"].values())  # type: ignore[arg-type,attr-defined]


def test_turns_go_round_between_clients() -> None:
    async def story(made: Judges) -> None:
        tasks = [await ask(made, f"a{number}", "a") for number in range(4)]
        tasks += [await ask(made, "b0", "b"), await ask(made, "c0", "c"), await ask(made, "b1", "b")]
        await until(lambda: ScriptedHand.asked)
        assert made.state()[0]["waiting"] == {"a": 3, "b": 2, "c": 1}
        verdicts = await all_answered(tasks)
        order = [asked.split()[0] for asked in ScriptedHand.asked]
        assert order == ["a0", "a1", "b0", "c0", "a2", "b1", "a3"]
        assert all(set(verdict.stages_s) == {"queue", "run"} for verdict in verdicts)
        assert [_length(device) for device in made.state()] == [0]

    at_judges(story)


def test_a_place_that_is_given_up_in_the_queue_is_never_judged() -> None:
    async def story(made: Judges) -> None:
        first, second = await ask(made, "a0", "a"), await ask(made, "a1", "a")
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        await all_answered([first])
        assert ScriptedHand.asked == ["a0 on cpu"]
        assert made.state()[0]["waiting"] == {}

    at_judges(story)


def test_what_runs_for_nobody_is_stopped_and_the_next_one_has_its_turn() -> None:
    async def story(made: Judges) -> None:
        endless, other = await ask(made, "endless", "a"), await ask(made, "b0", "b")
        await until(lambda: ScriptedHand.asked)
        endless.cancel()
        await until(lambda: len(ScriptedHand.asked) == 2)
        await all_answered([other])
        assert [done["outcome"] for done in made.finished] == ["dropped", "ok"]

    at_judges(story)


def test_the_device_with_the_shortest_queue_has_it() -> None:
    ScriptedHand.seats["cpu"] = [requests.Seat("cpu:0", 1), requests.Seat("cpu:1", 1)]

    async def story(made: Judges) -> None:
        tasks = [await ask(made, f"a{number}", "a") for number in range(5)]
        assert [_length(device) for device in made.state()] == [3, 2]
        await all_answered(tasks)
        assert sum(asked.endswith("on cpu:1") for asked in ScriptedHand.asked) == 2
        assert len(ScriptedHand.made) == 2

    at_judges(story)


def test_processes_are_started_when_there_is_work_for_them() -> None:
    ScriptedHand.seats["cpu"] = [requests.Seat("cpu", 3)]

    async def story(made: Judges) -> None:
        assert not made.is_warm
        await made.warm()
        await until(lambda: made.is_warm)
        first = await ask(made, "a0", "a")
        await until(lambda: ScriptedHand.asked)
        assert [device["judges"] for device in made.state()] == [[1]]  # the one that was warm
        tasks = [first, *[await ask(made, f"a{number}", "a") for number in range(1, 6)]]
        await until(lambda: len(ScriptedHand.asked) == 3)
        assert [device["judges"] for device in made.state()] == [[1, 2, 3]]
        await all_answered(tasks)

    at_judges(story)


def test_what_a_dead_process_had_in_hand_is_judged_by_another() -> None:
    async def story(made: Judges) -> None:
        task = await ask(made, "a0", "a")
        await until(lambda: ScriptedHand.asked)
        ScriptedHand.made[0].die()
        [verdict] = await all_answered([task])
        assert verdict.status is Status.OK
        assert ScriptedHand.asked == ["a0 on cpu"] * 2
        assert [device["judges"] for device in made.state()] == [[2]]

    at_judges(story)


def test_a_submission_that_ends_every_judge_is_not_sent_to_a_third() -> None:
    async def story(made: Judges) -> None:
        poison = await ask(made, "poison", "a")
        for count in (1, 2):
            await until(lambda count=count: len(ScriptedHand.asked) == count)  # type: ignore[misc]
            ScriptedHand.made[-1].die()
        with pytest.raises(JudgeError, match="it died"):
            await poison
        await all_answered([await ask(made, "a0", "a")])
        assert [done["outcome"] for done in made.finished] == ["refused", "ok"]

    at_judges(story)


def poisoned() -> list[ScriptedHand]:
    """Processes that have poison in hand."""
    return [
        hand
        for hand in ScriptedHand.made
        if hand.alive and any(source == "poison" for _, source in hand.errands.values())
    ]


@pytest.mark.parametrize("processes", [1, 2])
def test_who_was_beside_a_submission_that_ends_judges_gets_a_verdict(
    monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    monkeypatch.setattr(judges, "AT_ONCE", 3)
    ScriptedHand.seats["cpu"] = [requests.Seat("cpu", processes)]

    async def story(made: Judges) -> None:
        poison = await ask(made, "poison", "a")
        beside = [await ask(made, name, "b") for name in ("b0", "b1")]
        await until(lambda: len(ScriptedHand.asked) == 3)
        later = [await ask(made, f"c{number}", "c") for number in range(4)]
        for _ in range(2):
            while not poisoned():
                for hand in ScriptedHand.made:
                    hand.answer()
                await asyncio.sleep(0)
            [hand] = poisoned()
            hand.die()
        with pytest.raises(JudgeError, match="died twice, the second time with nothing else in hand"):
            await poison
        verdicts = await all_answered([*beside, *later])
        assert {verdict.status for verdict in verdicts} == {Status.OK}
        assert [_length(device) for device in made.state()] == [0]

    at_judges(story)


def test_a_suspect_has_its_process_to_itself_and_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judges, "AT_ONCE", 2)
    ScriptedHand.seats["cpu"] = [requests.Seat("cpu", 2)]

    async def story(made: Judges) -> None:
        tasks = [await ask(made, f"a{number}", "a") for number in range(2)]
        await until(lambda: len(ScriptedHand.asked) == 2)
        ScriptedHand.made[0].die()
        await until(lambda: made.state()[0]["waiting"] == {"a": 2})
        tasks += [await ask(made, f"b{number}", "b") for number in range(4)]
        await until(lambda: len(ScriptedHand.made) == 3)
        held = [{source for _, source in hand.errands.values()} for hand in ScriptedHand.made[1:]]
        suspects = {"a0", "a1"}
        assert all(len(sources) == 1 for sources in held if sources & suspects)
        assert len(await all_answered(tasks)) == 6

    at_judges(story)


def test_a_suspect_that_is_given_up_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judges, "AT_ONCE", 2)

    async def story(made: Judges) -> None:
        tasks = {name: await ask(made, name, "a") for name in ("a0", "a1")}
        await until(lambda: len(ScriptedHand.asked) == 2)
        ScriptedHand.made[0].die()
        await until(lambda: len(ScriptedHand.asked) == 3)
        again = ScriptedHand.asked[-1].partition(" ")[0]
        [waiting] = tasks.keys() - {again}
        assert made.state()[0]["waiting"] == {"a": 1}
        tasks[waiting].cancel()
        await asyncio.gather(tasks[waiting], return_exceptions=True)
        assert made.state()[0]["waiting"] == {}
        await all_answered([tasks[again], await ask(made, "b0", "b")])
        assert ScriptedHand.asked[2:] == [f"{again} on cpu", "b0 on cpu"]

    at_judges(story)


def test_a_device_that_is_not_there_is_told_each_time() -> None:
    async def story(made: Judges) -> None:
        on_a_gpu = Submission(op=Operator.parse("relu"), suite=SuiteSpec(device="cuda"))
        for _ in range(2):
            with pytest.raises(DeviceUnavailable, match="no CUDA device"):
                await made.submit(on_a_gpu, "a")

    at_judges(story)


def test_a_submission_of_another_level_is_refused() -> None:
    async def story(made: Judges) -> None:
        with pytest.raises(UsageError, match="judges with sandbox=best-effort"):
            await made.submit(submission("a", sandbox="off"), "a")

    at_judges(story)


def test_who_comes_while_other_questions_are_answered_is_not_forgotten() -> None:
    """Questions take room at a process; their answers make it again, and nobody else comes by to notice."""

    async def story(made: Judges) -> None:
        await made.warm()
        spec = SuiteSpec(name="smoke", device="cpu")
        questions = [asyncio.ensure_future(made.index(spec)) for _ in range(judges.AT_ONCE)]
        await until(lambda: ScriptedHand.made[0].running == judges.AT_ONCE)
        task = await ask(made, "a", "one")
        await until(lambda: made.state()[0]["judges"])
        assert ScriptedHand.asked == []
        ScriptedHand.made[0].answer(judges.AT_ONCE)
        await asyncio.gather(*questions)
        await until(lambda: ScriptedHand.asked)
        await all_answered([task])

    at_judges(story)
