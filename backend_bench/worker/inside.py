"""One life of a worker: ready, load, answer calls, gone.

Runs in the process in which the candidate's code runs. Nothing that it says is trusted; it holds no
expected value, no seed and no other kernel.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch

from backend_bench import together, wire
from backend_bench.buffers import SharedBuffer, open_shared
from backend_bench.gate import Gate
from backend_bench.precise import full_precision
from backend_bench.worker.driver import DRIVER, Ran
from backend_bench.worker.launches import Stretch
from backend_bench.worker.loader import LoadFailed, describe, load
from backend_bench.worker.recorder import Recorder, is_same, needs_launch, overlap
from backend_bench.worker.stopwatch import Course, on_cpu
from backend_bench.worker.watched import Watch
from backend_bench.worker.withheld import noted, operator_of, withhold

_LOOK_S = 5e-5
"""For the next block, before a look at whether this one is over."""

_TOGETHER_BYTES = 1 << 30
"""A block of more is over before the next is queued: both have their results in memory else."""
_TOGETHER_S = 5e-3
"""And one whose calls took longer to queue: they may wait on the host for what they give the device, and would for that of the next."""

_HELD, _HELD_BYTES = 64, 32 << 20
"""How many results of earlier calls are kept, and how large they may be together; one of them a quarter of it."""


def live(channel: wire.Channel, *, device: torch.device, folder: Path) -> None:
    """Answer the judge until it hangs up. The sandbox is closed already."""
    desk = _Desk(device)
    inbox = _Inbox(channel)
    kernel: Callable[..., Any] | None = None
    while True:
        request, fds = inbox.take()
        if isinstance(request, wire.Load):
            kernel, reply = _load(request, folder, desk)
            channel.send(reply)
        elif isinstance(request, wire.Listen):
            DRIVER.listen(late=True)
            channel.send(wire.Loaded(error=DRIVER.lack))
        elif isinstance(request, wire.Clear):
            desk.clear()
            channel.send(wire.Loaded())
        elif isinstance(request, wire.Room):
            desk.make_room(request, fds)
            channel.send(wire.Loaded())
        else:
            assert kernel is not None
            if isinstance(request, wire.Call):
                channel.send(_answer(kernel, request, fds, desk))
            else:
                _answer_blocks(kernel, request, desk, inbox, channel)


def _load(request: wire.Load, folder: Path, desk: _Desk) -> tuple[Callable[..., Any] | None, wire.Loaded]:
    if request.reference:
        packet, overload = request.reference.split(".")
        return getattr(getattr(torch.ops.aten, packet), overload), wire.Loaded()
    if request.own_work and request.language == "pytorch":
        desk.watch = Watch(operator_of(request.function), desk.device.type)
    elif request.own_work:
        withhold(operator_of(request.function), desk.device.type)
        desk.tells_kernels = not DRIVER.lack
    if not DRIVER.is_late:
        DRIVER.take()  # the reference was called here before; what the import has run is told with the first call
    try:
        return load(request.source, request.function, folder, request.language), wire.Loaded()
    except LoadFailed as error:
        return None, wire.Loaded(error=str(error)[: wire.MAX_TEXT] or "the source failed to load")


@dataclass(frozen=True, slots=True)
class _Given:
    """What one call gets."""

    tensors: list[torch.Tensor]
    """All that are among its arguments."""
    args: Any
    kwargs: Any
    slots: list[torch.Tensor | None]
    """Where the judge wants the values of its outputs."""

    def to(self, kernel: Callable[..., Any]) -> Callable[[], Any]:
        """The call."""
        return functools.partial(kernel, *self.args, **self.kwargs)


class _Inbox:
    """Requests one after the other."""

    def __init__(self, channel: wire.Channel) -> None:
        self._channel = channel
        self._next: tuple[Any, list[int]] | None = None

    def take(self) -> tuple[Any, list[int]]:
        """The next request and its descriptors; waits for it."""
        came, self._next = self._next, None
        return came or self._channel.receive_with_fds(
            wire.Load | wire.Listen | wire.Clear | wire.Call | wire.Room | wire.Block
        )

    def follows(self, within_s: float) -> wire.Block | None:
        """The next request, if it comes in that time and is a block; it counts as taken then."""
        if self._next is None:
            if not self._channel.answers(within_s):
                return None
            self._next = self.take()
        request, _ = self._next
        if not isinstance(request, wire.Block):
            time.sleep(within_s)  # nothing will come before that one is answered
            return None
        self._next = None
        return request


class _Desk:
    """The shared buffers, and the tensors of a call on them; who watches the calls."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.watch: Watch | None = None
        self.tells_kernels = False
        """The GPU's kernels must be the candidate's own, and are heard."""
        self.gate: Gate | None = None
        self._lack = "there was none for its buffers before"
        """What kept a buffer from being opened."""
        self.earlier: deque[torch.Tensor] = deque(maxlen=_HELD)
        """Results of the last calls."""
        self._buffers: dict[int, SharedBuffer] = {}
        self._stretches: dict[int, dict[tuple[int, int, str], torch.Tensor]] = {}
        """Of each buffer, what calls have had: the stretch as bytes, and as elements of a dtype. To make one takes longer than many a
        kernel."""
        self._views: dict[int, dict[wire.TensorSpec, torch.Tensor]] = {}
        """And the tensors on them."""

    def ran(self) -> Ran:
        """What the GPU was given since the last call, where that matters."""
        return DRIVER.take() if self.tells_kernels else Ran()

    def make_room(self, request: wire.Room, fds: list[int]) -> None:
        """Whatever blocks will need, as far as it can be had; what cannot is said when one needs it."""
        self.open(request, fds)
        for sort in request.sorts:
            _have(sort)

    def open(self, request: wire.Call | wire.Room, fds: list[int]) -> None:
        """What comes with a request, as far as the kernel has left memory and descriptors for it; the rest is told by `check`."""
        try:
            if isinstance(request, wire.Room) and request.gate:
                self.gate, fds = Gate(fds[0]), fds[1:]
            for number in request.dropped:
                if (known := self._buffers.pop(number, None)) is not None:  # else it could not be opened
                    self._stretches.pop(number, None)
                    self._views.pop(number, None)
                    known.close()
            for new, fd in zip(request.buffers, fds, strict=True):
                self._buffers[new.number] = open_shared(fd, new.nbytes, self.device)
        except (OSError, ValueError, LookupError, RuntimeError, MemoryError) as error:
            self._lack = str(error)  # a descriptor for which there was no room has not even come

    def check(self, request: wire.Call | wire.Block) -> None:
        """Raises `MemoryError` where a buffer, or the gate, could not be opened when it came."""
        calls = request.calls if isinstance(request, wire.Block) else (request,)
        specs = [spec for call in calls for spec in (*call.tensors, *call.outputs) if spec is not None]
        if {spec.buffer for spec in specs} - self._buffers.keys() or (
            isinstance(request, wire.Block) and self.gate is None
        ):
            raise MemoryError(
                f"no room for the inputs of this call, the kernel holds too much ({self._lack})"
            )

    def clear(self) -> None:
        """As it was before the first call, for all that concerns memory."""
        self.earlier.clear()
        self._stretches.clear()
        self._views.clear()
        while self._buffers:
            self._buffers.popitem()[1].close()
        if self.gate is not None:
            self.gate.close()
            self.gate = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def hold(self, result: Any, inputs: list[torch.Tensor]) -> None:
        """Keep the results of the last calls, as a user may, to see whether a later call gives their memory again."""
        for leaf in _leaves(result):
            if (
                type(leaf) is not torch.Tensor
                or not _is_plain(leaf)
                or any(overlap(_span(leaf), _span(each)) for each in inputs)
            ):
                continue
            if _reach(leaf) <= _HELD_BYTES // 4:
                self.earlier.append(leaf)
        while sum(map(_reach, self.earlier)) > _HELD_BYTES:
            self.earlier.popleft()

    def given_to(self, request: wire.Call) -> _Given:
        """What a call gets; tensors that share a stretch of memory share a storage."""
        tensors = [self.tensor(spec) for spec in request.tensors]
        args = wire.unpack(request.args, tensors.__getitem__, _named)
        kwargs = wire.unpack(request.kwargs, tensors.__getitem__, _named)
        slots = [None if spec is None else self.tensor(spec) for spec in request.outputs]
        return _Given(tensors, args, kwargs, slots)

    def tensor(self, spec: wire.TensorSpec) -> torch.Tensor:
        """A new one, on memory that may have been seen before."""
        known = self._views.setdefault(spec.buffer, {})
        if (view := known.get(spec)) is None:
            view = self._elements(spec).as_strided(spec.shape, spec.stride, spec.start)
            view = torch._conj(view) if spec.conj else view
            view = known[spec] = torch._neg_view(view) if spec.neg else view
        # Nobody but us has had the view: a kernel may let autograd write to what it is given.
        return view.detach()

    def _elements(self, spec: wire.TensorSpec) -> torch.Tensor:
        known = self._stretches.setdefault(spec.buffer, {})
        key = (spec.offset, spec.nbytes, spec.dtype)
        if key not in known:
            whole = (spec.offset, spec.nbytes, "")
            if whole not in known:
                known[whole] = self._buffers[spec.buffer].stretch(spec.offset, spec.nbytes)
            flat, dtype = known[whole], getattr(torch, spec.dtype)
            known[key] = flat[: len(flat) - len(flat) % dtype.itemsize].view(dtype)
        return known[key]


