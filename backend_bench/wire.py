"""Frames between the judge and a worker: length-prefixed JSON over a socket pair, never pickle.

What a worker sends is a claim: every frame is parsed against its type, whose fields say how long and how large
they may be, and what does not fit is a `BadFrame`, which the judge treats as the candidate's doing.
Descriptors, and places in memory, travel from the judge to the worker only. Knows nothing about torch:
tensors are described, not carried.
"""

from __future__ import annotations

import contextlib
import functools
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec

MAX_REQUEST_BYTES = 16 << 20
"""A request carries one kernel source or one call's description; far below this."""
MAX_REPLY_BYTES = 1 << 20
"""A reply carries claims about a few dozen outputs, or an error text cut to `MAX_TEXT`."""
MAX_TEXT = 20_000
"""Characters of an exception's text that a worker may send."""
MAX_NAME = 80
"""Characters of a type's or exception's name."""
MAX_OPERATOR = 200
"""Characters of an operator's name, its namespace and overload included."""
MAX_KERNELS, MAX_KERNEL = 50, 1000
"""Kernels of a GPU that a reply names, and the length of a name: those of templates are long."""
MAX_OUTPUTS = 256
"""Outputs that a worker describes; no operator has so many."""
MAX_DIMS = 256
"""Dimensions of an output that a worker describes; no operator's has a tenth of it."""
MAX_OPERATORS = 1000
"""Operator calls that a worker reports of one call; the recorder stops far below."""
MAX_CALLS = 64
"""Calls of one block."""
MAX_DIGITS = 4300
"""Characters of a scalar; Python itself refuses to write a longer integer."""
MAX_FDS = 64
"""Descriptors in one frame."""

Name = Annotated[str, msgspec.Meta(max_length=MAX_NAME)]
Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]
Size = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Sizes = Annotated[tuple[Size, ...], msgspec.Meta(max_length=MAX_DIMS)]
Operator = Annotated[str, msgspec.Meta(max_length=MAX_OPERATOR)]
Scalar = Annotated[
    tuple[Annotated[str, msgspec.Meta(max_length=MAX_DIGITS)] | bool, ...], msgspec.Meta(max_length=3)
]
"""Such as `["complex", "0x1p+0", "0x0p+0"]`: what `pack` makes of a number, and nothing nested."""

REFUSED = "refused"
"""Level that a worker reports when the sandbox that was required cannot be had."""

HEARING = "gpu-kernels"
"""What a worker lacks that cannot hear which kernels it has the GPU run."""

LOOK_S = 0.5
"""A clock that is given may jump back, where its host was asleep: so often it is looked at."""

_HEADER = struct.Struct(">I")
T = TypeVar("T")
Clock = Callable[[], float]
"""Seconds from an arbitrary start."""


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


class Listen(msgspec.Struct, frozen=True, tag=True):
    """Judge: hear from now on which kernels you have the GPU run; the source will be loaded anew. `Loaded` says why not, if so."""


class Clear(msgspec.Struct, frozen=True, tag=True):
    """Judge: forget all buffers and give back what memory is kept; only a twin is asked."""


class Loaded(msgspec.Struct, frozen=True, tag=True):
    """Worker: the source is loaded, or why not; everything is forgotten; or there is as much room as can be had."""

    error: Text = ""


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


class Results(msgspec.Struct, frozen=True):
    """Results of one size that are there at once."""

    nbytes: int
    count: int


class Sort(msgspec.Struct, frozen=True):
    """Blocks of one sort."""

    nbytes: int
    """Of all that its calls are given and give."""
    results: tuple[Results, ...]


class Room(msgspec.Struct, frozen=True, tag=True):
    """Judge: open all that blocks will need, and have memory for what they leave, before somebody has a GPU alone for them."""

    sorts: tuple[Sort, ...]
    buffers: tuple[NewBuffer, ...] = ()
    dropped: tuple[int, ...] = ()
    gate: bool = False
    """The first descriptor is a new gate's."""


