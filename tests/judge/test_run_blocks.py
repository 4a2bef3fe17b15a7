"""Blocks of a turn: the next is told and queued while one runs, and nothing is left in the stream where that fails."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from backend_bench import wire
from backend_bench.judge.keeper import Crashed, Forged, Keeper, Patience, TimedOut


class Channel:
    """A worker that answers each block in its turn, or is gone."""

    def __init__(self, log: list[str], *, dies_at: int | None = None, lies_at: int | None = None) -> None:
        self.log, self._dies_at, self._lies_at = log, dies_at, lies_at
        self._told: list[int] = []
        self.has_answered = True

    def send(self, frame: Any, fds: tuple[int, ...] = (), **_: object) -> None:
        self.log.append(f"tell {frame.number}")
        self._told.append(frame.number)

    def answers(self, within_s: float) -> bool:
        return self.has_answered

    def receive(self, kind: Any, **_: object) -> wire.Timed:
        number = self._told.pop(0)
        self.log.append(f"answer {number}")
        if number == self._dies_at:
            raise wire.ChannelClosed
        return wire.Timed(number=number + 100 if number == self._lies_at else number, elapsed_us=1.0)


class Course:
    """The judge's side, without a device."""

    def __init__(
        self,
        log: list[str],
        *,
        stalls_at: int | None = None,
        fails_at: int | None = None,
        endless_at: int | None = None,
    ) -> None:
        self._log, self._stalls_at, self._fails_at, self._endless_at = log, stalls_at, fails_at, endless_at
        self._numbers = itertools.count()

    def request(self, block: Any) -> Any:
        number = next(self._numbers)
        return SimpleNamespace(number=number, turn=2 * number + 1, calls=(None,) * 4)

    def queue(self, block: Any, turn: int, *, rewrite: bool, when_stalled: Callable[[], None]) -> Any:
        number = int(block)
        if number == self._stalls_at:
            when_stalled()
        if number == self._fails_at:
            raise torch.OutOfMemoryError("no room for the copies")
        self._log.append(f"queue {number}")
        return SimpleNamespace(number=number, turn=turn, landing=number, is_late=number == self._stalls_at)

    def wall_us(self, queued: Any) -> float | None:
        self._log.append(f"take {queued.number}")
        return None if queued.number == self._endless_at else 2.0

    def end(self, turn: int) -> None:
        self._log.append(f"end {turn}")

    def clear(self) -> None:
        self._log.append("clear")


def keeper_of(channel: Channel, course: Course) -> Keeper:
    ended = SimpleNamespace(wait=lambda _: True, is_set=lambda: True)
    life = SimpleNamespace(
        channel=channel,
        gone=ended,
        orphaned=False,
        status=-11,
        pid=1,
        interrupt=lambda: channel.log.append("kill"),
    )
    keeper = Keeper(life, torch.device("cpu"), memory_bytes=0)  # type: ignore[arg-type]
    keeper._course = course  # type: ignore[assignment]
    keeper._watch = SimpleNamespace(excess_bytes=None, check=lambda: None)  # type: ignore[assignment]
    return keeper


def turn_of(count: int) -> list[tuple[Any, bool]]:
    return [(number, False) for number in range(count)]


def test_the_next_block_is_told_and_queued_while_one_runs() -> None:
    log: list[str] = []
    answers = keeper_of(Channel(log), Course(log, stalls_at=1)).run_blocks(turn_of(3), limit_s=1)
    assert [answer.landing for answer in answers] == [0, 1, 2]
    assert [answer.is_late for answer in answers] == [False, True, False]
    assert log == [
        *("tell 0", "queue 0", "tell 1", "end 1", "queue 1", "answer 0", "take 0"),
        *("tell 2", "queue 2", "answer 1", "take 1", "answer 2", "take 2"),
    ]


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ({"dies_at": 1}, Crashed),
        ({"lies_at": 0}, Forged),
        ({"fails_at": 0}, torch.OutOfMemoryError),
        ({"fails_at": 2}, torch.OutOfMemoryError),
        ({"endless_at": 1}, TimedOut),
    ],
)
def test_nothing_waits_in_the_stream_of_all_when_a_turn_ends_before_its_time(
    how: dict[str, int], error: type[Exception]
) -> None:
    """And a worker says nothing more when its blocks are cleared away."""
    log: list[str] = []
    channel = Channel(log, dies_at=how.get("dies_at"), lies_at=how.get("lies_at"))
    course = Course(log, fails_at=how.get("fails_at"), endless_at=how.get("endless_at"))
    with pytest.raises(error):
        keeper_of(channel, course).run_blocks(turn_of(4), limit_s=1)
    assert log[-2:] == ["kill", "clear"]


def test_a_worker_that_may_wait_for_the_next_block_on_the_host_is_let_go_on() -> None:
    """It queues that before it answers the one before. But first it may be at that one's launches still, and the next is not there yet."""
    log: list[str] = []
    channel, course = Channel(log), Course(log)
    course.begin = lambda turn: log.append(f"begin {turn}")  # type: ignore[attr-defined]
    late = iter([False, True, False, False, False])

    def answers(within_s: float) -> bool:
        log.append(f"wait {1e3 * within_s:.0f} ms")
        return next(late)

    channel.answers = answers  # type: ignore[method-assign]
    keeper_of(channel, course).run_blocks(turn_of(3), limit_s=60.0)
    assert log == [
        *(
            "tell 0",
            "queue 0",
            "tell 1",
            "queue 1",
            "wait 22 ms",
            "begin 1",
            "wait 22 ms",
            "answer 0",
            "take 0",
        ),
        *("tell 2", "queue 2", "wait 22 ms", "begin 3", "wait 22 ms", "begin 5", "answer 1", "take 1"),
        *("wait 22 ms", "begin 5", "answer 2", "take 2"),
    ]


def test_a_worker_that_is_late_with_a_block_while_the_next_cannot_be_queued_is_killed() -> None:
    """The thread that would kill it stands still."""
    log: list[str] = []
    channel = Channel(log)
    channel.has_answered = False
    course = Course(log, stalls_at=1)
    course.begin = lambda turn: None  # type: ignore[attr-defined]
    keeper_of(channel, course).run_blocks(turn_of(2), limit_s=-1.0)
    assert log[:5] == ["tell 0", "queue 0", "tell 1", "kill", "queue 1"]


def test_a_slow_kernel_is_told_of_a_few_blocks_and_of_no_more() -> None:
    log: list[str] = []
    answers = keeper_of(Channel(log), Course(log)).run_blocks(
        turn_of(9), limit_s=1, patience=Patience(3, limit_s=-1.0)
    )
    assert [answer.landing for answer in answers] == [0, 1, 2]
    assert [line for line in log if line.startswith("tell")] == ["tell 0", "tell 1", "tell 2"]
    patient = keeper_of(Channel(log), Course(log)).run_blocks(
        turn_of(9), limit_s=1, patience=Patience(3, limit_s=60.0)
    )
    assert len(patient) == 9
