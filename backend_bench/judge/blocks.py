"""One timed block on a GPU: inputs go in after the judge's first stamp, outputs come out before its second.

The stamps are events of a stream of the judge's own: it waits until both sides have queued all they have to, then
stamps, copies the inputs in, empties the cache, opens the gate, waits for the worker's stream to have passed, copies the
outputs out, stamps. Contexts take turns on a device, so nothing of the worker runs while the judge copies, and whatever
it runs before its outputs are taken lies between the stamps. No processor takes part in between.

Not prevented: inside a part of a block all inputs are there at once. Some blocks are therefore rewritten at their
pause: what was computed ahead is wrong then.
"""

from __future__ import annotations

import functools
import itertools
import math
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch

from backend_bench import wire
from backend_bench.cases import Call
from backend_bench.errors import JudgeError
from backend_bench.gate import Gate, Word
from backend_bench.grading.alike import is_within
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

TOGETHER_BYTES = 32 << 20
"""Inputs of a block that are copied by one kernel; of more each goes by itself, at the memory's full speed."""
COMPARED_BYTES = 64 << 20
"""At once: it takes several times as much memory."""
STALLED_S = 0.1
"""To queue the judge's side of a block takes a millisecond."""
MOST_STALLS = 50
"""Of the blocks of one worker for one submission."""
ENDLESS_S = 10.0
"""What a worker has given the device is done when it answers; copies of its results take milliseconds."""
_LOOK_S = 2e-5
ONE_AT_A_TIME = threading.Lock()
"""For a block and all that belongs to it: the judge's stream is one, also where the device is shared."""

Move = tuple[torch.Tensor, torch.Tensor]
"""Where bytes go, and the bytes."""


@dataclass(frozen=True, slots=True)
class Area:
    """A stretch of a worker's buffer."""

    place: Place
    bytes: torch.Tensor
    """As the worker sees them."""

    @classmethod
    def of(cls, stage: Stage, place: Place) -> Area:
        return cls(place, stage.bytes_at(place))


@dataclass(frozen=True, slots=True)
class Asked:
    """Calls of one case to be timed together; on a CPU a single one. Every worker that is asked has them in the same places."""

    case: int
    calls: tuple[Call, ...]
    metas: tuple[Meta | None, ...]
    """Of the outputs of each."""
    pause: int
    """After how many of them the device waits for the judge once more."""
    first: int = field(default_factory=functools.partial(secrets.randbits, 32))
    """Which comes first in memory, counted round."""
    pattern: int = field(default_factory=functools.partial(secrets.randbits, 63))
    """What lies in the places of the outputs beforehand: what an earlier block left must not pass for a result."""

    def sort(self) -> wire.Sort:
        """What they take of the worker's memory."""
        given = sum(len(storage) for call in self.calls for storage in _storages(call).values())
        results = [wire.Results(meta.nbytes, len(self.calls)) for meta in self.metas if meta is not None]
        return wire.Sort(given + sum(each.nbytes * each.count for each in results), tuple(results))


@dataclass(frozen=True, slots=True)
class Block:
    """Calls with their places; nothing has been copied or told yet."""

    calls: tuple[wire.Call, ...]
    pause: int
    """How many come before the gate closes again; all of them: it does not."""
    moves: tuple[tuple[Move, ...], ...]
    """Of each call, storage by storage."""
    inputs: Area
    """All inputs of all calls."""
    outputs: Area
    """All outputs of all calls."""
    poisoned: torch.Tensor
    """What is filled with the pattern before, as 64-bit words: the outputs, and the inputs where there is something between them."""
    pattern: int

    @property
    def order(self) -> list[tuple[int, ...] | None]:
        """In which the outputs of a call lie in memory."""
        return [None if spec is None else spec.stride for spec in self.calls[0].outputs]

    @property
    def early(self) -> tuple[tuple[Move, ...], ...]:
        return self.moves[: self.pause]

    @property
    def late(self) -> tuple[tuple[Move, ...], ...]:
        return self.moves[self.pause :]

    def decoys(self) -> Iterator[tuple[Move, ...]]:
        """For each late call, the inputs of an early one."""
        for number, move in enumerate(self.late):
            other = self.moves[decoy_of(number, self.pause)]
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


