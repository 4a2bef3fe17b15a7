"""Frames between the judge and a worker: length-prefixed JSON over a socket pair, never pickle.

What a worker sends is a claim: every frame is parsed against its type with a size limit, and what
does not fit is a `BadFrame`, which the judge treats as the candidate's doing. Descriptors travel
from the judge to the worker only. Knows nothing about torch: tensors are described, not carried.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import msgspec

MAX_REQUEST_BYTES = 16 << 20
"""A request carries one kernel source or one call's description; far below this."""
MAX_REPLY_BYTES = 1 << 20
"""A reply carries claims about a few dozen outputs, or an error text cut to `MAX_TEXT`."""
MAX_TEXT = 20_000
"""Characters of an exception's text that a worker may send."""
MAX_NAME = 80
"""Characters of a type's or exception's name."""
MAX_OUTPUTS = 256
"""Outputs that a worker describes; no operator has so many."""
MAX_FDS = 64
"""Descriptors in one frame."""

REFUSED = "refused"
"""Level that a worker reports when the sandbox that was required cannot be had."""

_HEADER = struct.Struct(">I")
T = TypeVar("T")


class ChannelClosed(Exception):
    """The other side hung up."""


class ChannelTimeout(Exception):
    """No complete frame arrived in time."""


class BadFrame(Exception):
    """The other side sent something that is not the expected frame."""


class TensorSpec(msgspec.Struct, frozen=True):
    """A tensor inside a shared buffer."""

    buffer: int
    """Number of the shared buffer."""
    offset: int
    """First byte of the tensor's storage in the buffer."""
    nbytes: int
    """Bytes of the storage."""
    dtype: str
    """Such as `float32`."""
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    start: int
    """Storage offset, in elements."""
    conj: bool = False
    """The tensor is a lazy conjugate."""
    neg: bool = False
    """The tensor is a lazy negation."""


class NewBuffer(msgspec.Struct, frozen=True):
    """A shared buffer that the worker has not seen; its descriptor comes with the frame."""

    number: int
    nbytes: int


class Ready(msgspec.Struct, frozen=True, tag=True):
    """Worker: locked in, nothing loaded yet."""

    level: str
    holds: tuple[str, ...]
    missing: tuple[str, ...]


class Load(msgspec.Struct, frozen=True, tag=True):
    """Judge: load this source; an empty one with `reference` set means ATen itself."""

    source: str
    function: str
    language: str
    reference: str = ""
    """`add.Tensor`: call ATen's own operator; a twin is loaded so."""
    own_work: bool = False
    """First take out of the worker what this kernel may not call, or watch it."""


class Loaded(msgspec.Struct, frozen=True, tag=True):
    """Worker: the source is loaded, or why not."""

    error: str = ""


class Call(msgspec.Struct, frozen=True, tag=True):
    """Judge: call the kernel once on these arguments."""

    number: int
    """Drawn at random, so that a reply cannot be sent ahead."""
    args: Any
    kwargs: Any
    tensors: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec | None, ...]
    """Where the outputs go; None for an output that is not a tensor."""
    buffers: tuple[NewBuffer, ...] = ()
    dropped: tuple[int, ...] = ()
    """Buffers that will not be used again."""
    record: bool = False
    """Record the ATen operators that the kernel calls."""


class Block(msgspec.Struct, frozen=True, tag=True):
    """Judge: queue these calls behind the gate, on a GPU, and time them."""

    number: int
    """Drawn at random, as a call's."""
    turn: int
    """What the gate's words are compared with; the second part of the calls has the next one."""
    calls: tuple[Call, ...]
    pause: int
    """How many calls come before the gate closes again; all of them: it does not."""
    buffers: tuple[NewBuffer, ...] = ()
    dropped: tuple[int, ...] = ()
    gate: bool = False
    """The first descriptor is a new gate's."""


class OutputClaim(msgspec.Struct, frozen=True):
    """What one output is, says the worker."""

    kind: Literal["tensor", "scalar", "none", "other"]
    """What sort of value."""
    type_name: str
    plain: bool = False
    """A plain torch.Tensor and not a subclass."""
    dtype: str = ""
    shape: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    device: str = ""
    alias: int | None = None
    """Input tensor whose storage it shares."""
    same: int | None = None
    """Input tensor that it is."""
    scalar: Any = None
    """A packed scalar."""
    copied: bool = False
    """Its values were copied to the place asked for."""


class OperatorCall(msgspec.Struct, frozen=True):
    """One ATen operator that the kernel called."""

    op: str
    inputs_only: bool
    """All its tensor arguments are the kernel's own inputs, unchanged."""
    returned: bool
    """All that the kernel returned are its results, and nobody wrote to them since."""
    computed: bool = False
    """Some tensor argument is what another operator computed in this call."""


class Done(msgspec.Struct, frozen=True, tag=True):
    """Worker: the call has returned, or raised."""

    number: int
    error: str = ""
    """Text of the exception."""
    error_type: str = ""
    single: bool = True
    outputs: tuple[OutputClaim, ...] = ()
    elapsed_us: float = 0.0
    """Time of the call by the worker's own clock; a claim."""
    operators: tuple[OperatorCall, ...] = ()
    launched: bool | None = None
    """Kernels that were launched in this call made the outputs out of the inputs; None where nobody can tell."""


class Timed(msgspec.Struct, frozen=True, tag=True):
    """Worker: the calls of a block have returned, or one of them raised."""

    number: int
    error: str = ""
    """Text of the exception."""
    error_type: str = ""
    calls: tuple[Done, ...] = ()
    """In the order of the block."""
    elapsed_us: float = 0.0
    """Time of all of them by the worker's own events; a claim."""


