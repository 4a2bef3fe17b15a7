"""Blocks of a turn: the next is told and queued while one runs, and nothing is left in the stream where that fails."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from backend_bench import wire
from backend_bench.judge.keeper import Crashed, Forged, Keeper


class Channel:
    """A worker that answers each block in its turn, or is gone."""

    def __init__(self, log: list[str], *, dies_at: int | None = None, lies_at: int | None = None) -> None:
        self._log, self._dies_at, self._lies_at = log, dies_at, lies_at
        self._told: list[int] = []

    def send(self, frame: Any, fds: tuple[int, ...] = (), **_: object) -> None:
        self._log.append(f"tell {frame.number}")
        self._told.append(frame.number)

    def answers(self, within_s: float) -> bool:
        return True

    def receive(self, kind: Any, **_: object) -> wire.Timed:
        number = self._told.pop(0)
        self._log.append(f"answer {number}")
        if number == self._dies_at:
            raise wire.ChannelClosed
        return wire.Timed(number=number + 100 if number == self._lies_at else number, elapsed_us=1.0)


class Course:
    """The judge's side, without a device."""

    def __init__(self, log: list[str], *, stalls_at: int | None = None, fails_at: int | None = None) -> None:
        self._log, self._stalls_at, self._fails_at = log, stalls_at, fails_at
        self._numbers = itertools.count()

    def request(self, block: Any) -> tuple[Any, tuple[int, ...]]:
        return SimpleNamespace(number=next(self._numbers), turn=0), ()

    def queue(self, block: Any, turn: int, *, rewrite: bool) -> Any:
        number = int(block)
        if number == self._fails_at:
            raise torch.OutOfMemoryError("no room for the copies")
        self._log.append(f"queue {number}")
        return SimpleNamespace(number=number, landing=number, stalled=number == self._stalls_at)

    def go(self, queued: Any) -> None:
        self._log.append(f"go {queued.number}")

    def begun(self, queued: Any) -> bool:
        return True

    def wall_us(self, queued: Any) -> float:
        self._log.append(f"take {queued.number}")
        return 2.0

    def clear(self) -> None:
        self._log.append("clear")


def keeper_of(channel: Channel, course: Course) -> Keeper:
    ended = SimpleNamespace(wait=lambda _: True, is_set=lambda: True)
    life = SimpleNamespace(channel=channel, gone=ended, orphaned=False, status=-11, pid=1)
    keeper = Keeper(life, torch.device("cpu"), memory_bytes=0)  # type: ignore[arg-type]
    keeper._course = course  # type: ignore[assignment]
    keeper._watch = SimpleNamespace(excess_bytes=None)  # type: ignore[assignment]
    return keeper


def turn_of(count: int) -> list[tuple[Any, bool]]:
    return [(number, False) for number in range(count)]


def test_the_next_block_is_told_and_queued_while_one_runs_and_begins_when_that_is_done() -> None:
    log: list[str] = []
    answers = keeper_of(Channel(log), Course(log)).run_blocks(turn_of(3), limit_s=1)
    assert [answer.landing for answer in answers] == [0, 1, 2]
    assert not any(answer.stalled for answer in answers)
    assert log == [
        *("tell 0", "queue 0", "go 0", "tell 1", "queue 1", "answer 0", "take 0"),
        *("go 1", "tell 2", "queue 2", "answer 1", "take 1", "go 2", "answer 2", "take 2"),
    ]


def test_a_block_that_stalls_is_void_and_so_is_the_one_before() -> None:
    """To let it go is to let go whatever waits in the stream before it."""
    log: list[str] = []
    answers = keeper_of(Channel(log), Course(log, stalls_at=2)).run_blocks(turn_of(4), limit_s=1)
    assert [answer.stalled for answer in answers] == [False, True, True, False]


@pytest.mark.parametrize(
    ("dies_at", "lies_at", "fails_at", "error"),
    [
        (1, None, None, Crashed),
        (None, 0, None, Forged),
        (None, None, 0, torch.OutOfMemoryError),
        (None, None, 2, torch.OutOfMemoryError),
    ],
)
def test_nothing_waits_in_the_stream_of_all_when_a_turn_ends_before_its_time(
    dies_at: int | None, lies_at: int | None, fails_at: int | None, error: type[Exception]
) -> None:
    log: list[str] = []
    keeper = keeper_of(Channel(log, dies_at=dies_at, lies_at=lies_at), Course(log, fails_at=fails_at))
    with pytest.raises(error):
        keeper.run_blocks(turn_of(4), limit_s=1)
    assert log[-1] == "clear"
