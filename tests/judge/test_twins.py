"""A twin serves one submission after the other, forgets each, and never one that held candidate code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from backend_bench import wire
from backend_bench.cases import Call
from backend_bench.judge import twins as module
from backend_bench.judge.bench import Bench
from backend_bench.judge.judge import Judge
from backend_bench.judge.keeper import Keeper
from backend_bench.judge.nursery import Wish
from backend_bench.judge.stage import Meta
from backend_bench.judge.twins import Twins
from backend_bench.operator import Operator
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.verdict import Status

HONEST = (Path(__file__).parents[1] / "corpus" / "honest_where" / "kernel.py").read_text()
WISH = Wish("native", "best-effort", 1 << 30)
META = (Meta(torch.float32, (3,)),)
LIMIT_S = 60.0


@pytest.fixture
def twins(own_judge: Judge) -> Iterator[Twins]:
    """As on a GPU: a CPU's twins are not kept."""
    made = Twins(own_judge._nursery)
    made._keeps = True
    yield made
    made.close()


def called(keeper: Keeper, operator: str, values: list[float]) -> torch.Tensor | None:
    """What the operator makes of them there."""
    assert keeper.load(wire.Load("", "", "", reference=operator), limit_s=LIMIT_S) == ""
    staged = keeper.stage.lay_out("case", Call((torch.tensor(values, dtype=torch.float32),), {}), META)
    answer = keeper.call(staged, limit_s=LIMIT_S)
    assert answer.claims.error == ""
    return keeper.stage.outputs_after(staged)[0]


@pytest.mark.slow
def test_it_serves_the_next_and_forgets_the_last(twins: Twins) -> None:
    first = twins.borrow(WISH)
    result = called(first, "relu.default", [-1, 0, 2])
    assert result is not None
    assert result.tolist() == [0, 0, 2]
    held = first.stage.host_bytes()
    assert held > 0
    twins.give_back(first, WISH)
    assert first.stage.host_bytes() == 0
    second = twins.borrow(WISH)
    assert second is first
    result = called(second, "neg.default", [-1, 0, 2])
    assert result is not None
    assert result.tolist() == [1, 0, -2]
    assert second.stage.host_bytes() == held
    twins.give_back(second, WISH)


def test_two_have_two_and_another_kind_has_another(twins: Twins) -> None:
    one, other = twins.borrow(WISH), twins.borrow(WISH)
    assert one is not other
    twins.give_back(one, WISH)
    roomier = Wish("native", "best-effort", 2 << 30)
    third = twins.borrow(roomier)
    assert third is not one
    twins.give_back(other, WISH)
    twins.give_back(third, roomier)


def test_a_worn_one_a_dead_one_and_one_too_many_end(twins: Twins, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = twins.borrow(WISH)
    dead._life.kill()
    twins.give_back(dead, WISH)
    died_idle = twins.borrow(WISH)
    assert died_idle is not dead
    twins.give_back(died_idle, WISH)
    died_idle._life.kill()
    worn = twins.borrow(WISH)
    assert worn is not died_idle
    monkeypatch.setattr(module, "USES", 1)
    twins.give_back(worn, WISH)
    assert not worn.lives
    monkeypatch.undo()
    monkeypatch.setattr(module, "IDLE", 0)
    surplus = twins.borrow(WISH)
    twins.give_back(surplus, WISH)
    assert not surplus.lives


def test_one_that_comes_back_after_the_end_ends(own_judge: Judge) -> None:
    closed = Twins(own_judge._nursery)
    closed._keeps = True
    late = closed.borrow(WISH)
    closed.close()
    closed.give_back(late, WISH)
    assert not late.lives


def test_who_held_candidate_code_is_never_cleared(own_judge: Judge) -> None:
    with own_judge._nursery.take(WISH) as keeper:
        keeper.load(wire.Load(HONEST, "relu__default_kernel_impl", "pytorch"), limit_s=LIMIT_S)
        with pytest.raises(RuntimeError, match="serves nobody else"):
            keeper.clear(limit_s=LIMIT_S)


def test_an_abandoned_stay_kills_the_twin_that_it_has_and_none_that_it_gave_back(
    own_judge: Judge, twins: Twins
) -> None:
    stay = own_judge.stay()
    stay._twins = twins
    returned, kept = stay.borrow(WISH), stay.borrow(WISH)
    stay.give_back(returned, WISH)
    stay.abandon()
    assert kept._life.gone.wait(LIMIT_S)
    assert returned.lives
    kept.close()


def test_a_twin_that_died_is_given_back_like_any_other(own_judge: Judge, twins: Twins) -> None:
    stay = own_judge.stay()
    stay._twins = twins
    twin = stay.borrow(WISH)
    twin._life.kill()
    twin.alive = False
    with stay.take(WISH):  # the dead one is let go of here
        stay.give_back(twin, WISH)
    assert twins._idle == []


def test_a_fault_in_the_middle_of_a_submission_ends_its_twin(own_judge: Judge, twins: Twins) -> None:
    submission = Submission(
        op=Operator.parse("relu"), source=HONEST, suite=SuiteSpec(name="smoke", device="cpu", dtype="float32")
    )
    stay = own_judge.stay()
    stay._twins = twins
    seen = []

    def fail_in_the_middle() -> None:
        with Bench(submission, "pytorch", stay) as bench:
            seen.append(bench.twin())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_in_the_middle()
    assert not seen[0].lives
    assert twins._idle == []


@pytest.mark.slow
def test_verdicts_share_a_twin_where_twins_are_kept(
    own_judge: Judge, twins: Twins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_judge, "_twins", twins)
    seen = []
    for operator in ("relu", "add.Tensor"):
        spec = SuiteSpec(name="smoke", device="cpu", dtype="float32")
        submission = Submission(op=Operator.parse(operator), suite=spec, kind="reference", only="performance")
        verdict = own_judge.judge(submission)
        assert verdict.status is Status.OK, verdict.message
        seen += [keeper for _, keeper in twins._idle]
    assert len(seen) == 2
    assert seen[0] is seen[1]
    assert seen[0].served == 2


def test_the_one_that_waited_longest_makes_room(twins: Twins, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE", 1)
    unusual = Wish("native", "best-effort", 3 << 30)
    old, new = twins.borrow(unusual), twins.borrow(WISH)
    twins.give_back(old, unusual)
    twins.give_back(new, WISH)
    assert not old.lives
    assert twins.borrow(WISH) is new
    new.close()


def test_one_that_cannot_be_cleared_ends_and_the_verdict_stands(
    twins: Twins, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the driver has no words")

    keeper = twins.borrow(WISH)
    monkeypatch.setattr(keeper, "clear", fail)
    twins.give_back(keeper, WISH)
    assert not keeper.lives