class Block(msgspec.Struct, frozen=True, tag=True):
    """Judge: queue these calls behind the gate, on a GPU, and time them. There is room for them."""

    number: int
    """Drawn at random, as a call's."""
    turn: int
    """What the gate's words are compared with; the second part of the calls has the next one."""
    calls: tuple[Call, ...]
    pause: int
    """How many calls come before the gate closes again; all of them: it does not."""


class OutputClaim(msgspec.Struct, frozen=True):
    """What one output is, says the worker."""

    kind: Literal["tensor", "scalar", "none", "other"]
    """What sort of value."""
    type_name: Name
    plain: bool = False
    """A plain torch.Tensor and not a subclass."""
    dtype: Name = ""
    shape: Sizes = ()
    stride: Sizes = ()
    device: Name = ""
    alias: Size | None = None
    """Input tensor whose storage it shares."""
    same: Size | None = None
    """Input tensor that it is."""
    earlier: bool = False
    """It shares memory with an output of an earlier call, which is still held."""
    scalar: Scalar | None = None
    """A packed scalar."""
    copied: bool = False
    """Its values were copied to the place asked for."""


class OperatorCall(msgspec.Struct, frozen=True):
    """One ATen operator that the kernel called."""

    op: Operator
    inputs_only: bool
    """All its tensor arguments are the kernel's own inputs, unchanged."""
    returned: bool
    """All that the kernel returned are its results, and nobody wrote to them since."""
    computed: bool = False
    """Some tensor argument is what another operator computed in this call."""


class Kernel(msgspec.Struct, frozen=True):
    """A kernel that the process had the GPU's driver fetch or launch."""

    name: Annotated[str, msgspec.Meta(max_length=MAX_KERNEL)]
    """As the driver knows it, mangled."""
    origin: Name = ""
    """The file that its code lies in; empty for memory."""
    launches: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0


class Heard(msgspec.Struct, frozen=True):
    """What the GPU was given since the last reply, where somebody listens."""

    kernels: Annotated[tuple[Kernel, ...], msgspec.Meta(max_length=MAX_KERNELS)] = ()
    """Those of others that compute first, and those that move memory last; as many as a reply has room for."""
    is_deaf: bool = False
    """Somebody in this process has switched off what tells which kernels run."""
    has_strangers: bool = False
    """A kernel was launched that was fetched before anybody listened, or a graph that may be as old."""


UNHEARD: Final = Heard()


class Done(msgspec.Struct, frozen=True, tag=True):
    """Worker: the call has returned, or raised."""

    number: int
    error: Text = ""
    """Text of the exception."""
    error_type: Name = ""
    single: bool = True
    outputs: Annotated[tuple[OutputClaim, ...], msgspec.Meta(max_length=MAX_OUTPUTS + 1)] = ()
    elapsed_us: float = 0.0
    """Time of the call by the worker's own clock; a claim."""
    operators: Annotated[tuple[OperatorCall, ...], msgspec.Meta(max_length=MAX_OPERATORS)] = ()
    launched: bool | None = None
    """Kernels that were launched in this call made the outputs out of the inputs, or on a GPU were the candidate's at all; None where nobody
    can tell."""
    heard: Heard = UNHEARD


