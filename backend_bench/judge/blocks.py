"""One timed block on a GPU: inputs go in after the judge's first stamp, outputs come out before its second.

The stamps are events of a stream of the judge's own: it waits until the worker has queued all calls, then
stamps, copies the inputs in, empties the cache, opens the gate, waits for the worker's stream to have passed, copies the
outputs out, stamps. Contexts take turns on a device, so nothing of the worker runs while the judge copies, and whatever
it runs before its outputs are taken lies between the stamps. No processor takes part in between.

Not prevented: inside a part of a block all inputs are there at once. Some blocks are therefore rewritten at their
pause: what was computed ahead is wrong then.
"""

from __future__ import annotations

import dataclasses
import functools
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
import torch

from backend_bench import wire
from backend_bench.cases import Call
from backend_bench.errors import JudgeError
from backend_bench.gate import Gate, Word
from backend_bench.grading.inputs import storage_of, tensors_of
from backend_bench.judge.overdue import overdue
from backend_bench.judge.stage import (
    Meta,
    Place,
    Stage,
    numbering,
    rebuild,
    spec_of,
    storage_bytes,
)

FLUSH_BYTES = 128 << 20
"""Written after the inputs: more than twice the L2 cache of any GPU so far (50 MB on an H100)."""

STALLED_S = 0.1
"""To queue the judge's side of a block takes a millisecond."""
QUEUE_TRIES = 50
ONE_AT_A_TIME = threading.Lock()
"""For a block and all that belongs to it: the judge's stream is one, also where the device is shared."""

Move = tuple[torch.Tensor, torch.Tensor]
"""Where bytes go, and the bytes."""


@dataclass(frozen=True, slots=True)
class Block:
    """Calls that a worker may queue; their inputs are not there yet."""

    frame: wire.Block
    fds: tuple[int, ...]
    moves: tuple[tuple[Move, ...], ...]
    """Of each call, storage by storage."""
    inputs: Place
    """All inputs of all calls."""
    outputs: Place
    """All outputs of all calls."""

    @property
    def early(self) -> tuple[tuple[Move, ...], ...]:
        return self.moves[: self.frame.pause]

    @property
    def late(self) -> tuple[tuple[Move, ...], ...]:
        return self.moves[self.frame.pause :]

    def decoys(self) -> Iterator[tuple[Move, ...]]:
        """For each late call, the inputs of an early one."""
        for number, move in enumerate(self.late):
            other = self.moves[decoy_of(number, self.frame.pause)]
            yield tuple((there, bytes_) for (there, _), (_, bytes_) in zip(move, other, strict=True))


def decoy_of(late: int, pause: int) -> int:
    """The early call whose inputs a late one is shown first; both counted from their part's beginning."""
    return late % pause


@dataclass(frozen=True, slots=True)
class Copies:
    """Private copies of what a block left behind."""

    outputs: tuple[tuple[torch.Tensor | None, ...], ...]
    """Of each call."""
    inputs: tuple[tuple[torch.Tensor, ...], ...]
    """Of each call, after it."""


