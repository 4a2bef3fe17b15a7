"""What a worker does with its requests before any kernel is called."""

from __future__ import annotations

import itertools
import math
import os
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import torch

from backend_bench import wire
from backend_bench.buffers import create
from backend_bench.worker import inside
from backend_bench.worker.inside import _Desk, _Inbox

ARGS, NONE = wire.pack(("given",), lambda leaf: 0 if leaf == "given" else None), wire.pack({}, lambda _: None)
SPEC = wire.TensorSpec(0, 0, 16, "float32", (4,), (1,), 0)


def block(number: int = 1) -> wire.Block:
    call = wire.Call(0, args=ARGS, kwargs=NONE, tensors=(SPEC,), outputs=(None,))
    return wire.Block(number=number, turn=1, calls=(call,), pause=1)


def desk_with_a_buffer() -> _Desk:
    desk, shared = _Desk(torch.device("cpu")), create(4096, torch.device("cpu"))
    call = wire.Call(0, (), {}, (), (), buffers=(wire.NewBuffer(0, shared.nbytes),))
    desk.open(call, [os.dup(shared.fd)])
    shared.close()
    return desk


def test_a_buffer_that_could_not_be_opened_before_is_no_memory_now() -> None:
    """What was asked for ahead would else be the end of the worker, and the reason lost."""
    desk = desk_with_a_buffer()
    desk.check(wire.Call(0, (), {}, (SPEC,), (SPEC, None)))
    with pytest.raises(MemoryError):
        desk.check(block())  # no gate
    desk.gate = SimpleNamespace()  # type: ignore[assignment]
    desk.check(block())
    with pytest.raises(MemoryError):
        _Desk(torch.device("cpu")).check(wire.Call(0, (), {}, (SPEC,), ()))


class Channel:
    def __init__(self, *requests: Any) -> None:
        self._requests = list(requests)

    def answers(self, within_s: float) -> bool:
        return bool(self._requests)

    def receive_with_fds(self, kind: Any) -> tuple[Any, list[int]]:
        return self._requests.pop(0), []


def test_only_a_block_follows_at_once() -> None:
    inbox = _Inbox(Channel(block(1), wire.Room((), dropped=(7,))))  # type: ignore[arg-type]
    first = inbox.follows(0.0)
    assert first is not None
    assert first.number == 1
    assert inbox.follows(0.0) is None
    assert inbox.follows(0.0) is None
    assert inbox.take()[0].dropped == (7,)
    assert inbox.follows(0.0) is None


def test_room_that_could_not_be_had_is_told_when_a_block_needs_it() -> None:
    desk, (read, write) = _Desk(torch.device("cpu")), os.pipe()  # which nobody can map
    os.close(write)
    desk.make_room(wire.Room((), buffers=(wire.NewBuffer(0, 4096),)), [read])
    desk.gate = SimpleNamespace()  # type: ignore[assignment]
    with pytest.raises(MemoryError, match=r"Errno|No such device"):
        desk.check(block())
    os.close(read)


@pytest.mark.parametrize("room", [math.inf, 4])
def test_room_is_had_for_two_blocks_where_both_may_be_queued(
    monkeypatch: pytest.MonkeyPatch, room: float
) -> None:
    had: list[int] = []
    free = set[int]()

    def alloc(nbytes: int) -> int:
        if len(had) - len(free) >= room:
            raise torch.OutOfMemoryError
        had.append(nbytes)
        return len(had)

    monkeypatch.setattr(torch.cuda, "caching_allocator_alloc", alloc)
    monkeypatch.setattr(torch.cuda, "caching_allocator_delete", free.add)
    few, many = wire.Results(100, count=3), wire.Results(1 << 29, count=3)
    sorts = wire.Sort(3 * (1 << 29) + 300, (many, few)), wire.Sort(300, (few,))
    _Desk(torch.device("cpu")).make_room(wire.Room(sorts), [])
    assert had == [1 << 29] * 3 + ([100] * 9 if room > 4 else [100] * 5)
    assert free == set(range(1, len(had) + 1))