class Spawn(msgspec.Struct, frozen=True, tag=True):
    """Judge to zygote: fork a worker; its end of the channel comes with the frame."""

    number: int
    level: str
    """Sandbox level: `required`, `best-effort` or `off`."""
    memory_bytes: int
    """Host memory that the worker may map beyond what it starts with."""
    device: str
    threads: int
    """Threads of torch's own operators on a CPU."""


class Spawned(msgspec.Struct, frozen=True, tag=True):
    """Zygote: the worker's process, as the zygote sees it."""

    number: int
    pid: int


class Exited(msgspec.Struct, frozen=True, tag=True):
    """Zygote: a worker is gone."""

    number: int
    status: int
    """Negative for a signal, else the exit code."""


class Channel:
    """One end of a socket pair that carries frames."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    @classmethod
    def pair(cls) -> tuple[Channel, socket.socket]:
        """Our end, and the raw end for the other process."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        return cls(ours), theirs

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        """Hang up. Shut down first: a thread that waits in a read would keep the line open."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

    def send(self, frame: msgspec.Struct, fds: Sequence[int] = (), *, limit_s: float = 30.0) -> None:
        """Send one frame whole. Raises `ChannelClosed`, or `ChannelTimeout` if nobody reads."""
        data = msgspec.json.encode(frame)
        payload = _HEADER.pack(len(data)) + data
        try:
            self._sock.settimeout(limit_s)
            sent = socket.send_fds(self._sock, [payload], list(fds)) if fds else 0
            self._sock.sendall(payload[sent:])
        except TimeoutError as error:
            raise ChannelTimeout from error
        except OSError as error:
            raise ChannelClosed from error

    def answers(self, within_s: float) -> bool:
        """Whether something to read arrives in that time; the other side's end counts."""
        return bool(select.select([self._sock], [], [], within_s)[0])

    def receive(self, kind: type[T], *, limit_s: float | None, max_bytes: int = MAX_REPLY_BYTES) -> T:
        """Wait for one frame of this kind; descriptors that come with it are dropped."""
        deadline = None if limit_s is None else time.monotonic() + limit_s
        return _decode(self._body(self._read(_HEADER.size, deadline), deadline, max_bytes), kind)

    def receive_with_fds(self, kind: Any, *, max_bytes: int = MAX_REQUEST_BYTES) -> tuple[Any, list[int]]:
        """Wait without limit for one frame of this kind and the descriptors that come with it."""
        try:
            self._sock.settimeout(None)
            first, fds, _, _ = socket.recv_fds(self._sock, _HEADER.size, MAX_FDS)
        except OSError as error:
            raise ChannelClosed from error
        if not first:
            raise ChannelClosed
        header = first + self._read(_HEADER.size - len(first), None)
        return _decode(self._body(header, None, max_bytes), kind), fds

    def _body(self, header: bytes, deadline: float | None, max_bytes: int) -> bytes:
        (length,) = _HEADER.unpack(header)
        if length > max_bytes:
            raise BadFrame(f"a frame of {length} bytes, more than {max_bytes}")
        return self._read(length, deadline)

    def _read(self, count: int, deadline: float | None) -> bytes:
        parts: list[bytes] = []
        while count:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise ChannelTimeout
            try:
                self._sock.settimeout(left)
                part = self._sock.recv(min(count, 1 << 20))
            except TimeoutError as error:
                raise ChannelTimeout from error
            except OSError as error:
                raise ChannelClosed from error
            if not part:
                raise ChannelClosed
            parts.append(part)
            count -= len(part)
        return b"".join(parts)


def _decode(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadFrame(str(error)[:200]) from error


def printable(text: str, limit: int) -> str:
    """A worker's text as a person may see it: cut, and without control characters or escapes."""
    kept = text[:limit]
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in kept)


def pack(value: Any, tensor: Callable[[Any], int | None]) -> Any:
    """Describe an argument tree as plain JSON.

    `tensor` gives the number of a tensor leaf, or None for what is no tensor. dtypes, devices,
    layouts and memory formats travel by name. Raises TypeError for anything else.
    """
    number = tensor(value)
    if number is not None:
        return ["tensor", number]
    if value is None or isinstance(value, (bool, str)):
        return ["plain", value]
    if isinstance(value, int):
        return ["int", str(int(value))]
    if isinstance(value, float):
        return ["float", value.hex()]
    if isinstance(value, complex):
        return ["complex", value.real.hex(), value.imag.hex()]
    if isinstance(value, (list, tuple)):
        return [
            "list" if isinstance(value, list) else "tuple",
            [pack(item, tensor) for item in value],
        ]
    if isinstance(value, dict):
        return ["dict", [[key, pack(item, tensor)] for key, item in value.items()]]
    if type(value).__module__ == "torch":
        return ["torch", type(value).__name__, str(value)]
    raise TypeError(f"cannot describe an argument of type {type(value).__name__}")


def unpack(packed: Any, tensor: Callable[[int], Any], named: Callable[[str, str], Any]) -> Any:
    """The inverse of `pack`; `named` turns ("dtype", "torch.float32") into the object."""
    match packed:
        case ["tensor", int(number)]:
            return tensor(number)
        case ["plain", value]:
            return value
        case ["int", str(text)]:
            return int(text)
        case ["float", str(text)]:
            return float.fromhex(text)
        case ["complex", str(real), str(imag)]:
            return complex(float.fromhex(real), float.fromhex(imag))
        case ["list", [*items]]:
            return [unpack(item, tensor, named) for item in items]
        case ["tuple", [*items]]:
            return tuple(unpack(item, tensor, named) for item in items)
        case ["dict", [*items]]:
            return {key: unpack(item, tensor, named) for key, item in items}
        case ["torch", str(kind), str(name)]:
            return named(kind, name)
        case _:
            raise BadFrame(f"not a packed value: {str(packed)[:80]}")
