"""Each process of ours is killed at each stage of a submission: the verdict is the kernel's, not the fault's."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backend_bench.errors import WorkerLost
from backend_bench.judge.judge import Judge
from backend_bench.judge.keeper import Keeper
from backend_bench.judge.nursery import Wish
from backend_bench.judge.stages import Stage, Stages
from backend_bench.judge.stay import Stay
from backend_bench.judge.zygotes import Zygotes
from backend_bench.operator import Operator
from backend_bench.submission import Only, Submission, SuiteSpec
from backend_bench.verdict import Status, Verdict

from .. import processes

HONEST = (Path(__file__).parents[1] / "corpus" / "honest_where" / "kernel.py").read_text()
SPEC = SuiteSpec(name="smoke", device="cpu", dtype="float32")
SUICIDE = "import os\n\n\ndef relu__default_kernel_impl(x):\n    os.kill(os.getpid(), 9)\n"


class Interrupted(Stages):
    """Stages in the first of which, of one name, something happens once."""

    def __init__(self, stage: Stage, happens: Callable[[], None]) -> None:
        super().__init__()
        self._stage, self._happens = stage, happens
        self.happened = False

    @contextlib.contextmanager
    def __call__(self, stage: Stage) -> Iterator[None]:
        with super().__call__(stage):
            if stage == self._stage and not self.happened:
                self.happened = True
                self._happens()
            yield


def verdict_when(
    judge: Judge, stage: Stage, happens: Callable[[Stay], None], *, only: Only = "correctness", source: str = HONEST
) -> Verdict:  # fmt: skip
    stay = judge.stay()
    stay.stages = stages = Interrupted(stage, lambda: happens(stay))
    verdict = judge.judge(Submission(op=Operator.parse("relu"), source=source, suite=SPEC, only=only), stay)
    assert stages.happened
    return verdict


def kill(pid: int) -> None:
    """And wait until it is gone."""
    with processes.watched([pid]) as left:
        os.kill(pid, signal.SIGKILL)
        assert left() == []


def kill_workers(stay: Stay) -> None:
    """Every one that the submission has by now."""
    for keeper in stay._keepers:
        kill(keeper._life.pid)


def kill_last(stay: Stay) -> None:
    """In phase two that is the twin."""
    kill(stay._keepers[-1]._life.pid)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["fork", "load", "first_calls", "run", "check"])
def test_a_zygote_that_is_killed_costs_a_second_try(own_judge: Judge, zygotes: Zygotes, stage: Stage) -> None:
    verdict = verdict_when(own_judge, stage, lambda stay: kill(zygotes.of("native").pid))
    assert verdict.status is Status.OK, verdict.message
    assert verdict.reward is None
    assert verdict.correctness_score == 1


@pytest.mark.parametrize("stage", ["draw", "first_calls", "run"])
def test_a_worker_that_is_killed_from_outside_costs_a_second_try(own_judge: Judge, stage: Stage) -> None:
    verdict = verdict_when(own_judge, stage, kill_workers)
    assert verdict.status is Status.OK, verdict.message
    assert verdict.notes[0].startswith("judged twice, this is the second: ")


@pytest.mark.slow
def test_a_twin_that_is_killed_costs_a_second_try(own_judge: Judge) -> None:
    killed: list[int] = []

    def kill_the_twin(stay: Stay) -> None:
        killed.append(stay._keepers[-1]._life.pid)
        kill_last(stay)

    def later(stay: Stay) -> None:
        # The stage opens before the twin is taken: it is killed at its first call.
        borrow = stay.borrow

        def borrowed(wish: Wish) -> Keeper:
            keeper = borrow(wish)
            if not killed:
                kill_the_twin(stay)
            return keeper

        stay.borrow = borrowed  # type: ignore[method-assign]

    verdict = verdict_when(own_judge, "timing", later, only="performance")
    assert killed
    assert verdict.status is Status.OK, verdict.message


def test_a_kernel_that_kills_itself_is_to_blame(own_judge: Judge) -> None:
    verdict = verdict_when(own_judge, "load", lambda stay: None, source=SUICIDE)
    assert verdict.status is Status.CRASHED
    assert verdict.correctness_score == 0
    assert "killed by SIGKILL" in verdict.message


def test_spares_that_are_killed_are_replaced(own_judge: Judge) -> None:
    verdict = verdict_when(own_judge, "load", lambda stay: None)
    for spares in own_judge._nursery._spares.values():
        for spare in spares:
            life = spare.result()._life
            kill(life.pid)
            assert life.gone.wait(60)  # else it is handed out, and a submission has no third try
    verdict = verdict_when(own_judge, "load", lambda stay: None)
    assert verdict.status is Status.OK, verdict.message


def test_a_worker_that_comes_when_nobody_waits_any_more_ends(
    zygotes: Zygotes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The zygote stood still for longer than anybody waits: what it forks then is not wanted."""
    zygote = zygotes.of("native")
    before = set(processes.family(zygote.pid))
    monkeypatch.setattr("backend_bench.judge.zygotes.EXIT_LIMIT_S", 0.01)
    os.kill(zygote.pid, signal.SIGSTOP)
    with pytest.raises(WorkerLost, match="did not fork"):
        zygote.spawn(level="best-effort", memory_bytes=1 << 30, device="cpu", threads=1)
    os.kill(zygote.pid, signal.SIGCONT)
    monkeypatch.undo()
    life = zygote.spawn(level="best-effort", memory_bytes=1 << 30, device="cpu", threads=1)
    life.kill()
    # The zygote tells of deaths in turn, and forks in turn: the unwanted one was made before this one.
    with processes.watched(set(processes.family(zygote.pid)) - before) as left:
        assert left() == []