def _have(sort: wire.Sort) -> None:
    """Memory of a GPU for the results of a block, and of the next if that is queued meanwhile. It stays with torch, which need not ask the
    driver then: while another process makes a context, that takes 50 ms and not 0.1."""
    times = 2 if sort.nbytes <= _TOGETHER_BYTES else 1
    held: list[int] = []
    try:
        for each in sort.results * times:
            # Past all operators: the one under test may be withheld, and be the very one that makes tensors.
            held += (torch.cuda.caching_allocator_alloc(max(each.nbytes, 1)) for _ in range(each.count))
    except RuntimeError:
        pass  # the calls will say so: if they want as much memory, or if the kernel has broken the device's context
    finally:
        for address in held:
            torch.cuda.caching_allocator_delete(address)


def _named(kind: str, name: str) -> Any:
    if kind == "device":
        return torch.device(name)
    return getattr(torch, name.removeprefix("torch."))


def _answer(kernel: Callable[..., Any], request: wire.Call, fds: list[int], desk: _Desk) -> wire.Done:
    desk.open(request, fds)
    try:
        desk.check(request)
    except MemoryError as error:
        return wire.Done(number=request.number, error=_text_of(error), error_type=_name_of(error))
    given = desk.given_to(request)
    recorder = Recorder(given.tensors) if request.record else None
    if desk.watch is not None:
        desk.watch.begin(given.tensors)
    try:
        # A timed block runs as torch comes; here it would be blamed for what a switch of torch's costs.
        with torch.no_grad(), full_precision() if desk.device.type == "cuda" else contextlib.nullcontext():
            with recorder or contextlib.nullcontext():
                result, elapsed_us = on_cpu(given.to(kernel))
            [copied] = _copied([(request, result, given)])
            done = _done(request, result, given.tensors, copied, desk.earlier)
            desk.hold(result, given.tensors)
            if desk.device.type == "cuda":
                torch.cuda.synchronize()
    except BaseException as error:  # noqa: BLE001  (whatever a kernel raises is its result)
        ran = desk.ran()
        return wire.Done(
            number=request.number,
            error=_text_of(error),
            error_type=_name_of(error),
            operators=_withheld(),
            heard=ran.heard,
        )
    seen = (recorder.calls(result) if recorder else ()) + (desk.watch.end(result) if desk.watch else ())
    ran = desk.ran()
    launched = recorder.launched(result) if recorder else None
    if desk.tells_kernels:
        launched = ran.is_own if needs_launch(result, given.tensors) else None
    return msgspec.structs.replace(
        done,
        elapsed_us=elapsed_us,
        operators=(*seen, *_withheld()),
        launched=launched,
        heard=ran.heard,
    )


