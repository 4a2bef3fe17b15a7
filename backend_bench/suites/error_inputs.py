"""Arguments that an operator refuses: OpInfo's error inputs, as far as they come down to one ATen call.

Kept are calls that ATen refuses for their shapes, dtypes or settings, whatever the values are: no kernel has to look
at values before it starts, and on a GPU none could without waiting. Refusals of torch's public functions, before ATen
is reached, are not the operator's.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from backend_bench.cases import Call
from backend_bench.operator import Operator
from backend_bench.suites.arguments import Arguments, DeviceName, Value, parse, render
from backend_bench.suites.calls import Unspeakable, describe, snapshot
from backend_bench.suites.recordings import mapped
from backend_bench.suites.samples import error_samples, infos, one_thread
from backend_bench.suites.tracing import Traced, trace_until_refused
from backend_bench.suites.trials import refusal_of_form, trial
from backend_bench.suites.values import draw_call, seed_of

MOST_CASES = 8
"""Of one operator. OpInfo has up to ten, and most differ in one number."""
_WITNESS = "cpu"
"""Where ATen is asked: it refuses there before it touches memory, on every machine, for every device."""


def error_inputs(device: str) -> dict[Operator, tuple[str, ...]]:
    """By operator, the arguments that it refuses, with its tensors on the device."""
    found: dict[Operator, dict[str, None]] = defaultdict(dict)
    with one_thread():
        for name in infos():
            for op, text in _refused(name):
                found[op].setdefault(text)
    kept = {
        op: [text for text in texts if _is_refused_always(op, parse(text))] for op, texts in found.items()
    }
    return {
        op: tuple(render(_placed(parse(text), device)) for text in texts[:MOST_CASES])
        for op, texts in kept.items()
        if texts
    }


def draw_error_input(op: Operator, text: str, device: str, seed: int) -> Call:
    """The call with any values: none would make it a right one."""
    return draw_call(parse(text), device, seed_of(seed, op, text))


def _refused(name: str) -> Iterator[tuple[Operator, str]]:
    """The ATen calls at which the error inputs of an OpInfo end, where there was no other call before."""
    for function, sample in error_samples(name, _WITNESS):
        traced = _traced(function, sample)
        if len(traced) == 1 and traced[0].call is not None:
            with contextlib.suppress(Unspeakable):
                yield traced[0].op, describe(traced[0].call)


def _traced(function: Callable[..., Any], sample: Any) -> list[Traced]:
    try:
        return trace_until_refused(
            function, snapshot(Call((sample.input, *sample.args), dict(sample.kwargs)))
        )
    except Unspeakable:
        return []


def _is_refused_always(op: Operator, arguments: Arguments) -> bool:
    """Whether shapes alone are refused, and two draws of values as well."""
    return bool(refusal_of_form(op, arguments)) and all(
        trial(op, arguments, lambda: draw_error_input(op, render(arguments), _WITNESS, seed)).refusal  # noqa: B023
        for seed in range(2)
    )


def _placed(arguments: Arguments, device: str) -> Arguments:
    def change(value: Value) -> Value:
        return DeviceName(device) if isinstance(value, DeviceName) else value

    return mapped(arguments, change)