class Timed(msgspec.Struct, frozen=True, tag=True):
    """Worker: the calls of a block have returned, or one of them raised."""

    number: int
    error: Text = ""
    """Text of the exception."""
    error_type: Name = ""
    calls: Annotated[tuple[Done, ...], msgspec.Meta(max_length=MAX_CALLS)] = ()
    """In the order of the block."""
    elapsed_us: float = 0.0
    """Time of all of them by the worker's own events; a claim."""
    heard: Heard = UNHEARD


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
    channels: int = 0
    """Of its CUDA context, by which kernels of several streams run at once; 0: as many as the driver makes."""
    listens: bool = False
    """It hears which kernels it has the GPU run. Who does cannot be kept from the GPU by the driver."""


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

    def send(
        self, frame: msgspec.Struct, fds: Sequence[int] = (), *, limit_s: float = 30.0, now: Clock = time.monotonic
    ) -> None:  # fmt: skip
        """Send one frame whole. Raises `ChannelClosed`, or `ChannelTimeout` if nobody reads."""
        data = msgspec.json.encode(frame)
        left, waiting, deadline = memoryview(_HEADER.pack(len(data)) + data), list(fds), now() + limit_s
        while left:
            move: Callable[[], int] = functools.partial(self._sock.send, left)
            if waiting:
                move = functools.partial(socket.send_fds, self._sock, [left], waiting)
            left, waiting = left[self._within(deadline, now, move) :], []

    def answers(self, within_s: float) -> bool:
        """Whether something to read arrives in that time; the other side's end counts."""
        return bool(select.select([self._sock], [], [], within_s)[0])

    def receive(
        self, kind: type[T], *, limit_s: float | None, max_bytes: int = MAX_REPLY_BYTES, now: Clock = time.monotonic
    ) -> T:  # fmt: skip
        """Wait for one frame of this kind; descriptors that come with it are dropped."""
        deadline = None if limit_s is None else now() + limit_s
        header = self._read(_HEADER.size, deadline, now)
        return _decode(self._body(header, deadline, max_bytes, now), kind)

    def receive_with_fds(self, kind: Any, *, max_bytes: int = MAX_REQUEST_BYTES) -> tuple[Any, list[int]]:
        """Wait without limit for one frame of this kind and the descriptors that come with it."""
        try:
            self._sock.settimeout(None)
            first, fds, _, _ = socket.recv_fds(self._sock, _HEADER.size, MAX_FDS)
        except OSError as error:
            raise ChannelClosed from error
        try:
            if not first:
                raise ChannelClosed
            header = first + self._read(_HEADER.size - len(first), None)
            return _decode(self._body(header, None, max_bytes), kind), fds
        except (ChannelClosed, BadFrame):
            for fd in fds:
                os.close(fd)
            raise

    def _body(
        self, header: bytes, deadline: float | None, max_bytes: int, now: Clock = time.monotonic
    ) -> bytes:
        (length,) = _HEADER.unpack(header)
        if length > max_bytes:
            raise BadFrame(f"a frame of {length} bytes, more than {max_bytes}")
        return self._read(length, deadline, now)

    def _read(self, count: int, deadline: float | None, now: Clock = time.monotonic) -> bytes:
        parts: list[bytes] = []
        while count:
            part = self._within(deadline, now, functools.partial(self._sock.recv, min(count, 1 << 20)))
            if not part:
                raise ChannelClosed
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def _within(self, deadline: float | None, now: Clock, move: Callable[[], T]) -> T:
        """Move some bytes, or raise `ChannelTimeout` at the deadline; it is looked at every `LOOK_S`."""
        while True:
            left = None if deadline is None else deadline - now()
            if left is not None and left <= 0:
                raise ChannelTimeout
            try:
                self._sock.settimeout(None if left is None else min(left, LOOK_S))
                return move()
            except TimeoutError:
                continue
            except OSError as error:
                raise ChannelClosed from error


def _decode(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadFrame(printable(str(error), 200)) from error  # it may quote the frame


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


def unpack_scalar(packed: Any) -> bool | int | float | complex:
    """The number that a worker claims. Raises `BadFrame` for anything else, and never anything but that."""
    try:
        match packed:
            case ["plain", bool(value)]:
                return value
            case ["int" | "float" | "complex", *_]:
                return unpack(packed, lambda number: None, lambda kind, name: None)  # type: ignore[no-any-return]
    except (ValueError, OverflowError) as error:
        raise BadFrame(f"not a number: {error}") from error
    raise BadFrame(f"not a packed number: {str(packed)[:80]}")


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