def _withheld() -> tuple[wire.OperatorCall, ...]:
    """What the kernel tried to call and could not, in any call and on any thread."""
    return tuple(wire.OperatorCall(op=op, inputs_only=False, returned=False) for op in noted())


def _answer_blocks(
    kernel: Callable[..., Any], request: wire.Block, desk: _Desk, inbox: _Inbox, channel: wire.Channel
) -> None:
    """A block, and those that come while one runs: the next is queued behind its gate before the one before is over."""
    block: _Block | None = _Block(kernel, request, desk)
    while block is not None:
        following = _following(kernel, block, desk, inbox, within_s=0.0)
        block.claim()
        while not block.is_over():
            if following is None and not block.is_single:
                following = _following(kernel, block, desk, inbox, within_s=_LOOK_S)
            else:
                time.sleep(_LOOK_S)
        channel.send(block.answer(desk.ran().heard))
        block = following


def _following(
    kernel: Callable[..., Any], block: _Block, desk: _Desk, inbox: _Inbox, *, within_s: float
) -> _Block | None:
    """The next block, queued, if it comes in that time and there is room for both."""
    told = None if block.is_single else inbox.follows(within_s)
    return None if told is None else _Block(kernel, told, desk)


class _Block:
    """Calls that are queued behind the gate, with the copies of their outputs after them; or what went wrong with that."""

    def __init__(self, kernel: Callable[..., Any], request: wire.Block, desk: _Desk) -> None:
        self._number = request.number
        begun = time.monotonic()
        self._error: tuple[str, str] | None = None
        """Its text and its name; the exception itself would keep what the kernel has made."""
        self._came: list[tuple[tuple[wire.Call, Any, _Given], tuple[bool, ...]]] = []
        self._done: tuple[wire.Done, ...] = ()
        try:
            desk.check(request)
            assert desk.gate is not None
            self._course = Course(desk.gate, request.turn)
            given = [desk.given_to(call) for call in request.calls]
            calls = [each.to(kernel) for each in given]
            with torch.no_grad():
                results = self._course.queue(calls[: request.pause])
                if calls[request.pause :]:
                    results += self._course.queue(calls[request.pause :])
                each = list(zip(request.calls, results, given, strict=True))
                self._came = list(zip(each, _copied(each), strict=True))
                self._course.begin()
        except BaseException as error:  # noqa: BLE001  (whatever a kernel raises is its result)
            self._error = _text_of(error), _name_of(error)
        self.is_single = _bytes_of(request) > _TOGETHER_BYTES or time.monotonic() - begun > _TOGETHER_S
        """It is over before the next one is queued."""

    def claim(self) -> None:
        """Note what came of the calls, and let it go; the device may not have begun with them."""
        try:
            self._done = tuple(
                _done(call, result, had.tensors, copied) for (call, result, had), copied in self._came
            )
        except BaseException as error:  # noqa: BLE001  (a result may be anything)
            self._error = _text_of(error), _name_of(error)
        self._came.clear()

    def is_over(self) -> bool:
        """Whether the device is through with it, or it never will be."""
        try:
            return self._error is not None or self._course.is_over()
        except Exception as error:  # noqa: BLE001  (what a kernel did to the device shows here)
            self._error = _text_of(error), _name_of(error)
            return True

    def answer(self, heard: wire.Heard) -> wire.Timed:
        """The claims, and what the GPU was given since the last answer."""
        elapsed_us = 0.0
        try:
            elapsed_us = 0.0 if self._error else self._course.elapsed_us()
        except Exception as error:  # noqa: BLE001  (as above)
            self._error = _text_of(error), _name_of(error)
        if self._error is not None:
            text, name = self._error
            claims = wire.Timed(number=self._number, error=text, error_type=name)
        else:
            claims = wire.Timed(number=self._number, calls=self._done, elapsed_us=elapsed_us)
        return msgspec.structs.replace(claims, heard=heard)