class Device:
    """A stream that is through with a block once it was looked at as often as told, in which all blocks write down what happens."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, looks: int, within_s: float = math.inf) -> None:
        self.log: list[str] = []
        self.looks = looks
        monkeypatch.setattr(inside, "Course", self._course)
        monkeypatch.setattr(inside, "_TOGETHER_S", within_s)

    def _course(self, gate: Any, turn: int) -> Any:
        looks = iter(range(self.looks))

        def queue(calls: Any) -> list[Any]:
            self.log.append(f"queue {turn}")
            return [call() for call in calls]

        return SimpleNamespace(
            queue=queue,
            begin=lambda: self.log.append(f"begin {turn}"),
            is_over=lambda: next(looks, None) is None,
            elapsed_us=lambda: 7.0,
        )

    def answered(self, kernel: Any, *blocks: wire.Block) -> list[wire.Timed]:
        """What is said of the blocks, of which the worker has taken the first."""
        desk, replies = desk_with_a_buffer(), []
        desk.gate = SimpleNamespace()  # type: ignore[assignment]

        def send(reply: wire.Timed) -> None:
            self.log.append(f"answer {reply.number}")
            replies.append(reply)

        first, *others = blocks
        inbox = _Inbox(Channel(*others))  # type: ignore[arg-type]
        inside._answer_blocks(kernel, first, desk, inbox, SimpleNamespace(send=send))  # type: ignore[arg-type]
        return replies


def numbered(*numbers: int) -> list[wire.Block]:
    return [msgspec.structs.replace(block(number), turn=number) for number in numbers]


def test_the_next_block_is_queued_before_the_one_before_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(monkeypatch, looks=1)
    replies = device.answered(lambda given: None, *numbered(1, 2, 3))
    assert [(reply.number, reply.elapsed_us, reply.error) for reply in replies] == [
        (1, 7.0, ""),
        (2, 7.0, ""),
        (3, 7.0, ""),
    ]
    assert device.log == [
        *("queue 1", "begin 1", "queue 2", "begin 2", "answer 1"),
        *("queue 3", "begin 3", "answer 2", "answer 3"),
    ]


def test_what_a_block_raises_that_was_queued_early_is_said_in_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = iter([None, ZeroDivisionError("the second")])

    def kernel(given: torch.Tensor) -> None:
        if error := next(calls):
            raise error

    device = Device(monkeypatch, looks=1)
    first, second = device.answered(kernel, *numbered(1, 2))
    assert (first.number, first.error) == (1, "")
    assert (second.number, second.error_type) == (2, "ZeroDivisionError")
    assert "begin 2" not in device.log


def test_a_block_that_takes_much_memory_is_over_before_the_next_is_queued(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inside, "_TOGETHER_BYTES", 15)
    device = Device(monkeypatch, looks=3)
    assert [reply.number for reply in device.answered(lambda given: None, *numbered(1, 2))] == [1]
    assert device.log == ["queue 1", "begin 1", "answer 1"]


def test_a_kernel_that_waits_on_the_host_has_one_block_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for the gate of the next one, else, and what came of the one before is not told meanwhile."""
    clock = itertools.count(step=10.0)
    monkeypatch.setattr(inside, "time", SimpleNamespace(monotonic=lambda: next(clock), sleep=lambda _: None))
    device = Device(monkeypatch, looks=3, within_s=9.0)
    assert [reply.number for reply in device.answered(lambda given: None, *numbered(1, 2))] == [1]
    assert device.log == ["queue 1", "begin 1", "answer 1"]


def test_what_the_device_raises_is_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(monkeypatch, looks=0)
    made = device._course

    def broken(gate: Any, turn: int) -> Any:
        course: Any = made(gate, turn)
        course.is_over = lambda: 1 / 0
        return course

    monkeypatch.setattr(inside, "Course", broken)
    [reply] = device.answered(lambda given: None, *numbered(1))
    assert reply.error_type == "ZeroDivisionError"


def test_a_block_without_a_gate_is_no_memory_and_not_the_workers_end(monkeypatch: pytest.MonkeyPatch) -> None:
    device, desk = Device(monkeypatch, looks=0), desk_with_a_buffer()
    desk.make_room(wire.Room((), gate=True), [])  # there was no room for its descriptor
    replies: list[wire.Timed] = []
    inbox, channel = _Inbox(Channel()), SimpleNamespace(send=replies.append)  # type: ignore[arg-type]
    inside._answer_blocks(lambda given: None, block(), desk, inbox, channel)  # type: ignore[arg-type]
    assert [reply.error_type for reply in replies] == ["MemoryError"]
    assert "the kernel holds too much" in replies[0].error
    assert not device.log


def test_a_place_remembers_no_gradients() -> None:
    """A kernel may have let autograd write to its inputs; whoever gets the same place later has plain ones."""
    desk = desk_with_a_buffer()
    first = desk.tensor(SPEC)
    with torch.enable_grad():
        first.mul_(torch.ones(4, requires_grad=True))
    assert first.requires_grad
    again = desk.tensor(SPEC)
    assert again.data_ptr() == first.data_ptr()
    assert not again.requires_grad


def test_tensors_of_a_stretch_share_a_storage_of_just_that_stretch() -> None:
    desk = desk_with_a_buffer()
    one, other = desk.tensor(SPEC), desk.tensor(wire.TensorSpec(0, 0, 16, "int32", (2, 2), (1, 2), 0))
    assert one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()
    assert one.untyped_storage().nbytes() == 16
    neighbour = desk.tensor(wire.TensorSpec(0, 256, 16, "float32", (4,), (1,), 0))
    assert neighbour.data_ptr() == one.data_ptr() + 256
    desk.open(wire.Call(0, ARGS, NONE, (), (), dropped=(0,)), [])
    with pytest.raises(KeyError):
        desk.tensor(SPEC)


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        (slice(0, 4), slice(4, 8), False),
        (slice(0, 5), slice(4, 8), True),
        (slice(0, 8, 2), slice(7, 8), False),  # the last place of the one is the sixth
        (slice(0, 8, 2), slice(6, 7), True),
        (slice(0, 0), slice(0, 8), False),
    ],
)
def test_an_output_shares_memory_with_what_it_reaches_into(one: slice, other: slice, meet: bool) -> None:
    memory = torch.zeros(8)
    call = wire.Call(0, args=ARGS, kwargs=NONE, tensors=(SPEC,), outputs=(None,))
    for output, given in ((one, other), (other, one)):
        done = inside._done(call, memory[output], [torch.ones(3), memory[given]], (True,))
        assert done.outputs[0].alias == (1 if meet else None)
