"""Single elements that decide what is summed up, so that a part of a long line does not stand for the whole.

Does not say what a right answer is; a draw with spikes counts only if `oracle.admissible` finds that it can be judged.
"""

from __future__ import annotations

import math
import random

import torch
from torch import Tensor

from backend_bench.cases import Call
from backend_bench.grading.choices import arguments
from backend_bench.grading.inputs import clone_call, is_changeable, tensors_of
from backend_bench.grading.traits import Op, base_name, names

_ADDS_UP = names(
    "sum mean nansum var std var_mean std_mean linalg_vector_norm norm dist mse_loss l1_loss smooth_l1_loss huber_loss"
    " native_layer_norm native_group_norm native_batch_norm _native_batch_norm_legit _batch_norm_with_update"
    " _native_batch_norm_legit_functional cudnn_batch_norm _fused_rms_norm logsumexp _adaptive_avg_pool2d"
    " softmax _softmax log_softmax _log_softmax"
)
"""Operators of sums in which terms do not cancel, or of statistics: of a long line a part has nearly the same."""
_ADDS_AS_IT_IS = names("sum mean nansum l1_loss smooth_l1_loss huber_loss _adaptive_avg_pool2d")
"""Those among them that add no powers."""
_POWERS = ("ord", "p")
"""What a norm calls its power."""
_STEEPEST = 4
"""Of larger powers a spike's would be no number."""
_FEWEST = 128
_SAMPLE = 256
_SPIKES = 8
"""How many there are at most: of many, a part would stand for all again."""
_PLAIN_HALF, _SQUARED_HALF = 4096.0, 200.0
"""The largest spikes of float16, for sums and for squares to be numbers."""


def spiked(op: Op, call: Call, rng: random.Random) -> Call | None:
    """The call with spikes, as `spike` makes them; None where it has none."""
    if base_name(op) not in _ADDS_UP:
        return None
    copy = clone_call(call)
    return copy if spike(op, copy, rng) else None


def spike(op: Op, call: Call, rng: random.Random) -> bool:
    """Make a few elements of one of the largest tensors, in place, as large as all others together; whether there are any.

    With values that look alike everywhere, every second element has the variance of all of them within a short mantissa. Nobody knows
    where the spikes are.
    """
    power = _power(op, call)
    if base_name(op) not in _ADDS_UP or power > _STEEPEST:
        return False
    able = [
        tensor
        for tensor in tensors_of(call)
        if tensor.is_floating_point() and tensor.element_size() > 1 and is_changeable(tensor)
    ]
    count = max((tensor.numel() for tensor in able), default=0)
    if count < _FEWEST:
        return False
    target = rng.choice([tensor for tensor in able if tensor.numel() == count])
    generator = torch.Generator(target.device).manual_seed(rng.getrandbits(62))

    def anywhere(number: int) -> tuple[Tensor, ...]:
        places = torch.randint(count, (number,), generator=generator, device=target.device)
        return torch.unravel_index(places, target.shape)

    height = 3 * count ** (1 / min(power, 2)) * target[anywhere(_SAMPLE)].abs().mean().float()
    if target.dtype is torch.float16:
        height = height.clamp(max=_PLAIN_HALF if power == 1 else _SQUARED_HALF)
    chosen = anywhere(rng.randint(1, _SPIKES))
    signs = torch.where(target[chosen] < 0, -1.0, 1.0)
    # Of two alike, one stands for both.
    uneven = 0.5 + torch.rand(signs.shape, generator=generator, device=target.device) / 2
    target[chosen] = (signs * uneven * height).to(target.dtype)
    return True


def _power(op: Op, call: Call) -> float:
    """Of the elements, as they are added up."""
    given = arguments(op, call)
    power = next((given[name] for name in _POWERS if isinstance(given.get(name), (int, float))), None)
    if power is not None and math.isfinite(power):
        return max(float(power), 1.0)
    return 1.0 if base_name(op) in _ADDS_AS_IT_IS else 2.0