def _bytes_of(request: wire.Block) -> int:
    """What its calls are given, and what they give."""
    return sum(
        spec.nbytes for call in request.calls for spec in (*call.tensors, *call.outputs) if spec is not None
    )


def _leaves(result: Any) -> tuple[Any, ...]:
    """The outputs; one more than allowed shows that there are too many, a million would not fit a reply."""
    return tuple(result)[: wire.MAX_OUTPUTS + 1] if isinstance(result, (tuple, list)) else (result,)


def _copied(each: Sequence[tuple[wire.Call, Any, _Given]]) -> list[tuple[bool, ...]]:
    """Copy the values of the calls' outputs to where the judge wants them; which of each call's were as he expects them."""
    found, moves = [], []
    for request, result, given in each:
        leaves = _leaves(result)
        specs = (*request.outputs, *(None,) * len(leaves))
        fit = tuple(_fits(leaf, spec) for leaf, spec in zip(leaves, specs, strict=False))
        moves += [(slot, leaf) for slot, leaf, fits in zip(given.slots, leaves, fit, strict=False) if fits]
        found.append(fit)
    _move(moves)
    return found


def _fits(leaf: Any, slot: wire.TensorSpec | None) -> bool:
    if slot is None or type(leaf) is not torch.Tensor or not _is_plain(leaf):
        return False
    return _dtype_of(leaf) == slot.dtype and tuple(leaf.shape) == slot.shape


