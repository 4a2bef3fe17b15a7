"""What a person is shown of a wrong result: a few values around its worst element, and the inputs there.

Text only, a handful of elements; says nothing about right or wrong.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from backend_bench.cases import Call
from backend_bench.grading.inputs import tensors_of
from backend_bench.verdict import Example

_BESIDE = 2
"""Elements that are shown on either side of the worst one, along the last dimension."""
_WHOLE = 8
"""Elements of an input that is shown whole."""
_INPUTS = 6
"""Inputs that are shown."""


def example_of(
    result: str, right: Tensor, flat: int, reference: Tensor, value: Tensor, excess: float | None
) -> Example:
    """The worst element, at `flat` in row-major order, and its neighbours along the last dimension."""
    place = tuple(int(index) for index in torch.unravel_index(torch.tensor(flat), right.shape))
    first, window = _window(place, reference.shape)
    beside = zip(reference[window].reshape(-1).tolist(), value[window].reshape(-1).tolist(), strict=True)
    shown = [show_apart(one, other) for one, other in beside]
    return Example(
        result=result,
        place=place,
        shape=tuple(reference.shape),
        wrong=int((~right).sum()),
        total=right.numel(),
        first=first,
        expected=tuple(expected for expected, _ in shown),
        got=tuple(got for _, got in shown),
        excess=excess if excess is not None and math.isfinite(excess) else None,
    )


def with_inputs(example: Example, call: Call) -> Example:
    """The example with the call's inputs: small ones whole, larger ones where they meet the worst element."""
    told = (_input(number, tensor, example) for number, tensor in enumerate(tensors_of(call)[:_INPUTS]))
    return replace(example, inputs=tuple(text for text in told if text))


def _input(number: int, tensor: Tensor, example: Example) -> str:
    """Empty where no element of the input can be said to stand at the worst one's place."""
    shape, place = list(tensor.shape), example.place
    if tensor.layout is not torch.strided:
        return ""
    if tensor.numel() <= _WHOLE:
        return f"input {number} {shape}: {', '.join(_values(tensor.reshape(-1))) or 'no elements'}"
    if place and tuple(tensor.shape[:-1]) == example.shape[:-1] and tensor.shape[-1] != example.shape[-1]:
        place = (*place[:-1], 0)  # of the same row, such as the one that was reduced or multiplied
    else:
        try:
            tensor = tensor.expand(example.shape)
        except RuntimeError:
            return ""
    first, window = _window(place, tensor.shape)
    return f"input {number} {shape} from {[*place[:-1], first]}: {', '.join(_values(tensor[window]))}"


def _window(place: tuple[int, ...], shape: torch.Size) -> tuple[int, tuple[int | slice, ...]]:
    """Index along the last dimension at which the window begins, and the index of the window."""
    if not place:
        return 0, ()
    first = max(place[-1] - _BESIDE, 0)
    return first, (*place[:-1], slice(first, min(place[-1] + _BESIDE + 1, shape[-1])))


def _values(tensor: Tensor) -> tuple[str, ...]:
    return tuple(show(item) for item in tensor.reshape(-1).tolist())


def show(item: object, digits: int = 6) -> str:
    """One element as text; a zero has no sign, since none is compared."""
    if item == 0 and not isinstance(item, bool):
        return "0"
    return f"{item:.{digits}g}" if isinstance(item, (float, complex)) else str(item)


def show_apart(one: object, other: object) -> tuple[str, str]:
    """Two elements, with as many digits as tell them apart: six, or as many as float32 or float64 has."""
    for digits in (6, 9, 17):
        texts = show(one, digits), show(other, digits)
        if texts[0] != texts[1] or one == other:
            break
    return texts
