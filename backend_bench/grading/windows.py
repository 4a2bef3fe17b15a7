"""Calls of windows and of other sizes of images, in which not all dimensions are alike.

Like all forms, they count only where ATen accepts them and the oracle can judge them.
"""

from __future__ import annotations

import random

from backend_bench.cases import Call
from backend_bench.grading.choices import arguments, call_of
from backend_bench.grading.inputs import (
    clone_call,
    map_tensors,
    tensors_of,
)
from backend_bench.grading.sizes import entangled
from backend_bench.grading.traits import Op, base_name, names

_DILATES = names("convolution im2col")
"""Operators of windows; a pool's may come to lie wholly in the padding, where ATen itself is at a loss."""


def dilated(op: Op, call: Call, rng: random.Random, turn: int = 0) -> Call | None:
    """The call of a window with twice the dilation."""
    if base_name(op) not in _DILATES:
        return None
    given = arguments(op, call)
    return call_of(
        op, arguments(op, clone_call(call)) | {"dilation": [2 * step for step in given["dilation"]]}
    )


SCALES = ("scales", "scales_d", "scales_h", "scales_w")
"""Of images. With a smaller one, or a result that is larger than it says, ATen would read what lies behind its input."""
_LISTS = ("kernel_size", "stride", "padding", "dilation", "output_padding", "output_size", "pad")
"""Arguments that have a number for each dimension of a window, an edge or a result."""
_COUNTS = ("padding", "output_padding", "pad")
"""Those among them that may be nought."""


def lists(op: Op) -> list[str]:
    """The arguments of `op` that can be made uneven; what runs backwards believes what it is given."""
    if "backward" in base_name(op):
        return []
    return [argument.name for argument in op._schema.arguments if argument.name in _LISTS]


def uneven(op: Op, call: Call, rng: random.Random, turn: int = 0, *, name: str) -> Call | None:
    """The call of a window with another number for one of its dimensions than for the others, be it the first or the last; where they are
    not alike, the other way round."""
    given = arguments(op, call)
    numbers = given[name]
    if not isinstance(numbers, (list, tuple)) or len(numbers) < (1 if name == "output_size" else 2):
        return None
    is_scaled = name == "output_size" and any(given.get(scale) is not None for scale in SCALES)
    if len(set(numbers)) > 1 and not is_scaled:
        return clone_call(call_of(op, given | {name: [*reversed(numbers)]}))
    place = rng.choice((0, -1))
    number = numbers[place]
    # Fewer places of a result: for more of them ATen would read what lies behind its input, where scales are given.
    least = 0 if name in _COUNTS else 1
    if name == "dilation":
        other = number + 1
    elif number > least:
        other = number - 1
    else:
        other = number + (name != "output_size")
    changed = list(numbers)
    changed[place] = other
    return clone_call(call_of(op, given | {name: changed})) if other != number else None


def oblong(op: Op, call: Call, rng: random.Random, turn: int = 0) -> Call | None:
    """The call of a window, or of another size, on an image that is not square: of its last dimension a part. Where it is scaled, so is that."""
    if not lists(op) or entangled(call):
        return None
    copy = clone_call(call)
    image = tensors_of(copy)[0]
    if image.dim() < 3 or not image.numel() or image.shape[-1] != image.shape[-2]:
        return None
    width = max(1, image.shape[-1] * 2 // 3)
    part = image[..., :width].clone()
    cut = map_tensors(copy, lambda tensor: part if tensor is image else tensor)
    given = arguments(op, cut)
    if given.get("scales_w") is None:
        return cut
    # A GPU's kernels read by the scale, behind their input where the result is larger than it says.
    scaled = max(1, int(width * given["scales_w"]))
    return call_of(op, given | {"output_size": [*given["output_size"][:-1], scaled]})


def skipping(op: Op, call: Call, rng: random.Random, turn: int = 0) -> Call | None:
    """The call of a window with such steps that the last one would begin beyond the edge, were it not left out (`ceil_mode`)."""
    given = arguments(op, call)
    if "ceil_mode" not in given or not lists(op) or entangled(call):
        return None
    image, kernel, padding = tensors_of(call)[0], given["kernel_size"], given["padding"]
    steps = [image.shape[dim - len(kernel)] + padding[dim % len(padding)] for dim in range(len(kernel))]
    stride = [*(given["stride"] or kernel)]
    stride = [stride[dim % len(stride)] for dim in range(len(kernel))]
    stride[turn - 1] = steps[turn - 1]
    return clone_call(call_of(op, given | {"stride": stride, "ceil_mode": True}))
