"""Can a recorded call be made on this device, and what would it cost there?

Costs are worked out from shapes, never measured: every machine must choose the same cases. On a CPU the call is
then made once, so that no case is offered that ATen refuses.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from backend_bench.cases import Call
from backend_bench.errors import JudgeError
from backend_bench.operator import Operator
from backend_bench.submission import Device
from backend_bench.suites.arguments import Arguments, TensorSpec, render
from backend_bench.suites.calls import build, dtype_of, tensors_of
from backend_bench.suites.catalog import resolve
from backend_bench.suites.domains import admit
from backend_bench.suites.recordings import flat
from backend_bench.suites.values import draw_call

_REFUSALS = (
    RuntimeError,
    TypeError,
    ValueError,
    IndexError,
    NotImplementedError,
    AssertionError,
    OverflowError,
)
"""What ATen raises when it will not run on such arguments."""
_TRIAL_SEED = 0
_UNKNOWN_OUTPUT = 4
"""Where shapes of results follow from values, as many bytes as the inputs have, times this."""

_NS_PER_ELEMENT = 3.0
"""What one thread of a server CPU needs for one element of an ordinary operator in half precision."""
_MOST_SCALE = 1000.0
"""What a picture is enlarged or reduced by at most; FACTO draws any number."""
_HEAVY: Mapping[str, float] = {
    "max_pool2d_with_indices": 25.0,
    "avg_pool2d": 15.0,
    "upsample_bicubic2d": 25.0,
    "upsample_bilinear2d": 10.0,
    "grid_sampler_2d": 20.0,
    "grid_sampler_2d_backward": 40.0,
    "native_batch_norm": 6.0,
    "topk": 30.0,
    "sort": 80.0,
}
"""The same for operators that do more with each."""
_NS_PER_FLOP: Mapping[int, float] = {2: 0.8, 4: 0.07, 8: 0.14}
"""By bytes of an element: matrix products in half precision have no instructions of their own on most CPUs."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call takes."""

    input_bytes: int
    """Memory of its tensors, gaps between strides included."""
    output_bytes: int
    """Memory of its results."""
    cpu_ms: float
    """Rough time of ATen on one thread of a CPU."""

    @property
    def bytes(self) -> int:
        return self.input_bytes + self.output_bytes


def bytes_of(spec: TensorSpec) -> int:
    """Memory from a tensor's first element to its last."""
    width = dtype_of(spec.dtype).itemsize
    if spec.stride is None or spec.elements == 0:
        return spec.elements * width
    return width * (1 + sum((size - 1) * step for size, step in zip(spec.shape, spec.stride, strict=True)))


def input_bytes(arguments: Arguments) -> int:
    """Memory of all tensors of the call."""
    return sum(bytes_of(value) for value in flat(arguments) if isinstance(value, TensorSpec))


def cost(op: Operator, arguments: Arguments) -> Cost | str:
    """What the call takes, or why it cannot be made at all; nothing is allocated."""
    taken = input_bytes(arguments)
    specs = [value for value in flat(arguments) if isinstance(value, TensorSpec)]
    try:
        with _quiet():
            call = build(arguments, _shape_only)
        refusal = _refused_writes(op, call)
        if refusal:
            return refusal
        results = _run(op, _named_for("meta", call))
        if any(tensor.shape != spec.shape for tensor, spec in zip(tensors_of(call), specs, strict=True)):
            return "it gives its argument another shape, which no kernel can"
    except NotImplementedError:
        # No shapes without values: neither the memory nor the refusals are known before it runs.
        return Cost(taken, taken * _UNKNOWN_OUTPUT, taken * _NS_PER_ELEMENT / 1e6)
    except _REFUSALS as problem:
        return _first_line(problem)
    outputs = [result for result in _leaves(results) if isinstance(result, Tensor)]
    given = sum(result.numel() * result.element_size() for result in outputs)
    return Cost(taken, given, _cpu_ms(op, call, outputs))


def is_here(device: Device) -> bool:
    """Whether calls can be made on it; one that is not here is trusted."""
    return device == "cpu" or torch.cuda.is_available()


def refusal(op: Operator, arguments: Arguments, device: Device) -> str:
    """Why ATen does not make the call on the device, empty where it does. A device that is not here is trusted."""
    if not is_here(device):
        return ""
    if fault := _known_fault(op, arguments, device):
        return fault
    return trial(
        op, arguments, lambda: admit(op, draw_call(arguments, device, _TRIAL_SEED), _TRIAL_SEED)
    ).refusal


