"""Lays the arguments of a call out in shared memory, and takes private copies back.

One stage per worker. Nothing but inputs and poisoned outputs ever lies in its buffers. A case keeps
its places, so that later draws of it arrive at the same addresses.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import secrets
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import torch

from backend_bench import wire
from backend_bench.buffers import SharedBuffer, create
from backend_bench.cases import Call
from backend_bench.errors import JudgeError
from backend_bench.grading.inputs import storage_of, tensors_of

CHUNK_BYTES = 1 << 20
"""Size of the first shared buffer that holds the small tensors of many cases. Each further one is twice as large: its
pages are made and mapped on both sides, and most operators fill one of a megabyte."""
LARGEST_CHUNK_BYTES = 16 << 20
ROUNDED_BYTES = 256 << 20
"""Up to here the buffer of a block is a power of two."""
HOST_BYTES = 1 << 20
"""Copies up to this size are compared on the CPU."""
ALIGNMENT = 256
"""As strict as cudaMalloc, so that vector loads find what they would find elsewhere."""


@dataclass(frozen=True, slots=True)
class Meta:
    """Form of an output, known before the call."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    stride: tuple[int, ...] | None = None
    """Of the place for it, as the worker's own result is laid out; None: contiguous. To hand over values in another order takes ten times as
    long, and the judge's clock sees that."""

    @classmethod
    def of(cls, value: torch.Tensor) -> Meta:
        """Of one like this."""
        without_holes = torch.empty_like(value, device="meta")
        return cls(value.dtype, tuple(value.shape)).laid_out(tuple(without_holes.stride()))

    def laid_out(self, stride: tuple[int, ...]) -> Meta:
        """In this order of memory, if there are no holes in it; else contiguous. `stride` may be a claim."""
        if not _is_dense(self.shape, stride):
            return dataclasses.replace(self, stride=None)
        # Where there is one element, a step may be claimed to be anything.
        steps = (1 if size == 1 else step for size, step in zip(self.shape, stride, strict=True))
        return dataclasses.replace(self, stride=tuple(steps))

    def like(self) -> torch.Tensor:
        """One without values."""
        if self.stride is None:
            return torch.empty(self.shape, dtype=self.dtype, device="meta")
        return torch.empty_strided(self.shape, self.stride, dtype=self.dtype, device="meta")

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def _is_dense(shape: tuple[int, ...], stride: tuple[int, ...]) -> bool:
    """Whether each element has a place of its own and no place is left over."""
    if len(shape) != len(stride) or 0 in shape:
        return False
    due = 1
    for step, size in sorted((step, size) for step, size in zip(stride, shape, strict=True) if size != 1):
        if step != due:
            return False
        due *= size
    return True


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of a shared buffer."""

    buffer: int
    offset: int
    nbytes: int

    @property
    def room(self) -> int:
        """Bytes up to where the next place may begin."""
        return -(-max(self.nbytes, 1) // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True, slots=True)
class News:
    """Buffers that a worker is to hear of with its next request."""

    buffers: tuple[wire.NewBuffer, ...]
    fds: tuple[int, ...]
    dropped: tuple[int, ...]
    """That it will not need again."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A call that lies ready for a worker."""

    frame: wire.Call
    fds: tuple[int, ...]
    places: tuple[Place, ...]
    """Of the storages, in the order of `numbers`."""
    numbers: tuple[int, ...]
    """For each input tensor, the number of its storage."""