def _move(moves: Sequence[tuple[Any, torch.Tensor]]) -> None:
    """Through torch itself: an attribute of a result would hide a method of its class."""
    # One operator for all takes a tenth of the time, also for a single one: it is loaded then.
    if moves and all(_moves_with_others(leaf) for _, leaf in moves):
        torch._foreach_copy_([slot for slot, _ in moves], [torch.Tensor.detach(leaf) for _, leaf in moves])
        return
    for slot, leaf in moves:
        torch.Tensor.copy_(slot, torch.Tensor.detach(leaf))


def _moves_with_others(leaf: torch.Tensor) -> bool:
    """Whether torch copies it together with others: it knows neither lazy conjugates there nor every dtype."""
    return leaf.dtype in together.DTYPES and not torch.is_conj(leaf) and not torch.is_neg(leaf)


def _done(
    request: wire.Call,
    result: Any,
    tensors: list[torch.Tensor],
    copied: tuple[bool, ...],
    earlier: Iterable[torch.Tensor] = (),
) -> wire.Done:
    """The claims about a result."""
    spans = list(map(_span, tensors))
    claims = (
        _claim(leaf, tensors, spans, came, earlier)
        for leaf, came in zip(_leaves(result), copied, strict=True)
    )
    single = not isinstance(result, (tuple, list))
    return wire.Done(number=request.number, single=single, outputs=tuple(claims))


def _text_of(error: BaseException) -> str:
    return describe(error)[: wire.MAX_TEXT] or type(error).__name__


def _name_of(error: BaseException) -> str:
    return type(error).__name__[: wire.MAX_NAME]


def _claim(
    leaf: Any,
    inputs: list[torch.Tensor],
    spans: list[Stretch],
    copied: bool,
    earlier: Iterable[torch.Tensor],
) -> wire.OutputClaim:
    """About one output; `spans` are those of the inputs."""
    name = type(leaf).__name__[: wire.MAX_NAME]
    if leaf is None:
        return wire.OutputClaim(kind="none", type_name=name)
    if isinstance(leaf, (bool, int, float, complex)):
        packed = wire.pack(leaf, lambda _: None)
        return wire.OutputClaim(kind="scalar", type_name=name, scalar=packed)
    if not isinstance(leaf, torch.Tensor):
        return wire.OutputClaim(kind="other", type_name=name)
    if type(leaf) is not torch.Tensor:
        return wire.OutputClaim(kind="tensor", type_name=name)  # a subclass may lie about everything else
    if not (plain := _is_plain(leaf)):
        inputs, spans, earlier = [], [], ()
    own = _span(leaf) if plain else _NOWHERE
    return wire.OutputClaim(
        kind="tensor",
        type_name=name,
        plain=plain,
        dtype=_dtype_of(leaf),
        shape=tuple(leaf.shape[: wire.MAX_DIMS]),
        stride=leaf.stride() if plain else (),
        device=leaf.device.type,
        alias=_first(overlap(own, span) for span in spans),
        same=_first(is_same(leaf, given) for given in inputs),
        earlier=any(overlap(own, _span(held)) for held in earlier),
        copied=copied,
    )


def _is_plain(leaf: torch.Tensor) -> bool:
    return leaf.layout == torch.strided and leaf.dim() <= wire.MAX_DIMS


def _dtype_of(leaf: torch.Tensor) -> str:
    return _name_of_dtype(leaf.dtype)


@functools.cache
def _name_of_dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


_NOWHERE = (0, 0)


def _span(tensor: torch.Tensor) -> Stretch:
    """Where its first byte is, and the one after its last; nowhere without elements."""
    if tensor.numel() == 0:
        return _NOWHERE
    first = tensor.data_ptr()
    return first, first + _reach(tensor)


def _reach(tensor: torch.Tensor) -> int:
    """Bytes from its first element to its last."""
    if tensor.is_contiguous():
        return tensor.numel() * tensor.element_size()
    span = sum((size - 1) * abs(stride) for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return (span + 1) * tensor.element_size()


def _first(found: Iterable[bool]) -> int | None:
    return next((number for number, is_it in enumerate(found) if is_it), None)