class Course:
    """Runs blocks of one worker. Use it as a context manager."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self._flush = stage, flush_of(stage.device)
        self._gate = Gate.make()
        self._known = False
        self._turn = 1
        self._stream = stream_of(stage.device)
        self._began = torch.cuda.Event(enable_timing=True)
        self._ended = torch.cuda.Event(enable_timing=True)

    def __enter__(self) -> Course:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.synchronize()
        self._gate.close()

    def plan(self, calls: Sequence[Call], metas: tuple[Meta | None, ...], pause: int) -> Block:
        """The next block."""
        block = plan(self._stage, calls, metas, turn=self._turn, pause=pause)
        self._turn += 2
        if not self._known:
            self._known = True
            frame = msgspec.structs.replace(block.frame, gate=True)
            block = dataclasses.replace(block, frame=frame, fds=(self._gate.fd, *block.fds))
        return block

    def queue(self, block: Block, *, rewrite: bool) -> Copies:
        """Queue the judge's side of a block, all of it before the worker hears of it, so that nothing of the host's is
        between the stamps; the copies are there when `wall_us` has returned."""
        self._stream.wait_stream(torch.cuda.current_stream())
        for _ in range(QUEUE_TRIES):
            # A stream that waits for a word waits for this process: the worker hears of a block when it is queued. Another thread
            # may want from the driver what it does only when the device stands still (code to be loaded, memory to be freed) and
            # keep the driver's lock meanwhile; then neither comes to an end.
            with overdue().after(STALLED_S, functools.partial(self._let_go, block)) as queueing:
                copies = self._queued(block, rewrite)
            if not queueing.acted:
                return copies
            self._stream.synchronize()
            for word in Word:
                self._gate.say(word, block.frame.turn - 1)
        raise JudgeError(f"a timed block could not be queued in {QUEUE_TRIES} tries: the driver stalls each")

    def _let_go(self, block: Block) -> None:
        """Void it: whatever is queued runs through, and so does what waits for that."""
        self._gate.say(Word.ENQUEUED, block.frame.turn)
        self._gate.say(Word.PASSED, block.frame.turn + 1)

    def _queued(self, block: Block, rewrite: bool) -> Copies:
        turn, gate = block.frame.turn, self._gate
        with torch.cuda.stream(self._stream):
            landing = Landing.of(self._stage, block)
            self._poison(block)
            gate.wait(Word.ENQUEUED, turn)
            self._began.record()
            laid_in(block.early)
            laid_in(block.decoys() if rewrite else block.late)
            self._flush.zero_()
            gate.write(Word.OPEN, turn)
            if block.late:
                gate.wait(Word.PASSED, turn)
                if rewrite:
                    laid_in(block.late)
                turn += 1
                gate.write(Word.OPEN, turn)
            gate.wait(Word.PASSED, turn)
            return taken(self._stage, block, landing, stamp=self._ended.record)

    def begun(self) -> bool:
        """Whether the worker has queued its calls."""
        return bool(self._began.query())

    def begin(self, block: Block) -> None:
        """Go on without waiting for the worker any longer: it may be waiting for us."""
        self._gate.say(Word.ENQUEUED, block.frame.turn)

    def wall_us(self, block: Block) -> float:
        """Time between the stamps, in microseconds, once the worker has answered or is gone."""
        self.begin(block)
        self._gate.say(Word.PASSED, block.frame.turn + 1)
        self._stream.synchronize()
        return float(self._began.elapsed_time(self._ended)) * 1e3

    def _poison(self, block: Block) -> None:
        """A fresh pattern in all places: what an earlier block left must not pass for a result."""
        whole = Place(block.outputs.buffer, 0, block.inputs.nbytes + block.outputs.nbytes)
        self._stage.bytes_at(whole).view(torch.int64).fill_(secrets.randbits(63))


@functools.cache
def flush_of(device: torch.device) -> torch.Tensor:
    """What is written to empty the cache of a device; one for all workers."""
    flush = torch.empty(FLUSH_BYTES // 4, dtype=torch.int32, device=device)
    # What blocks are made of is loaded now: the driver may load code only when the device stands still.
    flush.zero_().view(torch.int64).fill_(1)
    flush[:64].view(torch.uint8).copy_(flush[64:128].view(torch.uint8))
    torch.cuda.synchronize(device)
    return flush


def reserve(device: torch.device, nbytes: int) -> None:
    """Have the allocator ask the driver now for what blocks will leave behind, and not between two of them."""
    with torch.cuda.stream(stream_of(device)):
        torch.empty(nbytes, dtype=torch.uint8, device=device)


@functools.cache
def stream_of(device: torch.device) -> torch.cuda.Stream:
    """The judge's own stream; one for all workers, since each stream keeps the memory that it has used."""
    return torch.cuda.Stream(device)