def refusal_of_form(op: Operator, arguments: Arguments) -> str:
    """What ATen says to shapes, dtypes and settings that it refuses whatever the values are.

    Empty where it takes them, and where it cannot tell without values. Nothing is allocated.
    """
    try:
        with _quiet():
            call = build(arguments, _shape_only)
        _run(op, _named_for("meta", call))
    except NotImplementedError:
        return ""
    except _REFUSALS as problem:
        return _first_line(problem)
    return ""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of a call that was made once."""

    results: tuple[Tensor, ...] = ()
    """The tensors that it gave."""
    refusal: str = ""
    """Why ATen did not make it, else empty."""


def trial(op: Operator, arguments: Arguments, draw: Callable[[], Call], *, within: bool = False) -> Trial:
    """Draw the call and make it; not one that ATen makes without looking where it reads.

    `within`: what the CPU refuses is not asked of a GPU, which says nothing of an index that is out of range and is of no use after it.
    """
    if fault := _wild_scale(op, arguments) or _empty_windows(op, arguments) or _none_of_one(op, arguments):
        return Trial(refusal=fault)
    try:
        with _quiet():
            call = draw()
            if within and (refused := _refused_by_cpu(op, call)):
                return Trial(refusal=refused)
            given = _run(op, call)
            if within and any(tensor.is_cuda for tensor in tensors_of(call)):
                torch.cuda.synchronize()  # else the next call would be blamed for what this one breaks
    except torch.OutOfMemoryError:
        return Trial()  # the device is small or busy; another one must not choose other cases for that
    except _REFUSALS as problem:
        if "CUDA error" in str(problem):
            broken = f"{op}: the device broke on {render(arguments)}: {_first_line(problem)}"
            raise JudgeError(broken) from problem
        return Trial(refusal=_first_line(problem))
    results = tuple(leaf for leaf in _leaves(given) if isinstance(leaf, Tensor))
    return Trial(results, _wrong_places(op, call, results))


def _refused_by_cpu(op: Operator, call: Call) -> str:
    """What the CPU says to the same values; nothing where it takes them in float32, and only its kernel is missing."""
    try:
        _run(op, _on_cpu(call))
    except _REFUSALS as problem:
        try:
            _run(op, _on_cpu(call, torch.float32))
        except _REFUSALS:
            return _first_line(problem)
    return ""


def _named(op: Operator, arguments: Arguments) -> dict[str, Any]:
    """What was given, by the schema's names."""
    names = [argument.name for argument in resolve(op)._schema.arguments]
    return dict(zip(names, arguments.args, strict=False)) | arguments.kwargs


def _wild_scale(op: Operator, arguments: Arguments) -> str:
    """Resizing: ATen divides by a scale and takes what comes out for a place; from 5e-324 or infinity that is any place in memory."""
    if "upsample" not in op.base:
        return ""
    scales = [abs(value) for value in flat(arguments) if isinstance(value, float)]
    if all(1 / _MOST_SCALE <= scale <= _MOST_SCALE for scale in scales):
        return ""
    return f"its scale is beyond {_MOST_SCALE:g}, and ATen reads outside the picture for it"


def _empty_windows(op: Operator, arguments: Arguments) -> str:
    """Resizing with a filter: a scale that does not fit the sizes puts a window beside all pixels.

    What ATen gives there is what was in the memory before.
    """
    if not (op.base.startswith("_upsample") and "_aa" in op.base):
        return ""
    given = _named(op, arguments)
    picture = given.get("input_size") or next(
        value.shape for value in arguments.args if isinstance(value, TensorSpec)
    )
    sizes = zip(
        picture[-2:], given["output_size"], (given.get("scales_h"), given.get("scales_w")), strict=True
    )
    for size, wanted, scale in sizes:
        if scale is not None and (wanted - 0.5) / scale - max(1.0, 1.0 / scale) >= size:
            return "its scale puts windows beside the picture, and ATen gives anything there"
    return ""


def _none_of_one(op: Operator, arguments: Arguments) -> str:
    """No element of a tensor without dimensions: the result has one, and on a GPU nobody writes it."""
    if op.base != "topk":
        return ""
    given = _named(op, arguments)
    return "on a GPU, ATen gives its memory as it was" if not given["self"].shape and not given["k"] else ""


def _wrong_places(op: Operator, call: Call, results: Sequence[Tensor]) -> str:
    """Pooling: a dilated window may lie wholly in the padding, and ATen then names a place that there is not."""
    if op.base not in ("max_pool2d_with_indices", "max_pool3d_with_indices"):
        return ""
    (source, *_), (_, places) = tensors_of(call), results
    plane = math.prod(source.shape[-2 if "2d" in op.base else -3 :])
    outside = bool(((places < 0) | (places >= plane)).any())
    return "ATen names a place outside the picture" if outside else ""


