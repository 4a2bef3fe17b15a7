"""What is read off the text of a case: tensors, sizes, and what is easily overlooked."""

from __future__ import annotations

import pytest

from backend_bench.dialogue.shapes import codes, elements, nbytes, shapes, traits

ARGS = "((T([2, 3], f32), T([3], bf16, [2]), 1), {'alpha': -2})"


def test_tensors_of_a_case() -> None:
    one, other = shapes(ARGS)
    assert (one.sizes, one.dtype, one.strides) == ((2, 3), "f32", None)
    assert (other.sizes, other.dtype, other.strides) == ((3,), "bf16", (2,))
    assert (elements(ARGS), nbytes(ARGS)) == (9, 30)
    assert elements("((T([], f32), T([0, 4], f32)), {})") == 1


@pytest.mark.parametrize(
    ("args", "trait"),
    [
        ("((T([0, 4], f32),), {})", "an empty tensor"),
        ("((T([], f32),), {})", "a tensor without dimensions"),
        ("((T([4, 7], f32, [1, 4]),), {})", "a tensor that is not contiguous"),
        ("((T([3, 4], f32, [0, 1]),), {})", "an expanded tensor (stride 0)"),
        ("((T([3, 4], f32), T([4], f32)), {})", "tensors of different shapes"),
        ("((T([4], f32), T([4], i64)), {})", "tensors of different dtypes"),
        ("((T([4], f32), -1), {})", "a negative dimension or other whole number"),
        ("((T([4], f32), [0, -1]), {})", "a negative dimension or other whole number"),
        ("(([T([4], f32)], 0), {})", "a list of tensors"),
        ("((T([4], b8),), {})", "bool tensors"),
    ],
)
def test_traits(args: str, trait: str) -> None:
    assert trait in traits(args)


@pytest.mark.parametrize(
    "args", ["((T([4], f32),), {})", "((T([4], f32), -1.5), {})", "((), {})", "nonsense"]
)
def test_a_plain_case_has_nothing_special(args: str) -> None:
    assert traits(args) <= {"float32 tensors"}


def test_codes_by_number() -> None:
    assert codes([ARGS, "((T([1], f32),), {})"]) == ["f32", "bf16"]
