"""The text of a case says its arguments, and a hostile text does nothing but fail."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend_bench.errors import UsageError
from backend_bench.suites.arguments import (
    CONSTANTS,
    DTYPES,
    Arguments,
    Constant,
    DeviceName,
    Dtype,
    TensorSpec,
    parse,
    render,
)

sizes = st.lists(st.integers(0, 2**40), max_size=5)
dtypes = st.sampled_from(sorted(DTYPES))
specs = st.builds(
    lambda pairs, dtype, strided: TensorSpec(
        tuple(size for size, _ in pairs),
        dtype,
        tuple(step for _, step in pairs) if strided else None,
    ),
    st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)), max_size=5),
    dtypes,
    st.booleans(),
)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64),
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.text(max_size=20),
    specs,
    st.builds(Dtype, dtypes),
    st.builds(Constant, st.sampled_from(sorted(CONSTANTS))),
    st.builds(DeviceName, st.sampled_from(["cpu", "cuda", "cuda:1"])),
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(max_size=8), inner, max_size=3),
    ),
    max_leaves=8,
)


@given(st.lists(values, max_size=4).map(tuple), st.dictionaries(st.text(max_size=8), values, max_size=3))
def test_what_is_written_is_read_again(args, kwargs):
    arguments = Arguments(args, kwargs)
    assert parse(render(arguments)) == arguments


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(UsageError):
        parse(text)


@given(st.text(alphabet="()[]{},:='T1f.e-x", max_size=60))
def test_any_mix_of_our_own_marks_is_read_or_refused(text):
    try:
        arguments = parse(f"(({text},), {{}})")
    except UsageError:
        return
    assert parse(render(arguments)) == arguments


def test_the_text_of_the_design():
    assert parse("((T([1, 512, 768], f16), T([768], f16, [1])), {'alpha': 2})") == Arguments(
        (TensorSpec((1, 512, 768), "f16"), TensorSpec((768,), "f16", (1,))), {"alpha": 2}
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("T([2, 3], f16, stride=(1, 2))", TensorSpec((2, 3), "f16", (1, 2))),
        ("T([5], b8, stride=(2,))", TensorSpec((5,), "b8", (2,))),
        ("T((), c32)", TensorSpec((), "c32")),
        ("torch.float16", Dtype("f16")),
        ("torch.sparse_coo", Constant("torch.sparse_coo")),
        ("device('cuda:0')", DeviceName("cuda:0")),
        ("-inf", -math.inf),
        ("1e-07", 1e-07),
        ("(1)", 1),
        ("(1,)", (1,)),
    ],
)
def test_spellings_of_the_traces(text, value):
    assert parse(f"(({text},), {{}})").args == (value,)


def test_nan_is_read():
    [value] = parse("((nan,), {})").args
    assert isinstance(value, float)
    assert math.isnan(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "((1,), {}) trailing",
        "((__import__('os').system('true'),), {})",
        "((1, 2",
        "((" + "(" * 10_000,
        "((" + "9" * 10_000 + ",), {})",
        "((T([-1], f32),), {})",
        "((T([2], f32, [1, 1]),), {})",
        "((T([2], f33),), {})",
        "((1,), {'a': 1, 'a': 2})",
        "((1,), {a: 1})",
        "((1 2,), {})",
        "(('\\q',), {})",
        "((torch.device('/etc/passwd'),), {})",
        "((lambda: 0,), {})",
    ],
)
def test_a_bad_text_is_refused_with_a_position(text):
    with pytest.raises(UsageError, match=r"at position \d+|at the end"):
        parse(text)