class Stage:
    """The shared buffers of one worker. Use it as a context manager."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._buffers: dict[int, SharedBuffer] = {}
        self._unannounced: list[int] = []
        self._dropped: list[int] = []
        self._numbers = itertools.count()
        self._chunk: int | None = None
        self._chunk_bytes = CHUNK_BYTES
        self._used = 0
        self._fresh: int | None = None
        self._fresh_used = 0
        self._places: dict[Hashable, Place] = {}
        self._track: int | None = None

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        for buffer in self._buffers.values():
            buffer.close()
        self._buffers.clear()

    def host_bytes(self) -> int:
        """Host memory in these buffers, which the worker maps too. May be asked from any thread."""
        return (
            sum(buffer.nbytes for buffer in list(self._buffers.values())) if self.device.type == "cpu" else 0
        )

    def lay_out(
        self, case: Hashable, call: Call, outputs: tuple[Meta | None, ...], *, record: bool = False,
        fresh: bool = False,
    ) -> Staged:  # fmt: skip
        """Copy the inputs into their places and poison the places of the outputs.

        `fresh` puts the inputs into a buffer of their own, which the worker cannot see before it gets
        the request; the buffer of the last such call is dropped.
        """
        if self._fresh is not None:
            self._drop(self._fresh)
            self._fresh = None
        if fresh:
            self._fresh = self._reserve_buffer(call)
        tensors = tensors_of(call)
        storages: dict[int, int] = {}
        places: list[Place] = []
        for tensor in tensors:
            key = storage_of(tensor)
            if key not in storages:
                storages[key] = len(places)
                nbytes = tensor.untyped_storage().nbytes()
                place = self._next_fresh(nbytes) if fresh else self._place((case, "in", len(places)), nbytes)
                self.bytes_at(place).copy_(storage_bytes(tensor))
                places.append(place)
        numbers = tuple(storages[storage_of(tensor)] for tensor in tensors)
        specs = tuple(
            spec_of(tensor, places[number]) for tensor, number in zip(tensors, numbers, strict=True)
        )
        slots = tuple(self._slot(case, number, meta) for number, meta in enumerate(outputs))
        self._poison(slots)
        frame = wire.Call(
            number=secrets.randbits(62),
            args=wire.pack(call.args, numbering(tensors)),
            kwargs=wire.pack(call.kwargs, numbering(tensors)),
            tensors=specs,
            outputs=slots,
            buffers=(news := self.news()).buffers,
            dropped=news.dropped,
            record=record,
        )
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return Staged(frame, news.fds, tuple(places), numbers)

    def track(self, nbytes: int) -> int:
        """A buffer with room for a whole block, and for one that is a little larger; it replaces a smaller one, and what was planned
        there is void."""
        if self._track is None or self._buffers[self._track].nbytes < nbytes:
            if self._track is not None:
                self._drop(self._track)
            rounded = 1 << max(nbytes - 1, 0).bit_length()
            self._track = self._new_buffer(rounded if rounded <= ROUNDED_BYTES else nbytes)
        return self._track

    def news(self) -> News:
        """What the worker has not heard of yet; it counts as told."""
        fds = tuple(self._buffers[number].fd for number in self._unannounced)
        if len(fds) > wire.MAX_FDS:
            raise JudgeError(f"one call needs {len(fds)} shared buffers; at most {wire.MAX_FDS}")
        buffers = tuple(wire.NewBuffer(n, self._buffers[n].nbytes) for n in self._unannounced)
        news = News(buffers, fds, tuple(self._dropped))
        self._unannounced.clear()
        self._dropped.clear()
        return news

    def inputs_after(self, staged: Staged) -> tuple[torch.Tensor, ...]:
        """Private copies of the input tensors as the call left them."""
        copies = [_private(self.bytes_at(place)) for place in staged.places]
        return tuple(
            rebuild(copies[number], spec)
            for number, spec in zip(staged.numbers, staged.frame.tensors, strict=True)
        )

    def outputs_after(self, staged: Staged) -> tuple[torch.Tensor | None, ...]:
        """Private copies of the places of the outputs."""
        return tuple(
            None if slot is None else rebuild(_private(self._slot_bytes(slot)), slot)
            for slot in staged.frame.outputs
        )

    def _slot(self, case: Hashable, number: int, meta: Meta | None) -> wire.TensorSpec | None:
        if meta is None:
            return None
        place = self._place((case, "out", number), meta.nbytes)
        return spec_of(meta.like(), place, meta.nbytes)

    def _poison(self, slots: tuple[wire.TensorSpec | None, ...]) -> None:
        for slot in slots:
            if slot is not None and slot.nbytes:
                # A fresh pattern each time: what an earlier call left must not pass for a result.
                room = Place(slot.buffer, slot.offset, Place(slot.buffer, slot.offset, slot.nbytes).room)
                self.bytes_at(room).view(torch.int64).fill_(secrets.randbits(63))

    def _slot_bytes(self, slot: wire.TensorSpec) -> torch.Tensor:
        return self.bytes_at(Place(slot.buffer, slot.offset, slot.nbytes))

    def bytes_at(self, place: Place) -> torch.Tensor:
        """The bytes of a place, as the worker sees them."""
        return self._buffers[place.buffer].part(place.offset, place.nbytes)

    def _place(self, key: Hashable, nbytes: int) -> Place:
        known = self._places.get(key)
        if known is None or known.room < nbytes:
            known = self._places[key] = self._reserve(nbytes)
        return Place(known.buffer, known.offset, nbytes)

    def _reserve(self, nbytes: int) -> Place:
        room = Place(0, 0, nbytes).room
        if self._chunk is None or self._used + room > self._buffers[self._chunk].nbytes:
            self._chunk = self._new_buffer(max(self._chunk_bytes, room))
            self._chunk_bytes = min(2 * self._chunk_bytes, LARGEST_CHUNK_BYTES)
            self._used = 0
        place = Place(self._chunk, self._used, nbytes)
        self._used += room
        return place

    def _new_buffer(self, nbytes: int) -> int:
        number = next(self._numbers)
        self._buffers[number] = create(nbytes, self.device)
        self._unannounced.append(number)
        return number

    def _reserve_buffer(self, call: Call) -> int:
        """A buffer with room for every storage of the call."""
        storages = {storage_of(t): t.untyped_storage().nbytes() for t in tensors_of(call)}
        self._fresh_used = 0
        return self._new_buffer(sum(Place(0, 0, nbytes).room for nbytes in storages.values()))

    def _next_fresh(self, nbytes: int) -> Place:
        assert self._fresh is not None
        place = Place(self._fresh, self._fresh_used, nbytes)
        self._fresh_used += place.room
        return place

    def _drop(self, number: int) -> None:
        self._buffers.pop(number).close()
        if number in self._unannounced:
            self._unannounced.remove(number)
        else:
            self._dropped.append(number)


def _private(shared: torch.Tensor) -> torch.Tensor:
    """A copy that no worker can reach; a small one on the CPU, where it is compared."""
    return shared.cpu() if shared.is_cuda and len(shared) <= HOST_BYTES else shared.clone()


def numbering(tensors: list[torch.Tensor]) -> Any:
    """For `wire.pack`: the number of a tensor among these, None for anything else."""
    numbers = {id(tensor): number for number, tensor in enumerate(tensors)}
    return lambda value: numbers.get(id(value))


def storage_bytes(tensor: torch.Tensor) -> torch.Tensor:
    """All bytes of a tensor's storage."""
    storage = tensor.untyped_storage()
    return torch.empty(0, dtype=torch.uint8, device=tensor.device).set_(storage, 0, (storage.nbytes(),), (1,))


def spec_of(tensor: torch.Tensor, place: Place, nbytes: int | None = None) -> wire.TensorSpec:
    """A tensor whose storage lies at a place."""
    return wire.TensorSpec(
        buffer=place.buffer,
        offset=place.offset,
        nbytes=place.nbytes if nbytes is None else nbytes,
        dtype=str(tensor.dtype).removeprefix("torch."),
        shape=tuple(tensor.shape),
        stride=tuple(tensor.stride()),
        start=int(tensor.storage_offset()),
        conj=tensor.is_conj(),
        neg=tensor.is_neg(),
    )


def rebuild(flat: torch.Tensor, spec: wire.TensorSpec) -> torch.Tensor:
    """The tensor that the spec describes, over a copy of its storage or a slice of a larger copy."""
    dtype: torch.dtype = getattr(torch, spec.dtype)
    typed = flat[: len(flat) - len(flat) % dtype.itemsize].view(dtype)
    tensor = typed.as_strided(spec.shape, spec.stride, typed.storage_offset() + spec.start)
    tensor = torch._conj(tensor) if spec.conj else tensor
    return torch._neg_view(tensor) if spec.neg else tensor