@dataclass(frozen=True, slots=True)
class Landing:
    """Private memory for what a block leaves behind: an allocation can take longer than a block."""

    block: Block
    outputs: torch.Tensor
    inputs: torch.Tensor

    @classmethod
    def of(cls, block: Block) -> Landing:
        return cls(block, torch.empty_like(block.outputs.bytes), torch.empty_like(block.inputs.bytes))

    def take(self, stamp: Callable[[], None] = lambda: None) -> None:
        """Copy the outputs, and after a stamp the inputs."""
        self.outputs.copy_(self.block.outputs.bytes)
        stamp()
        self.inputs.copy_(self.block.inputs.bytes)

    def is_alike(self, other: Landing) -> bool:
        """Whether this is obviously what a trusted worker left that was asked for the same: all inputs, and within the relative tolerance
        of their dtype all outputs."""
        if self.block.order != other.block.order or not _same_bytes(self.inputs, other.inputs):
            return False
        if _same_bytes(self.outputs, other.outputs):
            return True
        return all(
            is_within(ours, theirs) or torch.equal(ours.view(torch.uint8), theirs.view(torch.uint8))
            for ours, theirs in zip(self._by_output(), other._by_output(), strict=True)
        )

    def _by_output(self) -> Iterator[torch.Tensor]:
        """Each output of all calls together, a row for each call, in parts that may be compared at once."""
        # Places of one call follow each other, and are like those of any other.
        rows = self.outputs.view(len(self.block.calls), -1)
        slots = [slot for slot in self.block.calls[0].outputs if slot]
        begin = min((slot.offset for slot in slots), default=0)
        for slot in slots:
            typed, first = getattr(torch, slot.dtype), slot.offset - begin
            elements = rows[:, first : first + slot.nbytes].view(typed)
            wide = max(COMPARED_BYTES // typed.itemsize // len(rows), 1)
            yield from elements.split(wide, dim=1)

    def copies(self) -> Copies:
        """What was taken, as tensors."""
        block = self.block
        return Copies(
            tuple(
                tuple(
                    None if slot is None else _part(self.outputs, slot, block.outputs.place)
                    for slot in call.outputs
                )
                for call in block.calls
            ),
            tuple(
                tuple(_part(self.inputs, spec, block.inputs.place) for spec in call.tensors)
                for call in block.calls
            ),
        )


def _same_bytes(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Of two areas; eight at a time, since each comparison is a byte for a while."""
    return torch.equal(one.view(torch.int64), other.view(torch.int64))


@dataclass(frozen=True, slots=True)
class Stamps:
    """Events of one block."""

    began: torch.cuda.Event
    ended: torch.cuda.Event
    landed: torch.cuda.Event
    """All that it left behind is copied."""

    @classmethod
    def make(cls) -> Stamps:
        return cls(*(torch.cuda.Event(enable_timing=True) for _ in range(3)))


@dataclass(frozen=True, slots=True)
class Queued:
    """A block whose judge's side is in the stream."""

    turn: int
    """What the gate's words are compared with; the second part has the next one."""
    landing: Landing
    stamps: Stamps
    is_late: bool
    """The driver kept it from being queued in time: what is between its stamps means nothing."""


class Course:
    """Runs blocks of one worker, of which two may be in the stream. Use it as a context manager."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self._flush = stage, flush_of(stage.device)
        self._gate = Gate.make()
        self._known = False
        self._turn = 1
        self._stalls = 0
        self._stream = stream_of(stage.device)
        self._stamps = (Stamps.make(), Stamps.make())

    def __enter__(self) -> Course:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.synchronize()
        self._gate.close()

    def clear(self) -> None:
        """Nothing of it is in the stream afterwards; what was, means nothing. The worker is on its way out; for who has the stream."""
        self._run_out(self._stream.query, max(self._turn - 2, 0), math.inf)

    def room(self, many: Sequence[Asked]) -> tuple[wire.Room, tuple[int, ...]]:
        """What the worker is told before the first block of those that were planned, and the descriptors that go along."""
        news, one_of_each = self._stage.news(), {asked.case: asked for asked in many}
        fds = news.fds if self._known else (self._gate.fd, *news.fds)
        frame = wire.Room(
            # What was had for large ones does for small ones, too.
            sorts=tuple(
                sorted((asked.sort() for asked in one_of_each.values()), key=lambda sort: -sort.nbytes)
            ),
            buffers=news.buffers,
            dropped=news.dropped,
            gate=not self._known,
        )
        self._known = True
        return frame, fds

    def request(self, block: Block) -> wire.Block:
        """What the worker is told of it. It queues its calls while the judge queues the rest."""
        turn, self._turn = self._turn, self._turn + 2
        return wire.Block(number=secrets.randbits(62), turn=turn, calls=block.calls, pause=block.pause)

    def queue(
        self, block: Block, turn: int, *, rewrite: bool, when_stalled: Callable[[], None] = lambda: None
    ) -> Queued:
        """Queue the judge's side of a block that the worker has heard of. It begins when both sides have, and what was queued before is
        done: nothing of the host's is between the stamps. What it leaves behind is there when `wall_us` has returned."""
        # Another thread may want from the driver what it does only when the device stands still (code to be loaded, memory to be
        # freed) and keep the driver's lock until then, while the stream waits for a word of ours: neither would come to an end.

        def let_go() -> None:
            self.begin(turn)
            when_stalled()

        with overdue().after(STALLED_S, let_go, every_s=STALLED_S) as queueing:
            self._stream.wait_stream(torch.cuda.current_stream())
            landing = self._queued(block, turn, rewrite)
        self._gate.say(Word.QUEUED, turn)
        self._stalls += queueing.acted
        if self._stalls > MOST_STALLS:
            raise JudgeError(
                f"{self._stalls} timed blocks could not be queued in time: the driver stalls them"
            )
        return Queued(turn, landing, self._stamps_of(turn), queueing.acted)

    def _stamps_of(self, turn: int) -> Stamps:
        return self._stamps[turn // 2 % 2]

    def begin(self, turn: int) -> None:
        """Let a block begin, and those before, without waiting for either side any longer: it may be waiting for us."""
        self._gate.say(Word.QUEUED, turn)
        self._gate.say(Word.ENQUEUED, turn)

    def end(self, turn: int) -> None:
        """The worker has nothing more to say of this block and of those before: whatever it has not said is said for it."""
        self.begin(turn)
        self._gate.say(Word.PASSED, turn + 1)

    def _queued(self, block: Block, turn: int, rewrite: bool) -> Landing:
        gate, stream, stamps = self._gate, self._stream, self._stamps_of(turn)
        with torch.cuda.stream(stream):
            landing = Landing.of(block)
            block.poisoned.fill_(block.pattern)
            gate.wait(Word.QUEUED, turn, stream)
            gate.wait(Word.ENQUEUED, turn, stream)
            stamps.began.record()
            laid_in(block.early)
            laid_in(block.decoys() if rewrite else block.late)
            self._flush.zero_()
            gate.write(Word.OPEN, turn, stream)
            if block.late:
                gate.wait(Word.PASSED, turn, stream)
                if rewrite:
                    laid_in(block.late)
                turn += 1
                gate.write(Word.OPEN, turn, stream)
            gate.wait(Word.PASSED, turn, stream)
            landing.take(stamp=stamps.ended.record)
            stamps.landed.record()
            return landing

    def lay_in(self, block: Block, turn: int) -> None:
        """All inputs, for a block that is not timed: its gate is open before the worker hears of it."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            block.poisoned.fill_(block.pattern)
            laid_in(block.moves)
        self._stream.synchronize()
        self._gate.say(Word.OPEN, turn + 1)

    def wall_us(self, queued: Queued) -> float | None:
        """Time between the stamps, in microseconds, once the worker has answered; None if what it gave the device does not end."""
        if not self._run_out(queued.stamps.landed.query, queued.turn, ENDLESS_S):
            return None
        return float(queued.stamps.began.elapsed_time(queued.stamps.ended)) * 1e3

    def _run_out(self, is_done: Callable[[], bool], turn: int, limit_s: float) -> bool:
        """Wait for the end of a block whose worker has nothing more to say. Whatever it has not said is said for it, and again where it
        says otherwise."""
        until = time.monotonic() + limit_s
        self.end(turn)  # to ask the driver may take until it has come to its end
        while not is_done():
            if time.monotonic() > until:
                return False
            time.sleep(_LOOK_S)
            self.end(turn)
        return True


@functools.cache
def flush_of(device: torch.device) -> torch.Tensor:
    """What is written to empty the cache of a device; one for all workers."""
    flush = torch.empty(FLUSH_BYTES // 4, dtype=torch.int32, device=device)
    # What blocks are made of is loaded now: the driver may load code only when the device stands still.
    flush.zero_().view(torch.int64).fill_(1)
    there, values = flush[:64].view(torch.uint8), flush[64:128].view(torch.uint8)
    there.copy_(values)
    laid_in([((there, values), (there, values))])
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


def plan(stage: Stage, many: Sequence[Asked]) -> list[Block]:
    """Places for the calls of each in one buffer. They take turns there."""
    laid = [_Laid(asked) for asked in many]
    buffer = stage.track(max(each.inputs_bytes + each.outputs_bytes for each in laid))
    return [each.block(stage, buffer) for each in laid]


class _Laid:
    """How much of a buffer a block takes, and where in it everything lies."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._storages = [_storages(call) for call in asked.calls]
        self._needs = [[len(storage) for storage in own.values()] for own in self._storages]
        self._results = [meta.nbytes for meta in asked.metas if meta is not None]
        self.inputs_bytes = sum(Place(0, 0, nbytes).room for own in self._needs for nbytes in own)
        self.outputs_bytes = len(asked.calls) * sum(Place(0, 0, nbytes).room for nbytes in self._results)
        self._is_dense = all(Place(0, 0, nbytes).room == nbytes for own in self._needs for nbytes in own)

    def block(self, stage: Stage, buffer: int) -> Block:
        calls, row = self._asked.calls, _Row(buffer)
        order = [(self._asked.first + number) % len(calls) for number in range(len(calls))]
        places = {number: [row.take(nbytes) for nbytes in self._needs[number]] for number in order}
        slots = {number: [row.take(nbytes) for nbytes in self._results] for number in order}
        frames, moves = [], []
        for number, call in enumerate(calls):
            storages = self._storages[number]
            frames.append(
                _frame(number, call, list(storages), places[number], slots[number], self._asked.metas)
            )
            moves.append(tuple(zip(map(stage.bytes_at, places[number]), storages.values(), strict=True)))
        inputs = Area.of(stage, Place(buffer, 0, self.inputs_bytes))
        outputs = Area.of(stage, Place(buffer, self.inputs_bytes, self.outputs_bytes))
        all_bytes = Place(buffer, 0, self.inputs_bytes + self.outputs_bytes)
        poisoned = outputs.bytes if self._is_dense else stage.bytes_at(all_bytes)
        return Block(
            tuple(frames),
            self._asked.pause,
            tuple(moves),
            inputs,
            outputs,
            poisoned.view(torch.int64),
            self._asked.pattern,
        )


def laid_in(moves: Iterable[tuple[Move, ...]]) -> None:
    """Copy bytes to where they go."""
    each = list(itertools.chain.from_iterable(moves))
    if len(each) > 1 and sum(len(values) for _, values in each) <= TOGETHER_BYTES:
        torch._foreach_copy_([there for there, _ in each], [values for _, values in each])
        return
    for there, values in each:
        there.copy_(values)


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
            None if meta is None else spec_of(meta.like(), next(free), meta.nbytes) for meta in metas
        ),
    )


def _part(area: torch.Tensor, spec: wire.TensorSpec, place: Place) -> torch.Tensor:
    start = spec.offset - place.offset
    return rebuild(area[start : start + spec.nbytes], spec)