def plan(
    stage: Stage, calls: Sequence[Call], metas: tuple[Meta | None, ...], *, turn: int, pause: int
) -> Block:  # fmt: skip
    """Places for a block's calls in one buffer, in another order each time."""
    storages = [_storages(call) for call in calls]
    needs = [[len(storage) for storage in own.values()] for own in storages]
    results = [meta.nbytes for meta in metas if meta is not None]
    inputs_bytes = sum(Place(0, 0, nbytes).room for own in needs for nbytes in own)
    outputs_bytes = len(calls) * sum(Place(0, 0, nbytes).room for nbytes in results)
    buffer, dropped = stage.track(inputs_bytes + outputs_bytes)
    row, order = _Row(buffer), _rotated(len(calls))
    places = {number: [row.take(nbytes) for nbytes in needs[number]] for number in order}
    slots = {number: [row.take(nbytes) for nbytes in results] for number in order}
    frames, moves = [], []
    for number, call in enumerate(calls):
        frames.append(_frame(number, call, list(storages[number]), places[number], slots[number], metas))
        theirs = map(stage.bytes_at, places[number])
        moves.append(tuple(zip(theirs, storages[number].values(), strict=True)))
    news = stage.news()
    frame = wire.Block(
        number=secrets.randbits(62),
        turn=turn,
        calls=tuple(frames),
        pause=pause,
        buffers=news.buffers,
        dropped=dropped,
    )
    inputs, outputs = Place(buffer, 0, inputs_bytes), Place(buffer, inputs_bytes, outputs_bytes)
    return Block(frame, news.fds, tuple(moves), inputs, outputs)


def laid_in(moves: Iterable[tuple[Move, ...]]) -> None:
    """Copy bytes to where they go."""
    for move in moves:
        for there, values in move:
            there.copy_(values)


@dataclass(frozen=True, slots=True)
class Landing:
    """Private memory for what a block leaves behind: an allocation can take longer than a block."""

    outputs: torch.Tensor
    inputs: torch.Tensor

    @classmethod
    def of(cls, stage: Stage, block: Block) -> Landing:
        return cls(*(torch.empty_like(stage.bytes_at(place)) for place in (block.outputs, block.inputs)))


def taken(stage: Stage, block: Block, landing: Landing, stamp: Callable[[], None] = lambda: None) -> Copies:
    """Private copies of a block's outputs, and after a stamp of its inputs."""
    outputs = landing.outputs.copy_(stage.bytes_at(block.outputs))
    stamp()
    inputs = landing.inputs.copy_(stage.bytes_at(block.inputs))
    return Copies(
        tuple(
            tuple(None if slot is None else _part(outputs, slot, block.outputs) for slot in call.outputs)
            for call in block.frame.calls
        ),
        tuple(
            tuple(_part(inputs, spec, block.inputs) for spec in call.tensors) for call in block.frame.calls
        ),
    )


class _Row:
    """Places in a buffer, one after the other."""

    def __init__(self, buffer: int) -> None:
        self._buffer, self._used = buffer, 0

    def take(self, nbytes: int) -> Place:
        place = Place(self._buffer, self._used, nbytes)
        self._used += place.room
        return place


def _storages(call: Call) -> dict[int, torch.Tensor]:
    """The bytes of each storage of a call, by its key."""
    return {storage_of(tensor): storage_bytes(tensor) for tensor in tensors_of(call)}


def _rotated(count: int) -> list[int]:
    first = secrets.randbelow(count)
    return [(first + number) % count for number in range(count)]


def _frame(
    number: int, call: Call, keys: list[int], places: list[Place], slots: list[Place],
    metas: tuple[Meta | None, ...],
) -> wire.Call:  # fmt: skip
    tensors, free = tensors_of(call), iter(slots)
    return wire.Call(
        number=number,
        args=wire.pack(call.args, numbering(tensors)),
        kwargs=wire.pack(call.kwargs, numbering(tensors)),
        tensors=tuple(spec_of(tensor, places[keys.index(storage_of(tensor))]) for tensor in tensors),
        outputs=tuple(
            None if meta is None else spec_of(_like(meta), next(free), meta.nbytes) for meta in metas
        ),
    )


def _like(meta: Meta) -> torch.Tensor:
    return torch.empty(meta.shape, dtype=meta.dtype, device="meta")


def _part(area: torch.Tensor, spec: wire.TensorSpec, place: Place) -> torch.Tensor:
    start = spec.offset - place.offset
    return rebuild(area[start : start + spec.nbytes], spec)
