"""Does a call keep the promise that the index made? Numbers that a sample draws at random are held to the text.

A case is known by its text, and a text that changed with the seed could not be listed beforehand. Free are floating
numbers everywhere, and whole ones where the schema asks for a `Scalar`: sizes and dimensions are not.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable
from typing import Any

from backend_bench.cases import Call
from backend_bench.operator import Operator
from backend_bench.suites.arguments import Value, parse
from backend_bench.suites.calls import Unspeakable, describe
from backend_bench.suites.catalog import resolve


def fitting(op: Operator, call: Call, text: str) -> Call | None:
    """The call if it is what the text says, with the text's numbers where it drew others; else None."""
    try:
        drawn = describe(call)
    except Unspeakable:
        return None
    if drawn == text:
        return call
    return _with_numbers_of(op, call, text) if _differ_in_numbers(op, drawn, text) else None


def _differ_in_numbers(op: Operator, text: str, other: str) -> bool:
    """Whether two texts are the same call but for numbers that a sample may draw."""
    one, two = parse(text), parse(other)
    if len(one.args) != len(two.args) or one.kwargs.keys() != two.kwargs.keys():
        return False
    free = _scalars(op)
    pairs: list[tuple[Hashable, Value, Value]] = [
        *((number, *pair) for number, pair in enumerate(zip(one.args, two.args, strict=True))),
        *((name, one.kwargs[name], two.kwargs[name]) for name in one.kwargs),
    ]
    return all(
        (key in free and _are_numbers(value, twin)) or _alike(value, twin) for key, value, twin in pairs
    )


def _with_numbers_of(op: Operator, call: Call, text: str) -> Call:
    """The call with the numbers of the text, which must differ in nothing else."""
    said, free = parse(text), _scalars(op)

    def taken(key: Hashable, value: Any, twin: Value) -> Any:
        return twin if key in free and _are_numbers(value, twin) else _taken(value, twin)

    args = zip(call.args, said.args, strict=True)
    return Call(
        tuple(taken(number, *pair) for number, pair in enumerate(args)),
        {name: taken(name, value, said.kwargs[name]) for name, value in call.kwargs.items()},
    )


@functools.cache
def _scalars(op: Operator) -> frozenset[Hashable]:
    """Arguments of schema type Scalar, by position and by name."""
    arguments = resolve(op)._schema.arguments
    return frozenset(
        key
        for number, argument in enumerate(arguments)
        if str(argument.type) in ("number", "Optional[number]")
        for key in (number, argument.name)
    )


def _are_numbers(value: Any, other: Value) -> bool:
    return type(value) is type(other) and isinstance(value, int | float | complex)


def _alike(value: Value, other: Value) -> bool:
    if type(value) is not type(other):
        return False
    if isinstance(value, float | complex):
        return True
    if isinstance(value, tuple | list) and isinstance(other, tuple | list):
        return len(value) == len(other) and all(map(_alike, value, other))
    return value == other


def _taken(value: Any, said: Value) -> Any:
    if isinstance(said, float | complex):
        return said
    if isinstance(said, tuple | list):
        return type(value)(_taken(*pair) for pair in zip(value, said, strict=True))
    return value
