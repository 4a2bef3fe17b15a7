"""Many submissions: what fails for one through our fault is that one's, and what fails for all is raised."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import httpx
import pytest

from backend_bench import grade
from backend_bench.errors import DeviceUnavailable, JudgeError, NoJudge, NotJudged, ServiceError
from backend_bench.executors import conversation
from backend_bench.grade import exit_code, grade_all
from backend_bench.operator import Operator
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.verdict import Status, Verdict

SMOKE = SuiteSpec(name="smoke", device="cpu", dtype="float32")


def submission(op: str) -> Submission:
    return Submission(op=Operator(op), source=f"# {op}\n", suite=SMOKE, only="correctness")


def judged(fails: dict[str, Exception]) -> dict[int, Verdict]:
    """Three submissions; those named fail."""

    class Executor:
        async def submit(self, asked: Submission) -> Verdict:
            await asyncio.sleep(0)
            if error := fails.get(asked.op.base):
                raise error
            return Verdict(op=str(asked.op), language="pytorch", status=Status.OK)

    found: dict[int, Verdict] = {}
    executor: Any = Executor()
    asyncio.run(grade_all(executor, [submission(op) for op in ("exp", "log", "sin")], done=found.__setitem__))
    return found


def test_one_that_cannot_be_judged_is_told_and_the_others_are_judged() -> None:
    found = judged({"log": NotJudged("the judge's process 5 died")})
    assert [found[number].status for number in range(3)] == [Status.OK, Status.ERROR, Status.OK]
    lost = found[1]
    assert (lost.op, lost.message, lost.only) == ("log.default", "the judge's process 5 died", "correctness")
    assert lost.reward is None
    assert lost.correctness_score is None
    assert lost.source_sha256 == hashlib.sha256(b"# log\n").hexdigest()
    assert exit_code(list(found.values())) == 2


def test_what_keeps_all_from_being_judged_is_raised() -> None:
    with pytest.raises(ServiceError, match="went away"):
        judged({"log": ServiceError("the judge service went away")})


def test_when_none_can_be_judged_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grade, "MOST_FAULTS", 3)
    broken = NotJudged("the context is broken")
    with pytest.raises(
        ServiceError, match="3 submissions in a row could not be judged; the last: the context"
    ):
        judged({"exp": broken, "log": broken, "sin": broken})


@pytest.mark.parametrize(
    ("error", "is_about_one"),
    [(JudgeError("died"), True), (DeviceUnavailable("no GPU"), False), (NoJudge("none"), False)],
)
def test_a_client_knows_which_it_is(error: JudgeError, is_about_one: bool) -> None:
    """From the name in the service's answer."""
    response = httpx.Response(503, json={"error": type(error).__name__, "message": str(error)})
    with pytest.raises(ServiceError, match=str(error)) as raised:
        conversation.read(response, Verdict)
    assert isinstance(raised.value, NotJudged) == is_about_one