def drops(op: Operator, arguments: Arguments) -> bool:
    """Whether the call drops elements at random."""
    given = _named(op, arguments)
    return bool(given.get("dropout_p", 0.0))


def _known_fault(op: Operator, arguments: Arguments, device: Device) -> str:
    """What ATen does wrong without saying so."""
    if device == "cpu" and op.base in ("grid_sampler_2d", "grid_sampler_2d_backward"):
        places = [value for value in flat(arguments) if isinstance(value, TensorSpec)]
        dtype = dtype_of(places[0].dtype)
        # It counts pixels in the tensor's dtype: beyond 2048 float16 has no odd numbers, beyond 65504 none at all.
        if dtype.itemsize == 2 and math.prod(places[-2].shape[2:]) > 2 / torch.finfo(dtype).eps:
            return f"ATen reads outside the picture in {dtype}".replace("torch.", "")
    return ""


def _run(op: Operator, call: Call) -> Any:
    with torch.no_grad(), _quiet():
        return resolve(op)(*call.args, **call.kwargs)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What torch thinks of old dtypes and layouts is no news to whoever recorded them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _shape_only(spec: TensorSpec) -> Tensor:
    dtype = dtype_of(spec.dtype)
    if spec.stride is None:
        return torch.empty(spec.shape, dtype=dtype, device="meta")
    return torch.empty_strided(spec.shape, spec.stride, dtype=dtype, device="meta")


def _on_cpu(call: Call, floating: torch.dtype | None = None) -> Call:
    """The same values, and the device argument, if it has one, on the CPU; floating ones in another dtype."""

    def moved_tensor(tensor: Tensor) -> Tensor:
        there = tensor.cpu()
        return there.to(floating) if floating is not None and there.is_floating_point() else there

    return _named_for("cpu", Call(*tree_map_only(Tensor, moved_tensor, (call.args, call.kwargs))))


def _named_for(device: str, call: Call) -> Call:
    """The call with its device argument, if it has one, where its tensors are."""
    moved = {"device": torch.device(device)} if call.kwargs.get("device") is not None else {}
    return Call(call.args, call.kwargs | moved)


def _refused_writes(op: Operator, call: Call) -> str:
    """Several elements in one place, and the operator writes to them: the order would decide."""
    schema = resolve(op)._schema.arguments
    named = dict(zip((argument.name for argument in schema), call.args, strict=False)) | call.kwargs
    for argument in schema:
        value = named.get(argument.name)
        written = argument.alias_info is not None and argument.alias_info.is_write
        if written and isinstance(value, Tensor) and _overlaps_itself(value):
            return f"{argument.name} is written and has several elements in one place"
    return ""


def _overlaps_itself(tensor: Tensor) -> bool:
    reach = 0
    for step, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size > 1:
            if step <= reach:
                return True
            reach += (size - 1) * step
    return False


def _leaves(value: Any) -> list[Any]:
    return [leaf for item in value for leaf in _leaves(item)] if isinstance(value, tuple | list) else [value]


def _first_line(problem: Exception) -> str:
    return str(problem).strip().splitlines()[0][:200] if str(problem).strip() else type(problem).__name__


# ---- time on a CPU -------------------------------------------------------------------------------


def _cpu_ms(op: Operator, call: Call, outputs: list[Tensor]) -> float:
    tensors = list(tensors_of(call))
    elements = sum(tensor.numel() for tensor in (*tensors, *outputs))
    width = max((tensor.element_size() for tensor in outputs), default=4)
    flops = _flops(op.base, tensors, outputs)
    ns = elements * _HEAVY.get(op.base, _NS_PER_ELEMENT) + flops * _NS_PER_FLOP.get(width, 0.1)
    return ns / 1e6


def _flops(name: str, tensors: list[Tensor], outputs: list[Tensor]) -> int:
    """Multiplications and additions of a matrix product or a convolution; none for anything else."""
    match name:
        case "mm" | "bmm" | "addmm" | "baddbmm":
            return 2 * outputs[0].numel() * tensors[-2].shape[-1]
        case "convolution":
            source, weight = tensors[0], tensors[1]
            return 2 * max(_places(source), _places(outputs[0])) * weight.numel()
        case "convolution_backward":
            _, source, weight = tensors[:3]
            return 4 * max(_places(source), _places(tensors[0])) * weight.numel()
        case _:
            return 0


def _places(image: Tensor) -> int:
    """Pixels of a batch of images."""
    return math.prod(image.shape[:1]) * math.prod(image.shape[2:])
