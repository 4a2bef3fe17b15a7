"""Calls beyond those of a suite: would a mutant that was never caught be right on them too?

They decide only what a survivor is called: trivial like its operator, or missed by the suite.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from backend_bench.cases import Call
from backend_bench.grading import forms, inputs, settings
from backend_bench.grading.choices import arguments, call_of
from backend_bench.grading.inputs import clone_call, map_tensors
from backend_bench.grading.traits import Op, base_name

_BASES = 12
"""Calls of the suite that are varied."""


def probes(op: Op, calls: Sequence[Call], rng: random.Random) -> Iterator[tuple[str, Call]]:
    """Variations of some calls, each with a word on what it varies."""
    for call in rng.sample(list(calls), min(_BASES, len(calls))):
        for what, vary in _VARIATIONS.items():
            varied = vary(op, call, rng)
            if varied is not None:
                yield what, varied
        for what, reform in forms.FORMS.items():
            varied = reform(op, call, rng, rng.randrange(2))
            if varied is not None:
                yield what, varied
        for name in settings.of(op):
            varied = settings.reset(op, call, rng, rng.randrange(4), name=name)
            if varied is not None:
                yield f"another {name}", varied
        yield from _other_settings(op, call)


def _jittered(op: Op, call: Call, rng: random.Random) -> Call | None:
    """Every floating value a little different, of the same sign."""
    if inputs.is_structured(op):
        return None
    generator = torch.Generator().manual_seed(rng.getrandbits(62))

    def change(tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point():
            return tensor
        factor = 1 + 0.25 * torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
        return tensor * factor.to(tensor.device, tensor.dtype)

    return map_tensors(clone_call(call), change)


_VARIATIONS: dict[str, Callable[[Op, Call, random.Random], Call | None]] = {
    "other values": _jittered,
    "special values": inputs.edges,
}


_TRUSTED = frozenset({"training", "train", "num_weights", "N", "C", "HxW", "group"})
"""Arguments that ATen believes on a CPU: sizes, statistics that are not there end the process, and rows beyond the last are somebody else's memory. So
does a dtype that is given as a number, which torch's samples do."""


def _other_settings(op: Op, call: Call) -> Iterator[tuple[str, Call]]:
    """The call with one argument that is no tensor set to something else."""
    if base_name(op).startswith("_"):
        return  # internal operators trust their caller: another number may be a crash
    named = arguments(op, call)
    for argument in op._schema.arguments:
        if argument.name in _TRUSTED or (argument.name == "dtype" and isinstance(named["dtype"], int)):
            continue
        for value in _others(argument.name, named[argument.name]):
            yield f"another {argument.name}", clone_call(call_of(op, named | {argument.name: value}))


def _others(name: str, value: Any) -> tuple[Any, ...]:
    if isinstance(value, bool):
        return (not value,)
    if isinstance(value, int):
        return (value + 1, value - 1, -value)
    if isinstance(value, float):
        return (value * 2 + 0.25, -value)
    if name == "dtype" and (value is None or value.is_floating_point):
        return (torch.float64, torch.float16)
    return ()
