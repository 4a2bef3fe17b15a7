"""The parsers of the wire: whatever arrives is a frame of the kind that was expected, or a declared exception."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import types
import typing
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backend_bench import wire

from . import strange

REPLIES = [wire.Ready, wire.Loaded, wire.Done, wire.Timed]
"""All that a worker may send."""
CLAIM = wire.OutputClaim(
    kind="tensor",
    type_name="Tensor",
    plain=True,
    dtype="float32",
    shape=(2, 3),
    stride=(3, 1),
    device="cpu",
    copied=True,
)
DONE = wire.Done(
    number=7,
    outputs=(CLAIM, wire.OutputClaim(kind="scalar", type_name="int", scalar=("int", "5"))),
    elapsed_us=12.5,
    operators=(wire.OperatorCall("add.Tensor", True, False),),
)
HONEST = [
    wire.Ready("best-effort", ("seccomp",), ()),
    wire.Loaded(),
    DONE,
    wire.Timed(number=7, calls=(DONE, DONE), elapsed_us=25.0),
]
DECLARED = (wire.BadFrame, wire.ChannelClosed, wire.ChannelTimeout)


def received(data: bytes, kind: Any) -> Any:
    """What the judge's end makes of these bytes, after which the other side hangs up."""
    ours, theirs = wire.Channel.pair()
    writer = threading.Thread(target=_write, args=(theirs, data))
    writer.start()
    try:
        return ours.receive(kind, limit_s=10)
    finally:
        ours.close()
        writer.join()


def _write(sock: socket.socket, data: bytes) -> None:
    with sock:
        try:
            sock.sendall(data)
        except OSError:
            return


def framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


@given(st.binary(max_size=200), st.sampled_from(REPLIES))
@example(framed(b'{"type":"Loaded","error":"\xff\xfe"}'), wire.Loaded)
@example(b"\xff\xff\xff\xff", wire.Done)
@example(b"\x00\x00\x00\x00", wire.Done)
@example(framed(b"{}")[:-1], wire.Done)
def test_any_bytes_are_a_frame_or_a_declared_exception(data: bytes, kind: Any) -> None:
    with contextlib.suppress(*DECLARED):
        assert isinstance(received(data, kind), kind)


@given(st.sampled_from(HONEST), st.floats(0, 1, exclude_max=True), strange.VALUES, st.sampled_from(REPLIES))
def test_any_value_in_any_place_is_a_frame_or_a_declared_exception(
    honest: Any, where: float, value: bytes, kind: Any
) -> None:
    body = strange.replaced(msgspec.json.encode(honest), where, value)
    try:
        frame = received(framed(body), kind)
    except DECLARED:
        return
    assert isinstance(frame, kind)
    assert len(msgspec.json.encode(frame)) <= wire.MAX_REPLY_BYTES


@given(strange.JSON)
@example(["int", "9" * 5000])
@example(["float", "0x1p99999"])
@example(["dict", [[["a"], ["plain", 1]]]])
def test_any_scalar_is_a_number_or_a_bad_frame(packed: Any) -> None:
    """Claims are packed values that refer to nothing."""
    try:
        value = wire.unpack_scalar(packed)
    except wire.BadFrame:
        return
    assert type(value) in (bool, int, float, complex)


@pytest.mark.parametrize(
    "value", [True, 0, -(2**70), 1.5, float("inf"), float("-inf"), 1e-320, complex(1, -2)]
)
def test_a_number_survives_the_journey(value: Any) -> None:
    claim = wire.OutputClaim(kind="scalar", type_name="x", scalar=tuple(wire.pack(value, lambda _: None)))
    arrived = msgspec.json.decode(msgspec.json.encode(claim), type=wire.OutputClaim)
    assert wire.unpack_scalar(arrived.scalar) == value


def test_nothing_that_a_worker_sends_says_where_memory_is() -> None:
    """Buffers, offsets and descriptors are the judge's words only: there is none of the worker's to get wrong."""
    reached: set[Any] = set()
    waiting: list[Any] = list(REPLIES)
    while waiting:
        kind = waiting.pop()
        if kind not in reached:
            reached.add(kind)
            waiting += typing.get_args(kind)
            waiting += typing.get_type_hints(kind, include_extras=True).values() if _is_frame(kind) else ()
    assert wire.Done in reached
    assert not reached & {wire.TensorSpec, wire.NewBuffer, wire.Call, wire.Block, Any}


def _is_frame(kind: Any) -> bool:
    return (
        isinstance(kind, type)
        and not isinstance(kind, types.GenericAlias)
        and issubclass(kind, msgspec.Struct)
    )


def test_descriptors_that_nobody_expects_are_dropped() -> None:
    ours, theirs = wire.Channel.pair()
    strays = [os.memfd_create("stray") for _ in range(60)]
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        socket.send_fds(theirs, [framed(msgspec.json.encode(wire.Loaded()))], strays)
        assert ours.receive(wire.Loaded, limit_s=10) == wire.Loaded()
    assert len(os.listdir("/proc/self/fd")) == before
    _close(ours, theirs, strays)


def test_descriptors_that_come_with_a_bad_frame_are_closed() -> None:
    ours, theirs = wire.Channel.pair()
    strays = [os.memfd_create("stray") for _ in range(3)]
    before = len(os.listdir("/proc/self/fd"))
    socket.send_fds(theirs, [framed(b"[]")], strays)
    with pytest.raises(wire.BadFrame):
        ours.receive_with_fds(wire.Load)
    assert len(os.listdir("/proc/self/fd")) == before
    _close(ours, theirs, strays)


def _close(ours: wire.Channel, theirs: socket.socket, fds: list[int]) -> None:
    ours.close()
    theirs.close()
    for fd in fds:
        os.close(fd)


def test_a_refusal_that_quotes_the_frame_can_be_printed() -> None:
    body = msgspec.json.encode(DONE).replace(b'"Done"', b'"\\u001b[2J"')
    with pytest.raises(wire.BadFrame, match="type") as refused:
        received(framed(body), wire.Done)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("honest", HONEST)
def test_what_an_honest_worker_sends_arrives_as_it_was(honest: Any) -> None:
    assert received(framed(msgspec.json.encode(honest)), type(honest)) == honest
