"""What a worker does with its requests before any kernel is called."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from backend_bench import wire
from backend_bench.buffers import create
from backend_bench.worker.inside import _Desk, _Inbox

ARGS, NONE = wire.pack(("given",), lambda leaf: 0 if leaf == "given" else None), wire.pack({}, lambda _: None)
SPEC = wire.TensorSpec(0, 0, 16, "float32", (4,), (1,), 0)


def block(number: int = 1, **more: Any) -> wire.Block:
    call = wire.Call(0, args=ARGS, kwargs=NONE, tensors=(SPEC,), outputs=(None,))
    return wire.Block(number=number, turn=1, calls=(call,), pause=1, **more)


def desk_with_a_buffer() -> _Desk:
    desk, shared = _Desk(torch.device("cpu")), create(4096, torch.device("cpu"))
    call = wire.Call(0, (), {}, (), (), buffers=(wire.NewBuffer(0, shared.nbytes),))
    desk.receive(call, [os.dup(shared.fd)])
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


def test_the_tensors_of_the_next_block_are_made_ahead_and_used_once() -> None:
    inbox = _Inbox(Channel(block(1), block(2)), desk_with_a_buffer())  # type: ignore[arg-type]
    inbox.look()
    inbox.look()  # one is enough
    made = inbox._given
    assert made is not None
    first, _ = inbox.take()
    assert inbox.given(first) is made[1]
    assert inbox.given(first) is not made[1]
    second, _ = inbox.take()
    assert (first.number, second.number) == (1, 2)


def test_a_block_on_buffers_that_come_with_it_is_only_taken() -> None:
    inbox = _Inbox(Channel(block(1, dropped=(7,))), desk_with_a_buffer())  # type: ignore[arg-type]
    inbox.look()
    assert inbox._given is None
    assert inbox.take()[0].number == 1


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
    desk.receive(wire.Call(0, ARGS, NONE, (), (), dropped=(0,)), [])
    with pytest.raises(KeyError):
        desk.tensor(SPEC)
