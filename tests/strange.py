"""Strange JSON and strange frames, for hypothesis: what a worker could send if it wanted to."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

TEXTS = st.text(max_size=40) | st.sampled_from(
    ["", "\x00", "\x1b[2J\x1b]0;owned\x07", "\u202e", "nan", "inf", "float32", "torch.float32", "9" * 5000, "a" * 200_000]
)  # fmt: skip
NUMBERS = (
    st.integers()
    | st.sampled_from([0, -1, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**300])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([1e308, -1e308, 5e-324, -0.0])
)
"""NaN and infinity are no JSON; `RAW_NUMBERS` has what stands in their place."""
RAW_NUMBERS = st.sampled_from(
    [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"0x10", b"1" * 5000, b"1_0", b"\xff"]
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def deep(
    depth: int, opening: bytes = b'["list",[', closing: bytes = b"]]", seed: bytes = b'["plain",1]'
) -> bytes:
    """A value inside many others."""
    return opening * depth + seed + closing * depth


DEEP = st.builds(
    lambda depth, form: deep(depth, *form),
    st.sampled_from([10, 100, 240, 300, 500, 1000, 20_000]),
    st.sampled_from([(b'["list",[', b"]]"), (b'["dict",[[1,', b"]]]"), (b"[", b"]"), (b'{"a":', b"}")]),
)
LONG = st.builds(
    lambda item, count: b"[" + b",".join([item] * count) + b"]",
    st.sampled_from(
        [b"1", b"-1", b"9223372036854775807", b"null", b'{"kind":"none","type_name":""}', b'["plain",1]']
    ),
    st.sampled_from([0, 1, 65, 257, 20_000]),
)
VALUES = JSON.map(msgspec.json.encode) | RAW_NUMBERS | DEEP | LONG
"""Text that may stand where a value does; some of it is no JSON."""


def replaced(body: bytes, where: float, value: bytes) -> bytes:
    """The frame with one of its values, `where` between 0 and 1 says which, replaced by some bytes."""
    tree = msgspec.json.decode(body)
    paths = list(_paths(tree))
    path = paths[min(int(where * len(paths)), len(paths) - 1)]
    return msgspec.json.encode(_put(tree, path, msgspec.Raw(value)))


def _paths(tree: Any, at: tuple[Any, ...] = ()) -> Any:
    yield at
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from _paths(value, (*at, key))


def _put(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    tree[path[0]] = _put(tree[path[0]], path[1:], value)
    return tree
