"""Numbers that a sample draws at random, such as a threshold: held to what the index says.

A case is known by its text, and a text that changed with the seed could not be listed beforehand.
"""

from __future__ import annotations

from typing import Any

from backend_bench.cases import Call
from backend_bench.suites.arguments import Value, parse


def differ_in_numbers(text: str, other: str) -> bool:
    """Whether two texts are the same call but for floating (or complex) numbers in it."""
    one, two = parse(text), parse(other)
    return _alike(one.args, two.args) and _alike(one.kwargs, two.kwargs)


def _alike(value: Value, other: Value) -> bool:
    if type(value) is not type(other):
        return False
    if isinstance(value, float | complex):
        return True
    if isinstance(value, tuple | list) and isinstance(other, tuple | list):
        return len(value) == len(other) and all(map(_alike, value, other))
    if isinstance(value, dict) and isinstance(other, dict):
        return value.keys() == other.keys() and all(_alike(value[key], other[key]) for key in value)
    return value == other


def with_numbers_of(call: Call, text: str) -> Call:
    """The call with the floating numbers of the text, which must differ in nothing else."""
    said = parse(text)
    return Call(
        tuple(_taken(*pair) for pair in zip(call.args, said.args, strict=True)),
        {name: _taken(value, said.kwargs[name]) for name, value in call.kwargs.items()},
    )


def _taken(value: Any, said: Value) -> Any:
    if isinstance(said, float | complex):
        return said
    if isinstance(said, tuple | list):
        return type(value)(_taken(*pair) for pair in zip(value, said, strict=True))
    return value
